"""A whole answer as a response object."""

from __future__ import annotations

import msgspec
from msgspec import structs

from gateway.dialects.openai_responses_object import Wire, ending_of, response_object
from gateway.dialects.openai_responses_output import Output
from gateway.types import Echo, Reply


def write_reply(reply: Reply, echo: Echo) -> bytes:
    """The body of a 200. The dialect knows one choice; further ones are never asked for."""
    choice = reply.choices[0] if reply.choices else None
    ending = ending_of(choice.finish if choice is not None else None)
    output = output_items(reply, echo)
    if reply.created:
        echo = structs.replace(echo, created=reply.created)
    return msgspec.json.encode(response_object(echo, ending, output, reply.usage, reply.service_tier))


def output_items(reply: Reply, echo: Echo) -> list[Wire]:
    """The output items of `reply`: what a store keeps beside the input, so that a later request can go on from here."""
    if not reply.choices:
        return []
    choice = reply.choices[0]
    status = "incomplete" if choice.finish == "length" else "completed"
    output = Output(echo, status, choice.searches).add(choice.parts)
    if choice.logprobs is not None:
        _add_logprobs(output, choice.logprobs)
    return output


def _add_logprobs(output: list[Wire], logprobs: object) -> None:
    """Chat's log probabilities are those of the whole text, so they go to its first part."""
    found = logprobs.get("content") if isinstance(logprobs, dict) else None
    parts = [part for item in output if item["type"] == "message" for part in item["content"] if "logprobs" in part]
    if isinstance(found, list) and parts:
        parts[0]["logprobs"] = found

"""A legacy completions request into `types.Request`: its prompt becomes one message of the user.

Source: openai-python, types/completion_create_params.py. What has no counterpart in a chat is refused: several prompts, token
arrays, `suffix`, `best_of`. `echo` is given back by the writers.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from gateway.dialects.openai_body import read_object
from gateway.dialects.openai_checks import (
    array,
    missing,
    name,
    optional_bool,
    optional_int,
    optional_number,
    optional_object,
    optional_text,
    wrong_type,
)
from gateway.dialects.openai_top import (
    MAX_OUTPUT,
    boolean,
    decode_top,
    example,
    model_name,
    refuse_two_readings,
    top_level,
    whole,
)
from gateway.types import BadRequest, Message, Peek, Request, Text

DEFAULT_MAX_TOKENS = 16  # as OpenAI documents it
MAX_CHOICES = 128
MAX_LOGPROBS = 5
UNSUPPORTED = "unsupported_parameter"
_KNOWN = frozenset(
    {
        "model", "prompt", "best_of", "echo", "frequency_penalty", "logit_bias", "logprobs", "max_tokens", "n",
        "presence_penalty", "seed", "stop", "stream", "stream_options", "suffix", "temperature", "top_p", "user",
    }
)  # fmt: skip


class Prompted(Struct, frozen=True):
    """What the answer needs of its request. `prefix`: the prompt, when it is to be repeated before the answer."""

    prefix: str = ""
    logprobs: bool = False


def peek(body: bytes) -> Peek:
    """Read the top level. Raises BadRequest."""
    fields = top_level(body)
    model = "" if "model" not in fields else model_name(fields["model"])
    refuse_two_readings(body, fields)
    prompt = bytes(memoryview(fields["prompt"])[:1]) if "prompt" in fields else b"n"
    if prompt == b"n":
        raise missing("prompt")
    if prompt not in (b'"', b"["):
        raise wrong_type("prompt", "one of a string or array", example(fields["prompt"]))
    found = Peek(model, stream="stream" in fields and boolean(fields["stream"], "stream"))
    cap = whole(fields["max_tokens"], "max_tokens", MAX_OUTPUT) if "max_tokens" in fields else None
    found.max_tokens = DEFAULT_MAX_TOKENS if cap is None else cap
    found.n = ("n" in fields and whole(fields["n"], "n", MAX_CHOICES)) or 1
    found.has_temperature = bytes(fields.get("temperature", b"null")) != b"null"
    if bytes(fields.get("stream_options", b"null")) != b"null":
        try:
            options = decode_top(fields["stream_options"])
        except ValueError:
            raise wrong_type("stream_options", "an object", example(fields["stream_options"])) from None
        asked = options.get("include_usage")
        found.include_usage = asked is not None and boolean(asked, "stream_options.include_usage")
    return found


def read_request(body: bytes) -> Request:
    """Read all of it. Raises BadRequest, never anything else. `Request.echo` is a `Prompted`."""
    fields = read_object(body)
    prompt = _prompt(fields.get("prompt"))
    _refuse(fields)
    logprobs = optional_int(fields.get("logprobs"), "logprobs", 0, MAX_LOGPROBS)
    request = Request(
        model=optional_text(fields.get("model"), "model") or "",
        messages=[Message("user", [Text(prompt)])],
        max_tokens=optional_int(fields.get("max_tokens"), "max_tokens", 1, 2**53) or DEFAULT_MAX_TOKENS,
        temperature=optional_number(fields.get("temperature"), "temperature", 0, 2),
        top_p=optional_number(fields.get("top_p"), "top_p", 0, 1),
        presence_penalty=optional_number(fields.get("presence_penalty"), "presence_penalty", -2, 2),
        frequency_penalty=optional_number(fields.get("frequency_penalty"), "frequency_penalty", -2, 2),
        seed=optional_int(fields.get("seed"), "seed", -(2**63), 2**63 - 1),
        n=optional_int(fields.get("n"), "n", 1, MAX_CHOICES) or 1,
        logprobs=True if logprobs is not None else None,
        top_logprobs=logprobs,
        stop=_stop(fields.get("stop")),
        user=optional_text(fields.get("user"), "user"),
        stream=optional_bool(fields.get("stream"), "stream") or False,
        extra={key: value for key, value in fields.items() if key not in _KNOWN},
        echo=Prompted(prompt if optional_bool(fields.get("echo"), "echo") else "", logprobs is not None),
    )
    options = optional_object(fields.get("stream_options"), "stream_options") or {}
    request.include_usage = optional_bool(options.get("include_usage"), "stream_options.include_usage") or False
    bias = optional_object(fields.get("logit_bias"), "logit_bias")
    if bias is not None:
        request.logit_bias = {
            key: optional_number(value, f"logit_bias.{key}", -100, 100) or 0 for key, value in bias.items()
        }
    return request


def _prompt(given: object) -> str:
    if isinstance(given, str):
        return name(given, "prompt")
    items = array(given, "prompt") if given is None or isinstance(given, list) else None
    if items is None:
        raise wrong_type("prompt", "one of a string or array", given)
    if not items:
        raise BadRequest("Invalid 'prompt': empty array. Expected an array with minimum length 1.", "prompt")
    if any(isinstance(item, int | list) for item in items):
        raise BadRequest("Prompts of token ids are not supported here: send the prompt as text.", "prompt", UNSUPPORTED)
    if len(items) > 1:
        raise BadRequest(
            "Several prompts in one request are not supported here: send one request for each.", "prompt", UNSUPPORTED
        )
    return name(items[0], "prompt[0]")


def _refuse(fields: dict[str, Any]) -> None:
    """What cannot be had of a chat, unless it asks for nothing."""
    if optional_text(fields.get("suffix"), "suffix"):
        raise BadRequest("'suffix' is not supported here.", "suffix", UNSUPPORTED)
    best_of = optional_int(fields.get("best_of"), "best_of", 0, 20)
    if best_of is not None and best_of > 1 and best_of != fields.get("n"):
        raise BadRequest("'best_of' greater than 'n' is not supported here.", "best_of", UNSUPPORTED)


def _stop(value: object) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    return [name(item, f"stop[{at}]") for at, item in enumerate(array(value, "stop"))]

"""A client's whole Responses request into `types.Request`, every field checked and named in OpenAI's words when it is wrong.

Rule 1: what a response object repeats is kept as it came (openai_responses_asked.py). Rule 2: what holds state that only OpenAI
has (conversations, prompt templates, background work) goes to nobody else; hints are left out and noted.
Rule 3: `previous_response_id` and item references were resolved before (openai_responses_state.py); one that is still there
would be a history lost without a word, and goes to nobody else. Source: openai-python, types/responses/response_create_params.py.
"""

from __future__ import annotations

from typing import Any, Literal, cast

from gateway.dialects.openai_body import read_object
from gateway.dialects.openai_checks import (
    array,
    missing,
    name,
    object_,
    one_of,
    optional_bool,
    optional_int,
    optional_number,
    optional_object,
    optional_text,
)
from gateway.dialects.openai_effort import EFFORTS
from gateway.dialects.openai_responses_asked import Asked
from gateway.dialects.openai_responses_items import History, check_calls, read_items
from gateway.dialects.openai_responses_tools import Offered, keep_search, read_choice, read_tools
from gateway.types import Message, Request, ResponseFormat, Text

ECHOED = (
    "instructions", "max_output_tokens", "max_tool_calls", "metadata", "parallel_tool_calls", "prompt_cache_key",
    "prompt_cache_retention", "reasoning", "safety_identifier", "service_tier", "store", "temperature", "text", "tool_choice",
    "tools", "top_logprobs", "top_p", "truncation", "user",
)  # fmt: skip
UNPORTABLE = ("previous_response_id", "conversation", "prompt", "background", "context_management", "access_programs")
# Without a place in `Request`: they go to `extra`, and those that Chat knows go on from there.
_PASSED = ("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "moderation", "max_tool_calls")
_KNOWN = frozenset({*ECHOED, *UNPORTABLE, *_PASSED, "model", "input", "stream", "stream_options", "include"})


def read_request(body: bytes, repair_history: bool = False) -> Request:
    """Read all of it. Raises BadRequest, never anything else. With `repair_history` tool calls may stay without answers."""
    fields = read_object(body)
    history = read_items(fields["input"]) if fields.get("input") is not None else History()
    unportable = [key for key in UNPORTABLE if fields.get(key) not in (None, False, [])]
    if not unportable:  # else calls may stand in a history that is not here
        check_calls(history.messages, answers_required=not repair_history)
    offered = read_tools(fields.get("tools"), history.tools)
    choice = read_choice(fields.get("tool_choice"), offered)
    keep_search(offered, choice)
    messages = _instructions(fields) + history.messages
    if not messages and not unportable:
        raise missing("input")
    request = Request(
        model=optional_text(fields.get("model"), "model") or "",
        messages=messages,
        tools=offered.tools,
        tool_choice=choice,
        parallel_tool_calls=optional_bool(fields.get("parallel_tool_calls"), "parallel_tool_calls"),
        extra=_extra(fields),
        unportable=unportable,
        left_out=_left_out(fields, history, offered),
    )
    _read_sampling(fields, request)
    summary = _read_reasoning(fields, request)
    _read_text(fields, request)
    _read_the_rest(fields, request)
    for item, param in history.updates:
        _update(item, param, request)
    echoed = {key: fields[key] for key in ECHOED if fields.get(key) is not None}
    request.echo = Asked(echoed, offered.spelled, summary)
    return request


def _instructions(fields: dict[str, Any]) -> list[Message]:
    given = optional_text(fields.get("instructions"), "instructions")
    return [Message("system", [Text(given)])] if given else []


def _extra(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields that somebody may know. `store` is the gateway's business."""
    extra = {key: value for key, value in fields.items() if value is not None and key not in _KNOWN}
    return extra | {key: fields[key] for key in _PASSED if fields.get(key) is not None}


def _left_out(fields: dict[str, Any], history: History, offered: Offered) -> list[tuple[str, str]]:
    """Hints that only OpenAI follows, tools that run there only, and the traces that these left in the history."""
    lost = [(f"tools.{kind}", "server_tool_unsupported") for kind in offered.left_out]
    lost += [(f"input.{kind}", "item_left_out") for kind in history.traces]
    if one_of(fields.get("truncation") or "disabled", "truncation", ("auto", "disabled")) == "auto":
        lost.append(("truncation", "truncation_unsupported"))
    reasoning = optional_object(fields.get("reasoning"), "reasoning") or {}
    if reasoning.get("mode") not in (None, "standard"):
        lost.append(("reasoning.mode", "reasoning_mode_unsupported"))
    return lost


def _read_sampling(fields: dict[str, Any], request: Request) -> None:
    request.temperature = optional_number(fields.get("temperature"), "temperature", 0, 2)
    request.top_p = optional_number(fields.get("top_p"), "top_p", 0, 1)
    request.max_tokens = optional_int(fields.get("max_output_tokens"), "max_output_tokens", 1, 2**53)
    request.top_logprobs = optional_int(fields.get("top_logprobs"), "top_logprobs", 0, 20) or None
    include = array(fields["include"], "include") if fields.get("include") is not None else []
    wanted = [name(item, f"include[{at}]") for at, item in enumerate(include)]
    if "message.output_text.logprobs" in wanted or request.top_logprobs:
        request.logprobs = True


def _read_reasoning(fields: dict[str, Any], request: Request) -> bool:
    """The effort, and whether the client wants to see thoughts."""
    given = optional_object(fields.get("reasoning"), "reasoning") or {}
    _read_effort(given, "reasoning", request)
    wanted = given.get("summary") if given.get("summary") is not None else given.get("generate_summary")
    if wanted is not None:
        one_of(wanted, "reasoning.summary", ("auto", "concise", "detailed"))
    return wanted is not None


def _read_effort(given: dict[str, Any], param: str, request: Request) -> None:
    if given.get("effort") is not None:
        request.effort = one_of(given["effort"], f"{param}.effort", EFFORTS)


def _read_text(fields: dict[str, Any], request: Request) -> None:
    given = optional_object(fields.get("text"), "text") or {}
    if given.get("format") is not None:
        request.format = _format(given["format"], "text.format")
    if given.get("verbosity") is not None:
        request.verbosity = one_of(given["verbosity"], "text.verbosity", ("low", "medium", "high"))


def _format(value: object, param: str) -> ResponseFormat | None:
    given = object_(value, param)
    kind = one_of(given.get("type"), f"{param}.type", ("text", "json_object", "json_schema"))
    if kind != "json_schema":
        return ResponseFormat(cast(Literal["text", "json_object"], kind))
    return ResponseFormat(
        kind="json_schema",
        schema=object_(given.get("schema"), f"{param}.schema"),
        name=name(given.get("name"), f"{param}.name"),
        description=optional_text(given.get("description"), f"{param}.description") or "",
        strict=optional_bool(given.get("strict"), f"{param}.strict"),
    )


def _read_the_rest(fields: dict[str, Any], request: Request) -> None:
    request.user = optional_text(fields.get("user"), "user")
    request.safety_identifier = optional_text(fields.get("safety_identifier"), "safety_identifier")
    request.service_tier = optional_text(fields.get("service_tier"), "service_tier")
    request.stream = optional_bool(fields.get("stream"), "stream") or False
    optional_object(fields.get("stream_options"), "stream_options")
    optional_bool(fields.get("store"), "store")
    # Only repeated: OpenAI's own Chat takes metadata for stored answers only.
    optional_object(fields.get("metadata"), "metadata")
    request.include_usage = True  # a response object always says what it used


def _update(item: dict[str, Any], param: str, request: Request) -> None:
    _read_effort(optional_object(item.get("reasoning"), f"{param}.reasoning") or {}, f"{param}.reasoning", request)
    given = optional_object(item.get("text"), f"{param}.text") or {}
    if given.get("format") is not None:
        request.format = _format(given["format"], f"{param}.text.format")

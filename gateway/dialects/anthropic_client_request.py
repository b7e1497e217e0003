"""A client's whole Messages request into `types.Request`, every field checked and named in Anthropic's words when it is wrong.

Read only to be written for another vendor; to Anthropic itself the bytes pass through. Fields without a place in `Request` go
to `extra` under their wire names; what holds state at Anthropic (containers, threads, MCP servers) is `unportable`.
Sources: anthropic types message_create_params.py, message_count_tokens_params.py, output_config_param.py, thinking_config_*.py.
"""

from __future__ import annotations

import hashlib
from typing import Any

from gateway.dialects.anthropic_client_checks import (
    bad,
    fields_of,
    object_,
    one_of,
    optional_bool,
    optional_int,
    optional_number,
    optional_object,
    optional_text,
    text,
)
from gateway.dialects.anthropic_client_messages import check_conversation, read_messages, read_system
from gateway.dialects.anthropic_client_tools import read_tool_choice, read_tools
from gateway.types import Request, ResponseFormat

EFFORTS = ("low", "medium", "high", "xhigh", "max")
UNPORTABLE = ("container", "mcp_servers", "thread")
MAX_USER_CHARS = 128
MAX_BUDGET = 2**53
_TIERS = {"auto": "auto", "standard_only": "default"}
_KNOWN = frozenset(
    {
        "model", "max_tokens", "messages", "system", "tools", "tool_choice", "temperature", "top_p", "top_k",
        "stop_sequences", "thinking", "output_config", "output_format", "metadata", "service_tier", "speed", "stream",
        *UNPORTABLE,
    }
)  # fmt: skip


def read_request(body: bytes, repair_history: bool = False) -> Request:
    """Raises BadRequest, never anything else. max_tokens is 0 when only a cache is to be warmed: nobody must be called then.

    With `repair_history` calls may stay without results.
    """
    fields = fields_of(body)
    if fields.get("max_tokens") is None:
        raise bad("max_tokens", "Field required")
    return _read(fields, body, repair_history)


def read_count(body: bytes, repair_history: bool = False) -> Request:
    """The request of count_tokens: the same without max_tokens. Raises BadRequest, never anything else."""
    return _read(fields_of(body), body, repair_history)


def _read(fields: dict[str, Any], body: bytes, repair_history: bool) -> Request:
    request = Request(
        model=optional_text(fields.get("model"), "model") or "", messages=read_system(fields.get("system"))
    )
    first = len(request.messages)
    request.messages += read_messages(fields.get("messages"), body, request.left_out)
    if not repair_history:
        check_conversation(request.messages, first)
    request.tools = read_tools(fields.get("tools"))
    request.tool_choice, request.parallel_tool_calls = read_tool_choice(fields.get("tool_choice"), request.tools)
    _read_output(fields, request)
    _read_the_rest(fields, request)
    return request


def _read_output(fields: dict[str, Any], request: Request) -> None:
    request.max_tokens = optional_int(fields.get("max_tokens"), "max_tokens", 0, 2**31 - 1)
    request.temperature = optional_number(fields.get("temperature"), "temperature", 0, 1)
    request.top_p = optional_number(fields.get("top_p"), "top_p", 0, 1)
    request.top_k = optional_int(fields.get("top_k"), "top_k", 0, 2**31 - 1)
    request.stop = _stops(fields.get("stop_sequences"))
    request.thinking = _thinking(fields.get("thinking"))
    output = optional_object(fields.get("output_config"), "output_config") or {}
    if output.get("effort") is not None:
        request.effort = one_of(output["effort"], "output_config.effort", EFFORTS)
    if output.get("format") is not None:
        request.format = _format(output["format"], "output_config.format")
    elif fields.get("output_format") is not None:  # where the betas had it
        request.format = _format(fields["output_format"], "output_format")
    for key in output:
        if key not in ("effort", "format"):
            request.left_out.append((f"output_config.{key}", "unknown_field"))


def _read_the_rest(fields: dict[str, Any], request: Request) -> None:
    request.stream = optional_bool(fields.get("stream"), "stream") or False
    request.include_usage = request.stream
    metadata = optional_object(fields.get("metadata"), "metadata") or {}
    request.safety_identifier = _user(optional_text(metadata.get("user_id"), "metadata.user_id"))
    if fields.get("service_tier") is not None:
        request.service_tier = _TIERS[one_of(fields["service_tier"], "service_tier", _TIERS)]
    if fields.get("speed") is not None and one_of(fields["speed"], "speed", ("standard", "fast")) == "fast":
        request.service_tier = "priority"
    request.extra = {key: value for key, value in fields.items() if key not in _KNOWN and value is not None}
    request.unportable = [key for key in UNPORTABLE if fields.get(key)]


def _stops(value: object) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise bad("stop_sequences", "Input should be a valid array")
    return [text(stop, f"stop_sequences.{place}") for place, stop in enumerate(value)]


def _thinking(value: object) -> dict[str, Any] | None:
    """Anthropic's own object, as it came; a kind to come is for the provider's dialect to judge."""
    if value is None:
        return None
    given = object_(value, "thinking")
    if text(given.get("type"), "thinking.type") == "enabled":
        budget = optional_int(given.get("budget_tokens"), "thinking.budget_tokens", 1024, MAX_BUDGET)
        if budget is None:
            raise bad("thinking.budget_tokens", "Field required")
    return given


def _format(value: object, param: str) -> ResponseFormat:
    given = object_(value, param)
    one_of(given.get("type"), f"{param}.type", ("json_schema",))
    schema = object_(given.get("schema"), f"{param}.schema")
    return ResponseFormat("json_schema", schema, "output", strict=_closed(schema))


def _closed(node: object) -> bool:
    """Whether every object in a schema is closed with all its properties required: what OpenAI wants of a strict one."""
    if isinstance(node, list):
        return all(map(_closed, node))
    if not isinstance(node, dict):
        return True
    properties = node.get("properties")
    if node.get("type") == "object" or isinstance(properties, dict):
        required = node.get("required", [])
        named = set(properties) if isinstance(properties, dict) else set()
        if node.get("additionalProperties") is not False or not isinstance(required, list):
            return False
        if named != {key for key in required if isinstance(key, str)}:
            return False
    return all(map(_closed, node.values()))


def _user(user_id: str | None) -> str | None:
    """Who the client's user is; others take fewer characters than Anthropic."""
    if not user_id:
        return None
    return user_id if len(user_id) <= MAX_USER_CHARS else hashlib.sha256(user_id.encode()).hexdigest()

"""The response object: what stands around the output, with every field that typed clients want.

Source: openai-python, types/responses/response.py, response_error.py.
"""

from __future__ import annotations

import hashlib
from typing import Any

from msgspec import Struct

from gateway.dialects.openai_responses_asked import asked_of
from gateway.dialects.openai_responses_usage import usage_object
from gateway.types import ClientError, Echo, FinishReason, Usage

Wire = dict[str, Any]

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
# Clients react to these by name; every other failure of a provider is a server_error.
_ERROR_CODES = ("context_length_exceeded", "rate_limit_exceeded", "invalid_prompt")


class Ending(Struct, frozen=True):
    """How an answer stands: its status, and why it is not whole."""

    status: str = "in_progress"
    incomplete: str | None = None
    error: Wire | None = None


def ending_of(finish: FinishReason | None) -> Ending:
    """What a finish reason makes of an answer."""
    incomplete = _INCOMPLETE.get(finish or "")
    return Ending("incomplete", incomplete) if incomplete else Ending("completed")


def failed(error: ClientError) -> Ending:
    """An answer that broke after it began."""
    return Ending("failed", error={"code": _error_code(error), "message": error.message})


def response_object(
    echo: Echo, ending: Ending, output: list[Wire], usage: Usage | None = None, service_tier: str | None = None
) -> Wire:
    """The whole object. `output` is put in as it is."""
    asked = asked_of(echo.request).fields
    if usage is None and ending.status in ("completed", "incomplete"):
        usage = Usage()  # the provider counted nothing; typed clients read no end without figures
    return {
        "id": response_id(echo),
        "object": "response",
        "created_at": echo.created,
        "status": ending.status,
        "background": False,
        "error": ending.error,
        "incomplete_details": {"reason": ending.incomplete} if ending.incomplete else None,
        "instructions": asked.get("instructions"),
        "max_output_tokens": asked.get("max_output_tokens"),
        "max_tool_calls": asked.get("max_tool_calls"),
        "model": echo.model,
        "output": output,
        "parallel_tool_calls": asked.get("parallel_tool_calls", True),
        "previous_response_id": echo.previous or None,
        "prompt_cache_key": asked.get("prompt_cache_key"),
        "prompt_cache_retention": asked.get("prompt_cache_retention"),
        "reasoning": {"effort": None, "summary": None, **asked.get("reasoning", {})},
        "safety_identifier": asked.get("safety_identifier"),
        "service_tier": service_tier or "default",
        "store": asked.get("store", True),
        "temperature": asked.get("temperature", 1.0),
        "text": {"format": {"type": "text"}, **asked.get("text", {})},
        "tool_choice": asked.get("tool_choice", "auto"),
        "tools": [_tool(tool) for tool in asked.get("tools", [])],
        "top_logprobs": asked.get("top_logprobs", 0),
        "top_p": asked.get("top_p", 1.0),
        "truncation": asked.get("truncation", "disabled"),
        "usage": usage_object(usage) if usage is not None else None,
        "user": asked.get("user"),
        "metadata": asked.get("metadata", {}),
        "completed_at": None,
    }


def response_id(echo: Echo) -> str:
    """Of our own making: the same for every candidate of a call, so that a fallback does not change it."""
    return "resp_" + _digest(echo, "response")


def item_id(echo: Echo, prefix: str, output_index: int) -> str:
    """The id of an output item: the same however often the answer is written."""
    return f"{prefix}_{_digest(echo, str(output_index))}"


def _digest(echo: Echo, what: str) -> str:
    return hashlib.sha256(f"{echo.id}:{what}".encode()).hexdigest()[:48]


def _tool(tool: Wire) -> Wire:
    """Typed clients want both keys of a function, null or not."""
    if tool.get("type") == "function":
        return {**tool, "parameters": tool.get("parameters"), "strict": tool.get("strict")}
    return tool


def _error_code(error: ClientError) -> str:
    if error.code in _ERROR_CODES:
        return str(error.code)
    if error.type == "insufficient_quota":
        return "insufficient_quota"
    if error.status == 429:
        return "rate_limit_exceeded"
    return "invalid_prompt" if error.status == 400 else "server_error"

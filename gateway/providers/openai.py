"""OpenAI: how to reach it, and what its failures mean.

Errors are told apart by status and code, never by their text, but for a request that belongs on /v1/responses, for a prompt
that is too long for a compatible server, for a model of another kind and for what a key may not do (permissions.py), which have no code. Google's words are understood too: its
compatible endpoint answers with google.rpc errors. Sources: the error codes page of the API documentation, openai-python,
_exceptions.py; Azure's and Google's error bodies.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gateway.dialects.openai_chat import OPENAI_CHAT
from gateway.dialects.openai_embeddings import OPENAI_EMBEDDINGS
from gateway.dialects.openai_faults import KINDS, failed_of, kind_of
from gateway.dialects.openai_moderations import OPENAI_MODERATIONS
from gateway.dialects.openai_responses import OPENAI_RESPONSES
from gateway.errors import CLIENTS_OWN, Fault, FaultKind, Next
from gateway.providers.answers import (
    code_of,
    error_object,
    redact,
    retry_after_s,
    rpc_details,
    rpc_reasons,
    rpc_retry_s,
    spent_for_the_day,
    words,
)
from gateway.providers.openai_choice import needs_responses
from gateway.providers.permissions import denied, precondition, streamed
from gateway.types import Abilities, BadReply, Failed, Notes, ProviderHalf, Request, Target, Written

_FAMILY = re.compile(r"(?:gpt-|chatgpt-|text-embedding-|(?:omni|text)-moderation-|o\d)")
PATHS = {
    OPENAI_CHAT.name: "/chat/completions",
    OPENAI_RESPONSES.name: "/responses",
    OPENAI_EMBEDDINGS.name: "/embeddings",
    OPENAI_MODERATIONS.name: "/moderations",
}
_ELSEWHERE = re.compile(r"\b(?:use|in|with) (?:the )?/?v1/responses\b", re.IGNORECASE)
# A 403 with nothing but its words: the model is none of this kind. The credential is fine, and must not rest for a client's mistake.
_WRONG_MODEL = re.compile(r"\bnot allowed to (?:generate|sample|create)\b.{0,60}\bfrom this model", re.IGNORECASE)
# Servers that imitate OpenAI have its words for a prompt that is too long, or llama.cpp's type, and no code of OpenAI's.
_OVERFLOW = re.compile(
    r"\bmaximum context length (?:is|of) \d|\bexceeds? the (?:available )?context (?:size|window)", re.IGNORECASE
)
_REFUSED_CODES = ("unsupported_parameter", "unsupported_value")
_CLIENTS = (*CLIENTS_OWN, "context_overflow")
TOOLS = (b'"tools"', b'"functions"')
# What of a request counts, and is taken where tokens are counted.
COUNTED = ("model", "input", "instructions", "tools", "tool_choice", "text", "reasoning", "parallel_tool_calls")
_decode_top = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_NEXT: dict[FaultKind, Next] = {
    **dict.fromkeys(CLIENTS_OWN, Next.STOP),
    "context_overflow": Next.OTHER,  # a candidate with a larger context may take it
    "auth": Next.OTHER,
    "forbidden": Next.OTHER,
    "quota_exhausted": Next.OTHER,
    "rate_limited": Next.OTHER,
    "model_missing": Next.OTHER,
}
_BY_STATUS: dict[int, FaultKind] = {
    402: "quota_exhausted",
    408: "server_error",
    409: "server_error",
    429: "rate_limited",
    503: "overloaded",
    529: "overloaded",
}
# Where a status leaves room, the code decides: status -> the kinds that its codes may name.
_BY_CODE: dict[int, frozenset[FaultKind]] = {
    400: frozenset({"context_overflow", "model_missing"}),
    401: frozenset({"forbidden"}),
    403: frozenset({"forbidden", "quota_exhausted", "model_missing"}),
    404: frozenset({"model_missing"}),
    413: frozenset({"context_overflow"}),
    429: frozenset({"quota_exhausted", "overloaded"}),
    500: frozenset({"overloaded"}),
    502: frozenset({"overloaded"}),
}


class _Counted(msgspec.Struct):
    input_tokens: int


class OpenAI:
    """types.Vendor for api.openai.com and for servers that imitate it closely."""

    type = "openai"
    base_url = "https://api.openai.com/v1"

    def half(self, client: str) -> ProviderHalf | None:
        if client.endswith("_embeddings"):
            return OPENAI_EMBEDDINGS
        if client == OPENAI_RESPONSES.name:
            return OPENAI_RESPONSES
        return OPENAI_MODERATIONS if client == OPENAI_MODERATIONS.name else OPENAI_CHAT

    def looks(self, client: str, abilities: Abilities) -> tuple[bytes, ...]:
        """A Chat client's bytes pass through unless they hold tools and the model is one of those that take them elsewhere."""
        if client == OPENAI_CHAT.name:
            return TOOLS if abilities.requires_responses or abilities.chat_tools_effort_none else ()
        if client == OPENAI_RESPONSES.name or client.endswith(("_embeddings", "_moderations")):
            return ()
        return (b"",)  # translated anyway

    def pick(self, client: str, request: Request, abilities: Abilities) -> ProviderHalf:
        return OPENAI_RESPONSES if needs_responses(request, abilities) else OPENAI_CHAT

    def count(self, request: Request, target: Target) -> tuple[str, Written] | None:
        """Source: openai-python, resources/responses/input_tokens.py."""
        written = OPENAI_RESPONSES.write_request(request, target, Notes())
        body = {name: value for name, value in _decode_top(written.body).items() if name in COUNTED}
        return "/responses/input_tokens", Written(msgspec.json.encode(body))

    def read_count(self, body: bytes) -> int:
        try:
            return msgspec.json.decode(body, type=_Counted).input_tokens
        except (ValueError, RecursionError) as error:
            raise BadReply(f"no count of tokens: {error}") from None

    def path(self, model: str, stream: bool, dialect: str) -> str:
        return PATHS[dialect]

    def headers(self, api_key: str) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {api_key}"), ("content-type", "application/json")]

    def family(self, model: str) -> bool:
        return _FAMILY.match(model) is not None

    def fault(self, status: int, headers: dict[str, str], body: bytes) -> Fault:
        """What an answer other than 2xx means. The body is kept only where it speaks of the client's own mistake."""
        error = error_object(body)
        kind = _kind(status, error)
        client_error = kind in _CLIENTS
        message = redact(words(error.get("message")))
        wait = rpc_retry_s(rpc_details(error))
        return Fault(
            kind=kind,
            next=Next.OTHER
            if status == 504
            else _NEXT.get(kind, Next.SAME),  # asking again costs the same wait once more
            status=status,
            safe_message=message if client_error else "",
            log_message=message,
            code=code_of(error),
            param=words(error.get("param"))[:200] or None if client_error else None,
            retry_after_s=wait if wait is not None else retry_after_s(headers),
            body=body if client_error and error else b"",
        )

    def stream_fault(self, failed: Failed) -> Fault:
        """What an error inside a stream means. `failed.kind` was found by the dialect, from the same codes."""
        found = streamed(failed)
        kind: FaultKind = found if found in _STREAM_KINDS else "error_event"
        message = redact(failed.message)
        safe = message if kind in _CLIENTS else ""
        return Fault(
            kind=kind, next=_NEXT.get(kind, Next.SAME), status=failed.status, safe_message=safe, log_message=message
        )


_STREAM_KINDS = frozenset({*KINDS.values(), "error_event", "bad_reply", "truncated"})


def _kind(status: int, error: dict[str, Any]) -> FaultKind:
    if status < 300:  # an error inside a 200: its own words are all there is
        kind: Any = streamed(failed_of(error))
        return "server_error" if kind == "error_event" else kind
    if status == 429 and spent_for_the_day(rpc_details(error)):
        return "quota_exhausted"
    named = kind_of(error)
    if named is not None and named in _BY_CODE.get(status, ()):
        return named
    if status in (401, 403):
        return _denied(status, error)
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status >= 500 or status < 400:
        return "server_error"
    return _refusal(status, error)


def _denied(status: int, error: dict[str, Any]) -> FaultKind:
    message = words(error.get("message"))
    if status == 403 and _WRONG_MODEL.search(message[:2000]):
        return "model_missing"
    return denied(status, message, rpc_reasons(rpc_details(error)), spoken=bool(error))


def _refusal(status: int, error: dict[str, Any]) -> FaultKind:
    """A 4xx that speaks of this request: what of it can be mended, and what is nobody's but the operator's."""
    if not error:
        return "model_missing" if status == 404 else "bad_request"  # no such path: the base URL is wrong
    message = words(error.get("message"))
    if "API_KEY_INVALID" in rpc_reasons(rpc_details(error)):
        return "auth"
    if error.get("status") == "FAILED_PRECONDITION":
        return precondition(message)
    if _ELSEWHERE.search(message[:2000]):
        return "wrong_endpoint"
    if _OVERFLOW.search(message[:2000]) or error.get("type") == "exceed_context_size_error":
        return "context_overflow"
    if error.get("code") in _REFUSED_CODES and words(error.get("param")):
        return "parameter_refused"
    return "bad_request"

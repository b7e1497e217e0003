"""What Anthropic says in answers and streams alike: usage, why it stopped, what went wrong, what it cites.

Rule 1: new values may come any day (Anthropic's versioning policy): what is not known is ignored or taken as a plain stop.
Rule 2: usage is read on its own, so that a figure gone wrong costs the figure and never the answer.
Sources: anthropic types usage.py, message_delta_usage.py, stop_reason.py, refusal_stop_details.py, error_type.py.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from gateway.errors import FaultKind
from gateway.types import Count, Failed, FinishReason, Usage

DECLINED = "The model declined to respond."

_FINISH: dict[str, FinishReason] = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",  # the turn goes on only when it is sent back; until then the answer is cut, not complete
    "compaction": "length",
    "refusal": "content_filter",
}

_TIERS = {"standard": "default", "priority": "priority"}

# error.type -> what happened, and the status it comes with where the error arrives inside a 200 stream.
ERRORS: dict[str, tuple[FaultKind, int]] = {
    "invalid_request_error": ("bad_request", 400),
    "authentication_error": ("auth", 401),
    "billing_error": ("quota_exhausted", 402),
    "permission_error": ("forbidden", 403),
    "not_found_error": ("model_missing", 404),
    "conflict_error": ("server_error", 409),
    "request_too_large": ("context_overflow", 413),
    "rate_limit_error": ("rate_limited", 429),
    "api_error": ("server_error", 500),
    "timeout_error": ("server_error", 504),
    "overloaded_error": ("overloaded", 529),
}
# error.details.error_code says more than error.type: a spend limit comes as rate_limit_error and does not pass by waiting.
SPENT = frozenset(
    {
        "enforced_spend_limit_reached",
        "contract_spend_limit_reached",
        "linked_organization_spend_limit_reached",
        "linked_organization_billing_unavailable",
    }
)


class OutputDetails(Struct):
    thinking_tokens: Count = 0


NO_CREATION = msgspec.Raw(b"null")  # cache_creation, where nothing is told of it


class CacheCreation(Struct):
    ephemeral_1h_input_tokens: Count = 0


class WireUsage(Struct):
    """As reported; None for what was left out, which in a stream means: unchanged."""

    input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    output_tokens: Count | None = None
    output_tokens_details: OutputDetails | None = None
    cache_creation: msgspec.Raw = NO_CREATION
    service_tier: str | None = None
    speed: str | None = None

    def over(self, before: WireUsage | None) -> WireUsage:
        """These figures, with those of `before` where these are silent. Figures are cumulative: they replace, never add."""
        if before is None:
            return self
        values = {name: getattr(self, name) for name in self.__struct_fields__}
        return WireUsage(
            **{name: getattr(before, name) if _is_unsaid(value) else value for name, value in values.items()}
        )

    def plain(self, own: Any = None) -> Usage:
        """Anthropic counts cached input apart; the total input is the sum of the three. `own`: the object itself."""
        read, write = self.cache_read_input_tokens or 0, self.cache_creation_input_tokens or 0
        input_, output = (self.input_tokens or 0) + read + write, self.output_tokens or 0
        reasoning = 0 if self.output_tokens_details is None else self.output_tokens_details.thinking_tokens
        hour_long = _hour_long(self.cache_creation) if write and self.cache_creation is not NO_CREATION else 0
        given = None if own is None else {"anthropic": own}
        return Usage(input_, output, read, write, reasoning, input_ + output, hour_long, None, None, None, given)

    def tier(self) -> str | None:
        """In OpenAI's words."""
        if self.speed == "fast":
            return "priority"
        return None if self.service_tier is None else _TIERS.get(self.service_tier)


def _is_unsaid(value: Any) -> bool:
    return value is None or (isinstance(value, msgspec.Raw) and bytes(value) == b"null")


def _hour_long(creation: msgspec.Raw) -> int:
    """How many of the tokens written to the cache are kept for an hour."""
    try:
        found: CacheCreation | None = _CREATION.decode(creation)
    except msgspec.DecodeError:
        return 0
    return found.ephemeral_1h_input_tokens if found is not None else 0


NO_USAGE = msgspec.Raw(b"null")
_USAGE = msgspec.json.Decoder(WireUsage | None)
_CREATION = msgspec.json.Decoder(CacheCreation | None)


def read_usage(raw: msgspec.Raw) -> WireUsage | None:
    """The usage object, or None when there is none or its figures are no whole numbers."""
    try:
        usage: WireUsage | None = _USAGE.decode(raw)
    except msgspec.DecodeError:
        return None
    return usage


def whole_usage(raw: msgspec.Raw) -> msgspec.Raw | None:
    """A usage object that was read, to be written again as it is; None when it is no text."""
    try:
        bytes(raw).decode()
    except UnicodeDecodeError:
        return None
    return raw


def usage_fields(raw: msgspec.Raw) -> dict[str, Any]:
    """The members of a usage object of a stream that say something, {} when it is none."""
    try:
        fields = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return {key: value for key, value in fields.items() if value is not None} if isinstance(fields, dict) else {}


def finish_reason(stop_reason: str | None, calls: bool) -> FinishReason:
    """Being cut wins over calls, whose arguments may be incomplete then."""
    return _FINISH.get(stop_reason or "") or ("tool_calls" if calls else "stop")


class StopDetails(Struct):
    explanation: str | None = None


def refusal_text(stop_reason: str | None, details: StopDetails | None) -> str | None:
    """What to say when the model declined, None when it did not."""
    if stop_reason != "refusal":
        return None
    return (details.explanation if details else None) or DECLINED


class WireError(Struct):
    """The `error` object of an error body or an error event."""

    type: str = ""
    message: str = ""
    details: Any = None

    @property
    def code(self) -> str | None:
        code = self.details.get("error_code") if isinstance(self.details, dict) else None
        return code if isinstance(code, str) else None

    def spent(self) -> bool:
        return self.code in SPENT


def failed_of(error: WireError) -> Failed:
    """What an error inside a 200 stream means."""
    kind: FaultKind
    kind, status = ERRORS.get(error.type, ("error_event", None))
    if error.spent():
        kind = "quota_exhausted"
    elif kind == "server_error":
        kind = "error_event"
    return Failed(kind, error.message, status)


class ErrorBody(Struct):
    """A whole error answer; also what some servers put into a 200."""

    error: WireError


_ERROR = msgspec.json.Decoder(ErrorBody)


def read_error(body: bytes) -> WireError | None:
    """The error inside `body`, which may be anything; None when there is none."""
    try:
        return _ERROR.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def url_citations(citations: list[dict[str, Any]], start: int, end: int) -> list[Any]:
    """Web citations of a text block as OpenAI's url_citation; start and end are its place in the whole text, in characters.

    Citations of documents have no place in OpenAI's annotations.
    """
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "url": citation["url"],
                "title": citation.get("title") or "",
                "start_index": start,
                "end_index": end,
            },
        }
        for citation in citations
        if citation.get("type") == "web_search_result_location" and isinstance(citation.get("url"), str)
    ]

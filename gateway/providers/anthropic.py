"""Anthropic's own API: where it is, how it is told who asks, and what its refusals mean.

Sources: platform.claude.com/docs/en/api/errors, anthropic types error_type.py and *_error_details.py.
Anthropic says what happened in error.type and details.error_code. Five things have neither and are told by their text alone: a
prompt beyond the context, an account out of credit (a 400 at older endpoints) or disabled, thoughts that do not belong to this
conversation, and parameters that newer models refuse. Sources of the last two: the migration guide to 2026-10-21, "Preserved thinking".
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gateway.dialects.anthropic_messages import ANTHROPIC
from gateway.dialects.anthropic_wire import ERRORS, WireError, read_error
from gateway.errors import CLIENTS_OWN, Fault, FaultKind, Next
from gateway.providers.answers import redact, retry_after_s
from gateway.types import Abilities, BadReply, Failed, Notes, ProviderHalf, Request, Target, Written

CLIENTS = (*CLIENTS_OWN, "context_overflow")  # kinds that are the client's own mistake: it may read what Anthropic said

TOO_LONG = re.compile(r"prompt is too long|input length and `max_tokens` exceed context limit", re.IGNORECASE)
SPENT = re.compile(r"credit balance is too low|you have reached your specified api usage limits", re.IGNORECASE)
# A permission_error speaks of what was asked for, and so says nothing about the key, unless it says this. At the beginning: no
# client can put it there.
ACCOUNT = re.compile(
    r"(?:this|your) (?:organization|account|workspace|api key)\b.{0,40}\b(?:disabled|suspended|deactivated|revoked|blocked|leaked)\b"
    r"|oauth (?:token has been revoked|authentication is (?:currently )?not)",
    re.IGNORECASE,
)
STALE_THOUGHT = re.compile(
    r"bound to a different conversation|invalid `?signature`? in `?thinking"
    r"|thinking`?\s+blocks?\b.{0,120}(?:cannot be modified|must remain|must be passed)"
    r"|expected `?thinking`? or `?redacted_thinking",
    re.IGNORECASE | re.DOTALL,
)
# A parameter that a model does not take at all, in words; a value that is wrong is the client's own affair.
FORCED = re.compile(r"tool_choice\b.{0,120}not supported|forc\w+ tool use", re.IGNORECASE | re.DOTALL)
THINKING = re.compile(r"thinking\.type\b.{0,80}not supported", re.IGNORECASE)
BOTH = re.compile(r"`?temperature`? and `?top_p`? cannot both", re.IGNORECASE)
REFUSED = re.compile(
    r"`?\b(temperature|top_p|top_k|thinking|output_config|service_tier|metadata|speed)\b[.\w]*`?"
    r"(?:: Extra inputs are not permitted| is deprecated| is not supported)",
    re.IGNORECASE,
)

NEXT: dict[FaultKind, Next] = {
    **dict.fromkeys(CLIENTS_OWN, Next.STOP),
    "context_overflow": Next.OTHER,  # a candidate with a larger context may take it
    "auth": Next.OTHER,
    "forbidden": Next.OTHER,
    "model_missing": Next.OTHER,
    "rate_limited": Next.SAME,
    "quota_exhausted": Next.OTHER,
    "overloaded": Next.SAME,
    "server_error": Next.SAME,
}
# Where the status says more than error.type does.
BY_STATUS: dict[int, FaultKind] = {
    402: "quota_exhausted",
    413: "context_overflow",
    503: "overloaded",
    504: "server_error",
    529: "overloaded",
}
# Where there is no error.type: something in front of Anthropic answered.
WITHOUT_TYPE: dict[int, FaultKind] = {
    401: "auth",
    403: "forbidden",  # a firewall or a closed region; the API itself would name a type
    404: "model_missing",
    408: "server_error",
    409: "server_error",
    429: "rate_limited",
}


# What of a request counts, and is taken where tokens are counted.
COUNTED = ("model", "messages", "system", "tools", "tool_choice", "thinking", "output_config")
_decode_top = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class _Counted(msgspec.Struct):
    input_tokens: int


class AnthropicVendor:
    """types.Vendor of Anthropic's own API. The version header belongs to the body and comes with it (Written.headers)."""

    type = "anthropic"
    base_url = "https://api.anthropic.com"

    def half(self, client: str) -> ProviderHalf | None:
        """Chat in any dialect; there are no embeddings and no moderations."""
        return None if client.endswith(("_embeddings", "_moderations")) else ANTHROPIC

    def looks(self, client: str, abilities: Abilities) -> tuple[bytes, ...]:
        return ()

    def pick(self, client: str, request: Request, abilities: Abilities) -> ProviderHalf:
        return ANTHROPIC

    def count(self, request: Request, target: Target) -> tuple[str, Written] | None:
        """Source: anthropic types message_count_tokens_params.py."""
        written = ANTHROPIC.write_request(request, target, Notes())
        body = {name: value for name, value in _decode_top(written.body).items() if name in COUNTED}
        return "/v1/messages/count_tokens", Written(msgspec.json.encode(body), written.headers)

    def read_count(self, body: bytes) -> int:
        try:
            return msgspec.json.decode(body, type=_Counted).input_tokens
        except (ValueError, RecursionError) as error:
            raise BadReply(f"no count of tokens: {error}") from None

    def path(self, model: str, stream: bool, dialect: str) -> str:
        return "/v1/messages"

    def headers(self, api_key: str) -> list[tuple[str, str]]:
        """x-api-key works with every version of the API."""
        return [("x-api-key", api_key), ("content-type", "application/json")]

    def family(self, model: str) -> bool:
        return model.startswith("claude-")

    def fault(self, status: int, headers: dict[str, str], body: bytes) -> Fault:
        """Classified by status, error.type and error_code, and by text for the two cases that have nothing else."""
        error = read_error(body) or WireError()
        kind, param = _kind(status, error)
        wait = retry_after_s(headers)
        message = redact(error.message)
        return Fault(
            kind=kind,
            next=_next(kind, status, wait),
            status=status,
            safe_message=message if kind in CLIENTS else "",
            log_message=f"{error.code or error.type} {message}".strip(),
            code=error.code,
            param=param,
            retry_after_s=None if kind == "quota_exhausted" else wait,
            body=body if kind in CLIENTS else b"",
        )

    def stream_fault(self, failed: Failed) -> Fault:
        """An error inside a 200: the reader has named its kind already."""
        kind: Any = "auth" if failed.kind == "forbidden" and ACCOUNT.match(failed.message) else failed.kind
        message = redact(failed.message)
        return Fault(
            kind=kind,
            next=NEXT.get(kind, Next.SAME),
            status=failed.status,
            safe_message=message if kind in CLIENTS else "",
            log_message=message,
        )


def _kind(status: int, error: WireError) -> tuple[FaultKind, str | None]:
    """The kind, and our name of the parameter that was refused."""
    if error.spent():
        return "quota_exhausted", None
    if status in BY_STATUS:
        return BY_STATUS[status], None
    if error.type in ERRORS:
        kind = ERRORS[error.type][0]
        if kind in ("bad_request", "forbidden") and ACCOUNT.match(error.message):
            return "auth", None
        return _by_text(error.message[:2000]) if kind == "bad_request" else (kind, None)
    if status >= 500 or status < 400:
        return "server_error", None
    return WITHOUT_TYPE.get(status, "bad_request"), None


def _by_text(message: str) -> tuple[FaultKind, str | None]:
    if TOO_LONG.search(message):
        return "context_overflow", None
    if SPENT.search(message):
        return "quota_exhausted", None
    if STALE_THOUGHT.search(message):
        return "replay_mismatch", None
    param = _refused(message)
    return ("parameter_refused", param) if param else ("bad_request", None)


def _refused(message: str) -> str | None:
    """Our name of the parameter that a model refuses altogether, None where it is a value that is wrong."""
    if FORCED.search(message):
        return "tool_choice"
    if THINKING.search(message):
        return "thinking"
    if BOTH.search(message):
        return "top_p"
    found = REFUSED.match(message)
    return found.group(1).lower() if found else None


def _next(kind: FaultKind, status: int, wait_s: float | None) -> Next:
    if status == 504:
        return Next.OTHER  # asking again costs the same wait once more
    if kind == "rate_limited" and wait_s is None:
        return Next.OTHER  # nothing says that waiting a little would do
    return NEXT[kind]

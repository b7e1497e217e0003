"""Google's Gemini API (Developer API, v1beta): where it is, how it is told who asks, and what its refusals mean.

Sources: https://ai.google.dev/api/generate-content, https://ai.google.dev/gemini-api/docs/troubleshooting, google.rpc.Code.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from gateway.dialects.gemini import GEMINI
from gateway.dialects.gemini_count import read_count, write_count_request
from gateway.dialects.gemini_embeddings import GEMINI_EMBEDDINGS
from gateway.errors import CLIENTS_OWN, Fault, FaultKind, Next
from gateway.providers.answers import (
    error_object,
    redact,
    retry_after_s,
    rpc_details,
    rpc_reasons,
    rpc_retry_s,
    spent_for_the_day,
    words,
)
from gateway.providers.permissions import denied, precondition, streamed
from gateway.types import Abilities, Failed, Notes, ProviderHalf, Request, Target, Written

TOO_LONG = re.compile(r"token count\b.{0,80}\bexceeds|exceeds the maximum number of tokens", re.IGNORECASE)
CLIENTS = (*CLIENTS_OWN, "context_overflow")  # kinds that are the client's own mistake: it may read what Gemini said
# What newer models refuse has no code of its own. Names of our parameter, by the words of the refusal; the first that fits.
UNSIGNED = re.compile(r"thought.?signature", re.IGNORECASE)
REFUSED = (
    (re.compile(r"presence.?penalty", re.IGNORECASE), "presence_penalty"),
    (re.compile(r"frequency.?penalty|penalty is not (?:enabled|supported)", re.IGNORECASE), "frequency_penalty"),
    (
        re.compile(r"thinking.?(?:level|budget|config)|\bthinking\b.{0,40}not supported", re.IGNORECASE),
        "reasoning_effort",
    ),
    (re.compile(r"multiple candidates|candidate.?count", re.IGNORECASE), "n"),
    (re.compile(r"logprobs", re.IGNORECASE), "logprobs"),
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
KINDS: dict[int, FaultKind] = {
    401: "auth",
    402: "quota_exhausted",
    404: "model_missing",
    408: "server_error",
    409: "server_error",
    499: "server_error",
    503: "overloaded",
    529: "overloaded",
}


class GeminiVendor:
    """types.Vendor of Google's Developer API."""

    type = "gemini"
    base_url = "https://generativelanguage.googleapis.com"

    def half(self, client: str) -> ProviderHalf | None:
        if client.endswith("_embeddings"):
            return GEMINI_EMBEDDINGS
        return None if client.endswith("_moderations") else GEMINI

    def looks(self, client: str, abilities: Abilities) -> tuple[bytes, ...]:
        return ()

    def pick(self, client: str, request: Request, abilities: Abilities) -> ProviderHalf:
        return GEMINI

    def count(self, request: Request, target: Target) -> tuple[str, Written] | None:
        name = quote(target.model.removeprefix("models/"), safe="").replace("..", "%2E%2E")
        return f"/v1beta/models/{name}:countTokens", Written(write_count_request(request, target, Notes()))

    def read_count(self, body: bytes) -> int:
        return read_count(body)

    def path(self, model: str, stream: bool, dialect: str) -> str:
        """The model stands in the path: encoded whole, dots in pairs too, so that no name reaches another path."""
        name = quote(model.removeprefix("models/"), safe="").replace("..", "%2E%2E")
        if dialect == GEMINI_EMBEDDINGS.name:
            return f"/v1beta/models/{name}:batchEmbedContents"
        return f"/v1beta/models/{name}:{'streamGenerateContent?alt=sse' if stream else 'generateContent'}"

    def headers(self, api_key: str) -> list[tuple[str, str]]:
        """The key goes in a header, never in the query: queries end up in logs."""
        return [("x-goog-api-key", api_key), ("content-type", "application/json")]

    def family(self, model: str) -> bool:
        return model.removeprefix("models/").startswith("gemini-")

    def fault(self, status: int, headers: dict[str, str], body: bytes) -> Fault:
        """Classified by status (inside a 200: the one it names), google.rpc word and details. An overlong prompt, a missing
        signature, what newer models refuse and most of what a key may not do have nothing but their text."""
        error = error_object(body)
        details = rpc_details(error)
        if 200 <= status < 300:
            status = _inner_status(error)
        kind, param = _kind(status, error, details)
        message = redact(words(error.get("message")))
        return Fault(
            kind=kind,
            next=Next.OTHER if status in (501, 504) else NEXT[kind],  # asking again costs the same wait once more
            status=status,
            safe_message=message if kind in CLIENTS else "",
            log_message=f"{words(error.get('status'))} {message}".strip(),
            param=param,
            retry_after_s=None if kind == "quota_exhausted" else _wait_s(details, headers),
            body=body if kind in CLIENTS else b"",
        )

    def stream_fault(self, failed: Failed) -> Fault:
        """An error inside a 200: what it names, for Gemini names the same things there."""
        kind: Any = streamed(failed)
        message = redact(failed.message)
        return Fault(
            kind=kind,
            next=NEXT.get(kind, Next.SAME),
            status=failed.status,
            safe_message=message if kind in CLIENTS else "",
            log_message=message,
        )


def _inner_status(error: dict[str, Any]) -> int:
    """The status that an error inside a 200 names, else that of a server that failed."""
    code = error.get("code")
    return code if type(code) is int and 400 <= code <= 599 else 500


def _kind(status: int, error: dict[str, Any], details: list[dict[str, Any]]) -> tuple[FaultKind, str | None]:
    """The kind, and our name of the parameter that was refused."""
    if status == 429:
        return ("quota_exhausted" if spent_for_the_day(details) else "rate_limited"), None
    if status == 403:
        return denied(status, words(error.get("message")), rpc_reasons(details), spoken=bool(error)), None
    if status in KINDS:
        return KINDS[status], None
    if status >= 500 or status < 400:  # Google's API redirects nobody: something else answered
        return "server_error", None
    message = words(error.get("message"))
    if "API_KEY_INVALID" in rpc_reasons(details):  # a bad key is a 400 at Google
        return "auth", None
    if error.get("status") == "FAILED_PRECONDITION":
        return precondition(message), None
    return _by_text(message[:2000])


def _by_text(message: str) -> tuple[FaultKind, str | None]:
    if TOO_LONG.search(message):
        return "context_overflow", None
    if UNSIGNED.search(message):
        return "signature_missing", None
    param = next((name for pattern, name in REFUSED if pattern.search(message)), None)
    return ("parameter_refused", param) if param else ("bad_request", None)


def _wait_s(details: list[dict[str, Any]], headers: dict[str, str]) -> float | None:
    """RetryInfo's delay, where there is one; it is more exact than the header."""
    found = rpc_retry_s(details)
    return found if found is not None else retry_after_s(headers)

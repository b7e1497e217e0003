"""Google's Gemini API (Developer API, v1beta): where it is, how it is told who asks, and what its refusals mean.

Sources: https://ai.google.dev/api/generate-content, https://ai.google.dev/gemini-api/docs/troubleshooting, google.rpc.Code.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from gateway.dialects.gemini import GEMINI
from gateway.errors import Fault, FaultKind, Next
from gateway.providers.answers import MAX_WAIT_S, duration_s, error_object, redact, retry_after_s, words
from gateway.types import Failed, ProviderHalf

TOO_LONG = re.compile(r"token count\b.{0,80}\bexceeds|exceeds the maximum number of tokens", re.IGNORECASE)
CLIENTS = ("bad_request", "context_overflow")  # kinds that are the client's own mistake: it may read what Gemini said

NEXT: dict[FaultKind, Next] = {
    "bad_request": Next.STOP,
    "context_overflow": Next.OTHER,  # a candidate with a larger context may take it
    "auth": Next.OTHER,
    "model_missing": Next.OTHER,
    "rate_limited": Next.SAME,
    "quota_exhausted": Next.OTHER,
    "overloaded": Next.SAME,
    "server_error": Next.SAME,
}
KINDS: dict[int, FaultKind] = {
    401: "auth",
    402: "quota_exhausted",
    403: "auth",
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
            return None
        return None if client.endswith("_moderations") else GEMINI

    def path(self, model: str, stream: bool, dialect: str) -> str:
        """The model stands in the path: encoded whole, dots in pairs too, so that no name reaches another path."""
        name = quote(model.removeprefix("models/"), safe="").replace("..", "%2E%2E")
        return f"/v1beta/models/{name}:{'streamGenerateContent?alt=sse' if stream else 'generateContent'}"

    def headers(self, api_key: str) -> list[tuple[str, str]]:
        """The key goes in a header, never in the query: queries end up in logs."""
        return [("x-goog-api-key", api_key), ("content-type", "application/json")]

    def family(self, model: str) -> bool:
        return model.removeprefix("models/").startswith("gemini-")

    def fault(self, status: int, headers: dict[str, str], body: bytes) -> Fault:
        """Classified by status, google.rpc word and details; only an overlong prompt has nothing but its text."""
        error = error_object(body)
        details = _details(error)
        kind = _kind(status, error, details)
        message = redact(words(error.get("message")))
        return Fault(
            kind=kind,
            next=Next.OTHER if status in (501, 504) else NEXT[kind],  # asking again costs the same wait once more
            status=status,
            safe_message=message if kind in CLIENTS else "",
            log_message=f"{words(error.get('status'))} {message}".strip(),
            retry_after_s=None if kind == "quota_exhausted" else _retry_after_s(details, headers),
            body=body if kind in CLIENTS else b"",
        )

    def stream_fault(self, failed: Failed) -> Fault:
        """An error inside a 200: what it names, for Gemini names the same things there."""
        kind: Any = failed.kind
        message = redact(failed.message)
        return Fault(
            kind=kind,
            next=NEXT.get(kind, Next.SAME),
            status=failed.status,
            safe_message=message if kind in CLIENTS else "",
            log_message=message,
        )


def _kind(status: int, error: dict[str, Any], details: list[dict[str, Any]]) -> FaultKind:
    if status == 429:
        return "quota_exhausted" if _spent_for_the_day(details) else "rate_limited"
    if status in KINDS:
        return KINDS[status]
    if status >= 500 or status < 400:  # Google's API redirects nobody: something else answered
        return "server_error"
    # A bad key is a 400 at Google; so is a region or an account that may not use the model.
    reasons = {detail.get("reason") for detail in details if isinstance(detail.get("reason"), str)}
    if "API_KEY_INVALID" in reasons or error.get("status") == "FAILED_PRECONDITION":
        return "auth"
    return "context_overflow" if TOO_LONG.search(words(error.get("message"))[:2000]) else "bad_request"


def _details(error: dict[str, Any]) -> list[dict[str, Any]]:
    details = error.get("details")
    return [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []


def _spent_for_the_day(details: list[dict[str, Any]]) -> bool:
    """Whether a quota by the day is used up; one by the minute comes back by itself."""
    violations = [found for detail in details if isinstance(found := detail.get("violations"), list)]
    quotas = [violation.get("quotaId") for found in violations for violation in found if isinstance(violation, dict)]
    return any("PerDay" in quota for quota in quotas if isinstance(quota, str))


def _retry_after_s(details: list[dict[str, Any]], headers: dict[str, str]) -> float | None:
    """RetryInfo's delay ("34.07s"), where there is one; it is more exact than the header."""
    delays = [detail["retryDelay"] for detail in details if isinstance(detail.get("retryDelay"), str)]
    found = duration_s(delays[0]) if delays else None
    return min(found, MAX_WAIT_S) if found is not None else retry_after_s(headers)

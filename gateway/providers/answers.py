"""What every vendor's error answer needs: how long to wait, the error object inside, and a text that is safe to show.

Rule 1: everything here takes anything: HTML, lists, garbage, a megabyte of braces. Nothing raises.
Rule 2: a text leaves only through `redact`: it may name the client's mistake, never a key, a host or the operator's account.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

MAX_WAIT_S = 300.0
MAX_MESSAGE_CHARS = 500
MAX_READ_CHARS = 2048  # a longer text is cut before it is searched: redaction costs bounded time

_SECRETS = re.compile(
    r"(?i:\bbearer\s+)\S+"
    r"|\b(?:sk|pk|rk|gsk|xai|ghp|pplx)[-_][A-Za-z0-9*_.\-]{6,}"
    r"|\b(?:key|token|hf|org|proj|user)[-_](?=[A-Za-z_.\-]*[0-9*])[A-Za-z0-9*_.\-]{6,}"
    r"|\b(?:AIza|AKIA|ASIA|ya29\.)[A-Za-z0-9*_.\-]{6,}"
    r"|\beyJ[A-Za-z0-9_-]{6,}[A-Za-z0-9_.\-]*"
    r"|\b(?=[A-Za-z_\-]*\d)(?=[\d_\-]*[A-Za-z])[A-Za-z0-9_\-]{32,}(?<![-_])"
)
_PLACES = re.compile(
    r"\b[A-Za-z][A-Za-z0-9+.\-]*://[^\s\"'<>)\]]+"
    r"|\b(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?\b"
    r"|\[[0-9A-Fa-f:]*:[0-9A-Fa-f:]+\](?::\d+)?"
    r"|\blocalhost(?::\d+)?\b"
    r"|\b(?:[A-Za-z0-9_\-]+\.)+(?:com|net|org|io|ai|dev|app|cloud|internal|local|lan|svc|cluster|corp)\b(?::\d+)?(?:/[^\s\"'<>)\]]*)?"
)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_DURATION_UNITS_S = (86400.0, 3600.0, 60.0, 1.0, 0.001)
_RESETS = (
    ("x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ("x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
)


def retry_after_s(headers: dict[str, str]) -> float | None:
    """Seconds to wait as the vendor says, 0 to MAX_WAIT_S, or None when it does not.

    Header names are lower-case. Order: retry-after-ms, retry-after in seconds or as a date, x-ratelimit-reset-*. A date is
    measured against the vendor's own clock, the `date` header beside it.
    """
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return min(milliseconds / 1000.0, MAX_WAIT_S)
    seconds = _number(headers.get("retry-after"))
    if seconds is not None:
        return min(seconds, MAX_WAIT_S)
    until = _until_s(headers.get("retry-after"), headers.get("date"))
    return min(until, MAX_WAIT_S) if until is not None else _reset_s(headers)


def _until_s(date: str | None, now: str | None) -> float | None:
    """Seconds from one HTTP date to another, at least 0; None when one of them is none."""
    if not date or not now:
        return None
    try:
        return max(0.0, (parsedate_to_datetime(date[:64]) - parsedate_to_datetime(now[:64])).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None


def rpc_details(error: dict[str, Any]) -> list[dict[str, Any]]:
    """The google.rpc details of an error object, which Google's compatible endpoint sends too; [] when there are none."""
    details = error.get("details")
    return [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []


def rpc_reasons(details: list[dict[str, Any]]) -> set[str]:
    """The reasons of google.rpc.ErrorInfo, for example API_KEY_INVALID."""
    return {reason for detail in details if isinstance(reason := detail.get("reason"), str)}


def spent_for_the_day(details: list[dict[str, Any]]) -> bool:
    """Whether a quota by the day is used up (google.rpc.QuotaFailure); one by the minute comes back by itself."""
    violations = [found for detail in details if isinstance(found := detail.get("violations"), list)]
    quotas = [violation.get("quotaId") for found in violations for violation in found if isinstance(violation, dict)]
    return any("PerDay" in quota for quota in quotas if isinstance(quota, str))


def rpc_retry_s(details: list[dict[str, Any]]) -> float | None:
    """The delay of google.rpc.RetryInfo ("34.07s"), at most MAX_WAIT_S; None when there is none."""
    delays = [delay for detail in details if isinstance(delay := detail.get("retryDelay"), str)]
    found = duration_s(delays[0]) if delays else None
    return min(found, MAX_WAIT_S) if found is not None else None


def duration_s(text: str) -> float | None:
    """A duration as vendors write it, "6m0s", "20ms", "34.07s" or bare seconds, in seconds; None for anything else."""
    bare = _number(text)
    if bare is not None:
        return bare
    found = _DURATION.fullmatch(text.strip()[:64])
    if found is None or not any(found.groups()):
        return None
    return sum(float(part) * unit for part, unit in zip(found.groups(), _DURATION_UNITS_S, strict=True) if part)


def redact(text: str) -> str:
    """`text` on one line without keys, account ids, URLs and hosts, at most MAX_MESSAGE_CHARS long."""
    line = _CONTROLS.sub(" ", text[:MAX_READ_CHARS]).strip()
    line = _PLACES.sub("[host]", _SECRETS.sub("[redacted]", line))
    return line if len(line) <= MAX_MESSAGE_CHARS else line[: MAX_MESSAGE_CHARS - 1] + "…"


def error_object(body: bytes) -> dict[str, Any]:
    """The error object inside a vendor's body, {} when there is none.

    Takes {"error": {…}}, a list of one of these (Google's compatible endpoint), {"error": "x", "error_description": "y"}
    (OAuth), and a bare {"message": …} (several compatible servers). Plain text and HTML give {}.
    """
    document = parsed(body)
    if isinstance(document, list) and document:
        document = document[0]
    if not isinstance(document, dict):
        return {}
    error = document.get("error")
    if isinstance(error, dict):
        return error
    if isinstance(error, str):
        return {"message": words(document.get("error_description")) or words(document.get("message")) or error}
    return document if isinstance(document.get("message"), str) else {}


def parsed(body: bytes) -> Any:
    """The JSON value that `body` is, or None for whatever is no JSON."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def words(value: object) -> str:
    """`value` when it is a text, else ""."""
    return value if isinstance(value, str) else ""


def code_of(error: dict[str, Any]) -> str | None:
    """The vendor's own code as a short text; some send numbers, some send none."""
    code = error.get("code")
    if isinstance(code, bool) or not isinstance(code, str | int) or code == "":
        return None
    return str(code)[:100]


def _number(text: str | None) -> float | None:
    """A finite number of at least 0, however the header spells it; a negative one means now."""
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return max(number, 0.0) if abs(number) < 1e12 else None


def _reset_s(headers: dict[str, str]) -> float | None:
    """The longest window among those that are used up; one that does not say what remains may be the one. Others tell nothing."""
    waits = []
    for remaining, reset in _RESETS:
        wait = duration_s(headers.get(reset, ""))
        if wait is not None and headers.get(remaining, "0") == "0":
            waits.append(wait)
    return min(max(waits), MAX_WAIT_S) if waits else None

"""Errors as Google's APIs spell them (google.rpc.Status in JSON), whole and inside a stream.

Source: https://cloud.google.com/apis/design/errors, google.rpc error_details.proto; gemini-cli reads RetryInfo and QuotaFailure.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.types import ClientError

STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
RPC = "type.googleapis.com/google.rpc."
DOMAIN = "gateway"
SPENT = "quota_exceeded"
QUOTA_ID = "TokensPerDayPerTenant"  # clients take a quota with PerDay in its id for one that no waiting brings back


def write_error(error: ClientError) -> bytes:
    """The body of an error answer."""
    return msgspec.json.encode({"error": error_object(error)})


def error_object(error: ClientError) -> dict[str, Any]:
    """code, message, status and details; `attempts` after all candidates failed."""
    fallback = "INTERNAL" if error.status >= 500 else "INVALID_ARGUMENT"
    written: dict[str, Any] = {
        "code": error.status,
        "message": error.message,
        "status": STATUSES.get(error.status, fallback),
        "details": _details(error),
    }
    if error.attempts is not None:
        written["attempts"] = error.attempts
    return written


def _details(error: ClientError) -> list[dict[str, Any]]:
    details: list[dict[str, Any]] = []
    if error.code:
        reason = error.code.upper()
        details.append({"@type": f"{RPC}ErrorInfo", "reason": reason, "domain": DOMAIN})
    if error.param:
        violation = {"field": error.param, "description": error.message}
        details.append({"@type": f"{RPC}BadRequest", "fieldViolations": [violation]})
    if error.code == SPENT:
        violation = {"quotaId": QUOTA_ID, "description": error.message}
        details.append({"@type": f"{RPC}QuotaFailure", "violations": [violation]})
    if error.retry_after_s is not None:
        details.append({"@type": f"{RPC}RetryInfo", "retryDelay": _duration(error.retry_after_s)})
    return details


def _duration(seconds: float) -> str:
    """A protobuf Duration: decimal seconds and an s."""
    return f"{max(seconds, 0):.3f}".rstrip("0").rstrip(".") + "s"

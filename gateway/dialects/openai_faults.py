"""What an OpenAI error object means, by its code and type, never by its text.

Used for error frames inside a stream here, and for whole error answers by the provider. Sources: the error types of
openai-python, the error codes page of the API documentation.
"""

from __future__ import annotations

from typing import Any

from gateway.errors import FaultKind
from gateway.types import Failed

QUOTA_CODES = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "billing_hard_limit_reached",
        "billing_not_active",
    }
)
KINDS: dict[str, FaultKind] = {
    **dict.fromkeys(QUOTA_CODES, "quota_exhausted"),
    "rate_limit_exceeded": "rate_limited",
    "rate_limit_error": "rate_limited",
    "requests": "rate_limited",
    "tokens": "rate_limited",
    "context_length_exceeded": "context_overflow",
    "model_not_found": "model_missing",
    "not_found_error": "model_missing",
    "NotFoundError": "model_missing",
    "NOT_FOUND": "model_missing",
    "DeploymentNotFound": "model_missing",
    "missing_scope": "forbidden",
    "unsupported_country_region_territory": "forbidden",
    "model_permission_blocked_org": "forbidden",
    "model_permission_blocked_project": "forbidden",
    "invalid_api_key": "auth",
    "authentication_error": "auth",
    "permission_error": "auth",
    "server_error": "server_error",
    "api_error": "server_error",
    "internal_error": "server_error",
    "internal_server_error": "server_error",
    "timeout_error": "server_error",
    "overloaded": "overloaded",
    "overloaded_error": "overloaded",
    "server_is_overloaded": "overloaded",
    "slow_down": "overloaded",
    "service_unavailable": "overloaded",
    "service_unavailable_error": "overloaded",
    "invalid_request_error": "bad_request",
    "image_generation_user_error": "bad_request",
    "invalid_prompt": "bad_request",
    "content_policy_violation": "bad_request",
}


def kind_of(error: dict[str, Any]) -> FaultKind | None:
    """The kind that the code names, else the one that the type names, else None."""
    for field in ("code", "type"):
        word = error.get(field)
        if isinstance(word, str) and word in KINDS:
            return KINDS[word]
    return None


def failed_of(error: object) -> Failed:
    """The event for an error inside a stream; `error` is whatever stood under "error"."""
    if not isinstance(error, dict):
        return Failed("error_event", error if isinstance(error, str) else "")
    message, status = error.get("message"), _status(error)
    return Failed(kind_of(error) or _by_status(status), message if isinstance(message, str) else "", status)


def _status(error: dict[str, Any]) -> int | None:
    """Compatible servers put an HTTP status into `code` or `status`."""
    for field in ("status", "status_code", "code"):
        number = error.get(field)
        if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) == 3:
            number = int(number)
        if type(number) is int and 400 <= number <= 599:
            return number
    return None


def _by_status(status: int | None) -> FaultKind:
    if status is None:
        return "error_event"
    known: dict[int, FaultKind] = {
        401: "auth",
        402: "quota_exhausted",
        403: "auth",
        429: "rate_limited",
        503: "overloaded",
        529: "overloaded",
    }
    return known.get(status, "server_error" if status >= 500 else "bad_request")

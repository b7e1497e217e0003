"""Anthropic's error bodies: {"type": "error", "error": {type, message, details?}, "request_id"}.

Source: Anthropic's error reference and the SDK's error types; wordings as the API gives them.
"""

from __future__ import annotations

from typing import Any

from gateway.simulator.faults import Fault
from gateway.simulator.replies import Refused

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    503: "overloaded_error",
    529: "overloaded_error",
}
SAID = {
    400: "messages: simulated invalid request",
    401: "invalid x-api-key",
    402: "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.",
    403: "Your API key does not have permission to use the specified resource. (simulated)",
    404: "model: simulated",
    413: "Request exceeds the maximum size",
    429: "This request would exceed your organization's rate limit of 50 requests per minute. (simulated)",
    504: "Request timed out. (simulated)",
    503: "Overloaded",
    529: "Overloaded",
}
# Spend limits are refusals that waiting does not cure: they come without a retry-after.
SPEND_CODES = frozenset({"enforced_spend_limit_reached", "contract_spend_limit_reached"})


def body(status: int, message: str, code: str | None = None) -> dict[str, Any]:
    """An error body; the request's id is filled in when it is sent."""
    error: dict[str, Any] = {"type": TYPES.get(status, "api_error"), "message": message}
    if code is not None:
        error["details"] = {"error_code": code}
    return {"type": "error", "error": error, "request_id": None}


def refused(message: str, status: int = 400) -> Refused:
    """An error as Anthropic words it."""
    return Refused(status, body(status, message))


def failure(fault: Fault) -> Refused:
    """The vendor's own answer with the status of a fault."""
    status = fault.answer_status
    headers = {}
    if fault.retry_after_s is not None and fault.code not in SPEND_CODES:
        headers["retry-after"] = f"{fault.retry_after_s:g}"
    return Refused(status, body(status, SAID.get(status, "Internal server error"), fault.code), headers)

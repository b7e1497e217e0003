"""Google's error bodies: {"error": {code, message, status, details?}}, the shape of google.rpc.Status.

Source: Google's API error model and answers of generativelanguage.googleapis.com. A stream without alt=sse gets its error in a list.
"""

from __future__ import annotations

from typing import Any

from gateway.simulator.faults import Fault
from gateway.simulator.replies import Refused

RPC = "type.googleapis.com/google.rpc."
STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
SAID = {
    400: "Request contains an invalid argument.",
    401: "Request had invalid authentication credentials.",
    403: "Your project has been denied access. (simulated)",
    404: "Requested entity was not found.",
    429: "You exceeded your current quota, please check your plan and billing details. For more information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits.",
    500: "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting",
    503: "The model is overloaded. Please try again later.",
    504: "The request timed out. Please try again.",
}


def body(status: int, message: str, details: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """An error body."""
    error: dict[str, Any] = {"code": status, "message": message, "status": STATUS.get(status, "UNKNOWN")}
    if details:
        error["details"] = details
    return {"error": error}


def refused(message: str, status: int = 400, details: list[dict[str, Any]] | None = None) -> Refused:
    """An error as Google words it."""
    return Refused(status, body(status, message, details))


def payload(message: str, field: str | None = None) -> Refused:
    """JSON that does not fit the message: Google repeats the sentence as a field violation."""
    violation = {"field": field, "description": message} if field else {"description": message}
    return refused(message, details=[{"@type": f"{RPC}BadRequest", "fieldViolations": [violation]}])


def bad_key() -> Refused:
    reason = {
        "@type": f"{RPC}ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
        "metadata": {"service": "generativelanguage.googleapis.com"},
    }
    said = {
        "@type": f"{RPC}LocalizedMessage",
        "locale": "en-US",
        "message": "API key not valid. Please pass a valid API key.",
    }
    return refused("API key not valid. Please pass a valid API key.", details=[reason, said])


def no_key() -> Refused:
    return refused(
        "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of "
        "API consumer identity to call this API.",
        403,
    )


def oauth_key() -> Refused:
    return refused(
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication "
        "credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
        401,
    )


def no_model(model: str, method: str) -> Refused:
    return refused(
        f"models/{model} is not found for API version v1beta, or is not supported for {method}. Call ListModels to see the list of "
        "available models and their supported methods.",
        404,
    )


def no_cache() -> Refused:
    return refused("CachedContent not found (or permission denied)", 403)


def failure(fault: Fault) -> Refused:
    """The vendor's own answer with the status of a fault. A wait travels in RetryInfo; `code` "PerDay" is the daily quota."""
    status = fault.answer_status
    details: list[dict[str, Any]] = []
    if status == 429 and (fault.code or fault.retry_after_s is not None):
        window = "PerDay" if fault.code and "day" in fault.code.lower() else "PerMinute"
        violation = {
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
            "quotaId": f"GenerateRequests{window}PerProjectPerModel-FreeTier",
            "quotaDimensions": {"location": "global", "model": "simulated"},
            "quotaValue": "20",
        }
        details.append({"@type": f"{RPC}QuotaFailure", "violations": [violation]})
        details.append(
            {
                "@type": f"{RPC}Help",
                "links": [{"description": "Learn more", "url": "https://ai.google.dev/gemini-api/docs/rate-limits"}],
            }
        )
    if fault.retry_after_s is not None:
        details.append({"@type": f"{RPC}RetryInfo", "retryDelay": f"{fault.retry_after_s:g}s"})
    return refused(SAID.get(status, "Unknown error."), status, details)

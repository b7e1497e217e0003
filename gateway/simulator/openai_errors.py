"""OpenAI's error bodies: {"error": {message, type, param, code}}, with the wording of its API.

Source: answers of api.openai.com as quoted in its error guide and in issue trackers.
"""

from __future__ import annotations

from typing import Any

from gateway.simulator.faults import Fault
from gateway.simulator.replies import Refused

INVALID = "invalid_request_error"


def refused(
    message: str, param: str | None = None, code: str | None = None, status: int = 400, type: str = INVALID
) -> Refused:
    """An error as OpenAI words it."""
    return Refused(status, error_body(message, type, param, code))


def error_body(message: str, type: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": type, "param": param, "code": code}}


def no_key() -> Refused:
    return refused(
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
        "(i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're accessing the API "
        "from your browser and are prompted for a username and password. You can obtain an API key from "
        "https://platform.openai.com/account/api-keys.",
        status=401,
    )


def wrong_key(key: str) -> Refused:
    shown = key[:3] + "*" * 8 + key[-4:] if len(key) > 8 else "*" * len(key)
    return refused(
        f"Incorrect API key provided: {shown}. You can find your API key at https://platform.openai.com/account/api-keys.",
        code="invalid_api_key",
        status=401,
    )


def no_model(model: str) -> Refused:
    return refused(
        f"The model `{model}` does not exist or you do not have access to it.", code="model_not_found", status=404
    )


QUOTA_CODES = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
    }
)


MISSING_SCOPE = (
    "You have insufficient permissions for this operation. Missing scopes: model.request. Check that you have the correct role in "
    "your organization (Reader, Writer, Owner) and project (Member, Owner), and if you're using a restricted API key, that it has "
    "the necessary scopes."
)


def failure(fault: Fault) -> Refused:
    """The vendor's own answer with the status of a fault."""
    status = fault.answer_status
    headers = {} if fault.retry_after_s is None else {"retry-after": f"{fault.retry_after_s:g}"}
    message, type, code = _failure_words(status, fault)
    return Refused(status, error_body(message, type, None, fault.code or code), headers)


def _failure_words(status: int, fault: Fault) -> tuple[str, str, str | None]:
    wait = fault.retry_after_s if fault.retry_after_s is not None else 1
    if status == 429 and fault.code in QUOTA_CODES:
        quota = "You exceeded your current quota, please check your plan and billing details."
        return quota, "insufficient_quota", fault.code
    if status in (401, 403) and fault.code == "missing_scope":
        return MISSING_SCOPE, INVALID, fault.code
    match status:
        case 400:
            return "We could not parse the JSON body of your request. (simulated)", INVALID, None
        case 401:
            return "Incorrect API key provided: sk-sim**. (simulated)", INVALID, "invalid_api_key"
        case 403:
            return (
                "Country, region, or territory not supported. (simulated)",
                "request_forbidden",
                "unsupported_country_region_territory",
            )
        case 404:
            return "The model does not exist or you do not have access to it. (simulated)", INVALID, "model_not_found"
        case 413:
            return "Request too large. (simulated)", INVALID, None
        case 422:
            return "The request could not be processed. (simulated)", INVALID, None
        case 429:
            limit = f"Rate limit reached for simulated models on requests per min (RPM): Limit 500, Used 500, Requested 1. Please try again in {wait:g}s."
            return limit, "requests", "rate_limit_exceeded"
        case 503:
            return (
                "The engine is currently overloaded, please try again later. (simulated)",
                "service_unavailable",
                None,
            )
        case _:
            return (
                "The server had an error while processing your request. Sorry about that! (simulated)",
                "server_error",
                None,
            )

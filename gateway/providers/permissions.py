"""Whose affair a refused access is: the key's, which is everybody's, or that of one request.

A key that is refused rests, for all tenants. So a refusal that one tenant can provoke, by naming a file, a cache or a model that
this key may not use, must not pass for one of the key.

Rule 1: what is not known to be about the request is about the key. A wrong guess that way costs a short rest.
Rule 2: words are compared only where the vendor gives no code, and only words that say "this request": what a client can write
into a vendor's message (a file's name) must not make it one about the key.
Rule 3: a 403 without the API's own error object comes from something in front of it, a firewall that did not like a prompt.

Sources: google.api.ErrorReason; answers of generativelanguage.googleapis.com, api.openai.com, Groq, OpenRouter and xAI as quoted in
issue trackers (python-genai #1218, deprecated-generative-ai-python #617, openclaw #56658).
"""

from __future__ import annotations

import re

from gateway.errors import FaultKind
from gateway.types import Failed

MAX_CHARS = 2000  # of a message are searched
_SCOPE = re.compile(
    r"\bmissing scopes?:|\binsufficient permissions for this operation|\binsufficient authentication scopes",
    re.IGNORECASE,
)
_REQUEST = re.compile(
    _SCOPE.pattern
    # A resource, and whether it exists is not told.
    + r"|\(or permission denied\)|\bor it (?:may|might) not exist\b"
    r"|\b(?:do not|does not|don't|doesn't) have (?:access|permission) to (?:access |use )?(?:the |this )?(?:tuned ?)?(?:model|file|cached ?content)"
    # A model.
    r"|\bmust be verified to (?:use|stream)\b"
    r"|\bmodel\b.{0,200}\b(?:blocked at the (?:organization|project) level|not available in your (?:country|region))"
    # Where it is asked from.
    r"|\b(?:country|region|territory|location)(?: is)? not supported\b|\bunsupported (?:country|countries|region|location)"
    # What it says: compatible servers refuse content with a 403.
    r"|\binput was flagged\b|\bviolates usage guidelines\b",
    re.IGNORECASE,
)
# Of a file that is still being taken in: it is there, and the client has to wait for it.
_UNREADY = re.compile(r"the file \S{1,100} is not in an active state", re.IGNORECASE)
# google.rpc.ErrorInfo.reason, where it decides against what the words say.
_REQUEST_REASONS = frozenset(
    {"ACCESS_TOKEN_SCOPE_INSUFFICIENT", "IAM_PERMISSION_DENIED", "RESOURCE_PROJECT_INVALID", "LOCATION_POLICY_VIOLATED"}
)
_KEY_REASONS = frozenset(
    {
        "API_KEY_INVALID",
        "API_KEY_SERVICE_BLOCKED",
        "API_KEY_HTTP_REFERRER_BLOCKED",
        "API_KEY_IP_ADDRESS_BLOCKED",
        "API_KEY_ANDROID_APP_BLOCKED",
        "API_KEY_IOS_APP_BLOCKED",
        "ACCESS_TOKEN_EXPIRED",
        "ACCESS_TOKEN_TYPE_UNSUPPORTED",
        "ACCOUNT_STATE_INVALID",
        "BILLING_DISABLED",
        "CONSUMER_INVALID",
        "CONSUMER_SUSPENDED",
        "CREDENTIALS_MISSING",
        "SERVICE_DISABLED",
        "USER_PROJECT_DENIED",
    }
)


def denied(status: int, message: str, reasons: set[str] | None = None, *, spoken: bool = True) -> FaultKind:
    """What a 401 or 403 is about: "auth", the key, or "forbidden", this request. A 401 is about a request only where it misses a scope.

    `spoken`: there is an error object of the API's own; `reasons` are those of google.rpc.ErrorInfo.
    """
    found = reasons or set()
    if found & _REQUEST_REASONS:
        return "forbidden"
    if found & _KEY_REASONS:
        return "auth"
    if status == 401:
        return "forbidden" if _SCOPE.search(message[:MAX_CHARS]) else "auth"
    return "forbidden" if not spoken or _REQUEST.search(message[:MAX_CHARS]) else "auth"


def streamed(failed: Failed) -> str:
    """The kind of an error inside a 200, where "auth" is all that its dialect can tell."""
    return denied(failed.status or 403, failed.message) if failed.kind == "auth" else failed.kind


def precondition(message: str) -> FaultKind:
    """What Google's FAILED_PRECONDITION is about: a file that is not ready, a region, else the account (free tier, billing)."""
    return "bad_request" if _UNREADY.match(message) else denied(403, message)

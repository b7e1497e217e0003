"""Refusals of access as vendors word them: is it the key, which rests then, or only this request?"""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.core.retry import EFFECT, cooldown_s
from gateway.errors import Next
from gateway.providers import PROVIDERS
from gateway.types import Failed

SCOPES = (
    "You have insufficient permissions for this operation. Missing scopes: api.model.images.request. Check that you have the "
    "correct role in your organization (Reader, Writer, Owner) and project (Member, Owner), and if you're using a restricted API "
    "key, that it has the necessary scopes."
)
UNUSED = (
    "Generative Language API has not been used in project 4711 before or it is disabled. Enable it by visiting "
    "https://console.developers.google.com/apis/api/generativelanguage.googleapis.com/overview?project=4711 then retry."
)


def openai(message: str, code: str | None = None, type_: str = "invalid_request_error") -> bytes:
    return json.dumps({"error": {"message": message, "type": type_, "param": None, "code": code}}).encode()


def anthropic(message: str, type_: str = "permission_error") -> bytes:
    return json.dumps({"type": "error", "error": {"type": type_, "message": message}, "request_id": "req_1"}).encode()


def google(message: str, reason: str = "", code: int = 403, status: str = "PERMISSION_DENIED") -> bytes:
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    if reason:
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}
        error["details"] = [info]
    return json.dumps({"error": error}).encode()


OF_THE_REQUEST: list[tuple[str, int, bytes]] = [
    ("gemini", 403, google("CachedContent not found (or permission denied)")),
    ("gemini", 403, google("You do not have permission to access the File abc-123 or it may not exist.")),
    ("gemini", 403, google("You do not have permission to access the File billing-api-key-blocked or it may not exist.")),
    ("gemini", 403, google("You do not have permission to access tuned model tunedModels/x-1.")),
    ("gemini", 403, google("Permission 'aiplatform.endpoints.predict' denied on resource '//x/models/y' (or it may not exist).", "IAM_PERMISSION_DENIED")),
    ("gemini", 403, google("Request had insufficient authentication scopes.", "ACCESS_TOKEN_SCOPE_INSUFFICIENT")),
    ("gemini", 403, b"<html><title>403. That's an error.</title></html>"),
    ("gemini", 400, google("User location is not supported for the API use.", "", 400, "FAILED_PRECONDITION")),
    ("openai", 401, openai(SCOPES)),
    ("openai", 403, openai(SCOPES)),
    ("openai", 401, openai("Missing scopes: model.request", "missing_scope")),
    ("openai", 403, openai("Country, region, or territory not supported", "unsupported_country_region_territory", "request_forbidden")),
    ("openai", 403, openai("Your organization must be verified to use the model `gpt-image-1`. Please go to: https://platform.openai.com/settings and click on Verify Organization.")),
    ("openai", 403, openai("Project `proj_abc` does not have access to model `gpt-9`")),
    ("openai", 403, b"<html>Attention Required! | Cloudflare</html>"),
    ("openai_compatible", 403, openai("The model `llama-9` is blocked at the project level. Please have a project admin enable this model.", "model_permission_blocked_project", "permissions_error")),
    ("openai_compatible", 403, openai('openai/gpt-4 requires moderation. Your input was flagged for "violence".')),
    ("openai_compatible", 403, b'{"code":"The caller does not have permission to execute the specified operation","error":"Content violates usage guidelines."}'),
    ("openai_compatible", 403, b"[" + google("CachedContent not found (or permission denied)") + b"]"),
    ("openai_compatible", 400, b"[" + google("User location is not supported for the API use.", "", 400, "FAILED_PRECONDITION") + b"]"),
    ("anthropic", 403, anthropic("Your API key does not have permission to use the specified resource.")),
    ("anthropic", 403, anthropic("OAuth token does not meet scope requirement user:inference")),
    ("anthropic", 403, anthropic("Request not allowed", "forbidden")),
    ("anthropic", 403, b"<html>Attention Required! | Cloudflare</html>"),
]  # fmt: skip

OF_THE_KEY: list[tuple[str, int, bytes]] = [
    ("gemini", 400, google("API key not valid. Please pass a valid API key.", "API_KEY_INVALID", 400, "INVALID_ARGUMENT")),
    ("gemini", 400, google("Gemini API free tier is not available in your country. Please enable billing on your project in Google AI Studio.", "", 400, "FAILED_PRECONDITION")),
    ("gemini", 401, google("Request had invalid authentication credentials.", "", 401, "UNAUTHENTICATED")),
    ("gemini", 403, google("Your API key was reported as leaked. Please use another API key.")),
    ("gemini", 403, google("Permission denied: Consumer 'api_key:x' has been suspended.", "CONSUMER_SUSPENDED")),
    ("gemini", 403, google("Requests to this API generativelanguage.googleapis.com method GenerateContent are blocked.", "API_KEY_SERVICE_BLOCKED")),
    ("gemini", 403, google("The provided API key has an IP address restriction.", "API_KEY_IP_ADDRESS_BLOCKED")),
    ("gemini", 403, google(UNUSED, "SERVICE_DISABLED")),
    ("gemini", 403, google(UNUSED)),
    ("gemini", 403, google("This API method requires billing to be enabled.", "BILLING_DISABLED")),
    ("gemini", 403, google("Your project has been denied access. Please contact support.")),
    ("gemini", 403, google("The caller does not have permission")),
    ("openai", 401, openai("Incorrect API key provided: sk-proj-***abcd.", "invalid_api_key")),
    ("openai", 401, openai("Your account has been deactivated.", "account_deactivated")),
    ("openai", 401, openai("You must be a member of an organization to use the API.")),
    ("openai", 401, openai("Country, region, or territory not supported")),
    ("openai", 401, b"<html>401</html>"),
    ("openai", 403, openai("Your access was terminated due to violation of our policies.", "access_terminated")),
    ("openai_compatible", 403, openai("Forbidden")),
    ("openai_compatible", 403, b"[" + google(UNUSED, "SERVICE_DISABLED") + b"]"),
    ("anthropic", 401, anthropic("invalid x-api-key", "authentication_error")),
    ("anthropic", 403, anthropic("OAuth authentication is currently not allowed for this organization.")),
    ("anthropic", 403, anthropic("OAuth token has been revoked. Please obtain a new token.")),
    ("anthropic", 403, anthropic("This organization has been disabled.")),
    ("anthropic", 400, anthropic("This organization has been disabled.", "invalid_request_error")),
]  # fmt: skip


@pytest.mark.parametrize(("vendor", "status", "body"), OF_THE_REQUEST)
def test_what_one_request_may_not_do_is_no_verdict_on_the_key(vendor: str, status: int, body: bytes) -> None:
    found = PROVIDERS[vendor].fault(status, {}, body)

    assert (found.kind, found.next, found.status) == ("forbidden", Next.OTHER, status)
    assert (found.safe_message, found.body) == ("", b""), "it may name what another tenant has"
    assert (cooldown_s(found), EFFECT[found.kind].breaker) == (0.0, "neutral")


@pytest.mark.parametrize(("vendor", "status", "body"), OF_THE_KEY)
def test_a_refusal_of_the_key_is_one(vendor: str, status: int, body: bytes) -> None:
    found = PROVIDERS[vendor].fault(status, {}, body)

    assert (found.kind, found.next) == ("auth", Next.OTHER)
    assert (found.safe_message, found.body) == ("", b"")
    assert cooldown_s(found) > 0


def test_a_file_that_is_not_ready_is_the_clients_to_wait_for() -> None:
    body = google("The File abc is not in an ACTIVE state and usage is not allowed.", "", 400, "FAILED_PRECONDITION")

    for vendor in ("gemini", "openai_compatible"):
        found = PROVIDERS[vendor].fault(400, {}, body)
        assert (found.kind, found.next) == ("bad_request", Next.STOP)
        assert found.safe_message.startswith("The File abc is not in an ACTIVE state")


def test_credit_that_is_spent_stays_what_it_is() -> None:
    assert PROVIDERS["openai"].fault(403, {}, openai("x", "billing_hard_limit_reached")).kind == "quota_exhausted"
    assert PROVIDERS["openai"].fault(403, {}, openai("x", "model_not_found")).kind == "model_missing"


@pytest.mark.parametrize(
    ("vendor", "failed", "kind"),
    [
        ("gemini", Failed("auth", "CachedContent not found (or permission denied)", 403), "forbidden"),
        ("gemini", Failed("auth", "Your API key was reported as leaked.", 403), "auth"),
        ("gemini", Failed("forbidden", "PUP_LIMITED_DISABLED"), "forbidden"),
        ("openai", Failed("auth", SCOPES, 401), "forbidden"),
        ("openai", Failed("auth", "Incorrect API key provided", 401), "auth"),
        ("anthropic", Failed("forbidden", "Your API key does not have permission", 403), "forbidden"),
        ("anthropic", Failed("forbidden", "This organization has been disabled.", 403), "auth"),
    ],
)
def test_the_same_holds_inside_a_200(vendor: str, failed: Failed, kind: str) -> None:
    assert PROVIDERS[vendor].stream_fault(failed).kind == kind


def test_an_error_answer_with_status_200_is_told_by_its_words() -> None:
    assert PROVIDERS["openai"].fault(200, {}, openai(SCOPES, "invalid_api_key")).kind == "forbidden"
    assert (
        PROVIDERS["gemini"].fault(200, {}, google("CachedContent not found (or permission denied)")).kind == "forbidden"
    )

"""Error answers as they are seen in the wild, and what they mean: the table of the translation contract, row by row."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.errors import Fault, Next
from gateway.providers import PROVIDERS

RPC = "type.googleapis.com/google.rpc."
HTML = (
    b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>cloudflare, api.example.com</body></html>"
)
ENVOY = b"upstream connect error or disconnect/reset before headers. reset reason: connection termination"


def openai(message: str, code: object = None, type_: str = "invalid_request_error", param: object = None) -> bytes:
    return json.dumps({"error": {"message": message, "type": type_, "param": param, "code": code}}).encode()


def azure(code: str, message: str = "", **inner: Any) -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "innererror": inner}}).encode()


def anthropic(type_: str, message: str = "", code: str | None = None) -> bytes:
    details = {"error_visibility": "user_facing", "error_code": code} if code else None
    error = {"type": type_, "message": message, "details": details}
    return json.dumps({"type": "error", "error": error, "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy"}).encode()


def google(code: int, status: str, message: str = "", *details: dict[str, Any], listed: bool = False) -> bytes:
    body = {"error": {"code": code, "message": message, "status": status, **({"details": details} if details else {})}}
    return json.dumps([body] if listed else body, indent=2).encode()


def quota(window: str) -> dict[str, Any]:
    violation = {
        "quotaMetric": "generativelanguage.googleapis.com/generate_content_free_tier_requests",
        "quotaId": f"GenerateRequests{window}PerProjectPerModel-FreeTier",
        "quotaDimensions": {"location": "global", "model": "gemini-3-flash"},
        "quotaValue": "20",
    }
    return {"@type": RPC + "QuotaFailure", "violations": [violation]}


def fault(vendor: str, status: int, body: bytes, **headers: str) -> Fault:
    return PROVIDERS[vendor].fault(status, {name.replace("_", "-"): value for name, value in headers.items()}, body)


HELP = {
    "@type": RPC + "Help",
    "links": [{"description": "Learn more", "url": "https://ai.google.dev/gemini-api/docs/rate-limits"}],
}
RETRY = {"@type": RPC + "RetryInfo", "retryDelay": "34.074824224s"}
KEY = {"@type": RPC + "ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
MINUTE, DAY = quota("PerMinute"), quota("PerDay")

ROWS: list[tuple[str, str, int, bytes, str, Next]] = [
    # row 2: longer than the context
    ("2 openai", "openai", 400, openai("This model's maximum context length is 272000 tokens.", "context_length_exceeded", param="messages"), "context_overflow", Next.OTHER),
    ("2 anthropic", "anthropic", 400, anthropic("invalid_request_error", "prompt is too long: 1048583 tokens > 1000000 maximum"), "context_overflow", Next.OTHER),
    ("2 anthropic 413", "anthropic", 413, anthropic("request_too_large", "Request exceeds the maximum size"), "context_overflow", Next.OTHER),
    ("2 gemini", "gemini", 400, google(400, "INVALID_ARGUMENT", "The input token count exceeds the maximum number of tokens allowed 1048576."), "context_overflow", Next.OTHER),
    # row 4 and its like: another endpoint
    ("4 tools", "openai", 400, openai("Function tools with reasoning_effort are not supported for gpt-5.4 in /v1/chat/completions. Please use /v1/responses instead.", param="reasoning_effort"), "wrong_endpoint", Next.STOP),
    ("4 model", "openai", 404, openai("This model is only supported in v1/responses and not in v1/chat/completions.", param="model"), "wrong_endpoint", Next.STOP),
    # row 5: the operator's credential
    ("5 openai", "openai", 401, openai("Incorrect API key provided: sk-proj-***abcd.", "invalid_api_key"), "auth", Next.OTHER),
    ("5 azure", "openai", 401, azure("401", "Access denied due to invalid subscription key."), "auth", Next.OTHER),
    ("5 anthropic", "anthropic", 401, anthropic("authentication_error", "invalid x-api-key"), "auth", Next.OTHER),
    ("5 gemini 400", "gemini", 400, google(400, "INVALID_ARGUMENT", "API key not valid.", KEY), "auth", Next.OTHER),
    ("5 gemini 401", "gemini", 401, google(401, "UNAUTHENTICATED"), "auth", Next.OTHER),
    ("5 google compatible", "openai_compatible", 400, google(400, "INVALID_ARGUMENT", "API key not valid.", KEY, listed=True), "auth", Next.OTHER),
    # row 7: what the account may not do
    ("7 openai", "openai", 403, openai("Country, region, or territory not supported", "unsupported_country_region_territory", "request_forbidden"), "forbidden", Next.OTHER),
    ("7 anthropic", "anthropic", 403, anthropic("permission_error", "Your API key does not have permission"), "forbidden", Next.OTHER),
    ("7 gemini", "gemini", 403, google(403, "PERMISSION_DENIED", "Generative Language API has not been used"), "auth", Next.OTHER),
    # row 8: retired or unknown
    ("8 openai", "openai", 404, openai("The model `gpt-4` does not exist or you do not have access to it.", "model_not_found"), "model_missing", Next.OTHER),
    ("8 azure", "openai", 404, azure("DeploymentNotFound", "The API deployment for this resource does not exist."), "model_missing", Next.OTHER),
    ("8 vllm", "openai_compatible", 404, json.dumps({"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "param": None, "code": 404}).encode(), "model_missing", Next.OTHER),
    ("8 nginx", "openai_compatible", 404, b"<html><h1>404 Not Found</h1><hr>nginx</html>", "model_missing", Next.OTHER),
    ("8 fastapi", "openai_compatible", 404, b'{"detail":"Not Found"}', "model_missing", Next.OTHER),
    ("8 anthropic", "anthropic", 404, anthropic("not_found_error", "model: claude-2.1"), "model_missing", Next.OTHER),
    ("8 gemini", "gemini", 404, google(404, "NOT_FOUND", "models/gemini-1.5-pro is not found for API version v1beta"), "model_missing", Next.OTHER),
    # row 9: spent
    *[(f"9 {code}", "openai", 429, openai("You exceeded your current quota", code, "insufficient_quota"), "quota_exhausted", Next.OTHER)
      for code in ("insufficient_quota", "credit_balance_exhausted", "organization_spend_limit_exceeded", "project_spend_limit_exceeded", "organization_usage_limit_exceeded")],
    ("9 anthropic 402", "anthropic", 402, anthropic("billing_error"), "quota_exhausted", Next.OTHER),
    ("9 anthropic 400", "anthropic", 400, anthropic("invalid_request_error", "You have reached your specified API usage limits. You will regain access on 2026-12-01."), "quota_exhausted", Next.OTHER),
    ("9 linked", "anthropic", 400, anthropic("invalid_request_error", "", "linked_organization_billing_unavailable"), "quota_exhausted", Next.OTHER),
    ("F12", "anthropic", 429, anthropic("rate_limit_error", "Spend limit reached", "enforced_spend_limit_reached"), "quota_exhausted", Next.OTHER),
    ("9 contract", "anthropic", 429, anthropic("rate_limit_error", "", "contract_spend_limit_reached"), "quota_exhausted", Next.OTHER),
    ("9 gemini day", "gemini", 429, google(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota", DAY, HELP, RETRY), "quota_exhausted", Next.OTHER),
    ("9 gemini both", "gemini", 429, google(429, "RESOURCE_EXHAUSTED", "", MINUTE, DAY, RETRY, listed=True), "quota_exhausted", Next.OTHER),
    ("9 google compatible", "openai_compatible", 429, google(429, "RESOURCE_EXHAUSTED", "", DAY, RETRY, listed=True), "quota_exhausted", Next.OTHER),
    # row 10: by the minute
    ("10 openai", "openai", 429, openai("Rate limit reached for gpt-5.4 in organization org-x on tokens per min", "rate_limit_exceeded", "tokens"), "rate_limited", Next.OTHER),
    ("10 azure", "openai", 429, azure("429", "Requests to the ChatCompletions_Create Operation have exceeded call rate limit."), "rate_limited", Next.OTHER),
    ("10 plain", "openai", 429, b"Too Many Requests", "rate_limited", Next.OTHER),
    ("10 ramp", "anthropic", 429, anthropic("rate_limit_error", "", "ramp_limit_exceeded"), "rate_limited", Next.OTHER),
    ("10 gemini minute", "gemini", 429, google(429, "RESOURCE_EXHAUSTED", "", MINUTE, RETRY), "rate_limited", Next.SAME),
    ("10 gemini bare", "gemini", 429, google(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."), "rate_limited", Next.SAME),
    # row 11: overloaded
    ("11 anthropic", "anthropic", 529, anthropic("overloaded_error", "Overloaded"), "overloaded", Next.SAME),
    ("11 cmek", "anthropic", 503, anthropic("api_error", "", "cmek_unavailable"), "overloaded", Next.SAME),
    ("11 openai", "openai", 503, openai("The engine is currently overloaded", None, "server_error"), "overloaded", Next.SAME),
    ("11 slow down", "openai", 503, openai("Slow down", "slow_down", "server_error"), "overloaded", Next.SAME),
    ("11 gemini", "gemini", 503, google(503, "UNAVAILABLE", "The model is overloaded. Please try again later."), "overloaded", Next.SAME),
    # row 12: broken
    ("12 openai", "openai", 500, openai("The server had an error", None, "server_error"), "server_error", Next.SAME),
    ("12 anthropic", "anthropic", 500, anthropic("api_error", "Internal server error"), "server_error", Next.SAME),
    ("12 gemini", "gemini", 500, google(500, "INTERNAL", "An internal error has occurred"), "server_error", Next.SAME),
    *[(f"12 {vendor} {status}", vendor, status, body, "server_error", Next.SAME)
      for vendor in ("openai", "anthropic", "gemini", "openai_compatible") for status, body in ((502, HTML), (520, HTML), (524, b""), (500, ENVOY))],
    # rows 17 to 19: what our translation made
    ("17 bound", "anthropic", 400, anthropic("invalid_request_error", "messages.3.content.0: this thinking block is bound to a different conversation."), "replay_mismatch", Next.STOP),
    ("17 signature", "anthropic", 400, anthropic("invalid_request_error", "messages.1.content.0: Invalid `signature` in `thinking` block"), "replay_mismatch", Next.STOP),
    ("17 expected", "anthropic", 400, anthropic("invalid_request_error", "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`."), "replay_mismatch", Next.STOP),
    ("17 modified", "anthropic", 400, anthropic("invalid_request_error", "messages.5.content.9: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified."), "replay_mismatch", Next.STOP),
    ("19", "gemini", 400, google(400, "INVALID_ARGUMENT", "Function call is missing a thought_signature in functionCall parts. Function call `default_api:f`, position 2."), "signature_missing", Next.STOP),
    ("20", "gemini", 400, google(400, "FAILED_PRECONDITION", "User location is not supported for the API use."), "forbidden", Next.OTHER),
    ("20 google compatible", "openai_compatible", 400, google(400, "FAILED_PRECONDITION", "User location is not supported", listed=True), "forbidden", Next.OTHER),
    # rows 21 and 22: an error inside a 200 is what it says
    ("22 openai spent", "openai", 200, openai("You exceeded your current quota", "insufficient_quota", "insufficient_quota"), "quota_exhausted", Next.OTHER),
    ("22 openai rate", "openai", 200, openai("slow", "rate_limit_exceeded"), "rate_limited", Next.OTHER),
    ("22 router", "openai_compatible", 200, json.dumps({"error": {"message": "Provider returned error", "code": 502}}).encode(), "server_error", Next.SAME),
    ("22 nothing", "openai", 200, b"{}", "server_error", Next.SAME),
    ("22 anthropic", "anthropic", 200, anthropic("overloaded_error", "Overloaded"), "overloaded", Next.SAME),
    ("22 gemini", "gemini", 200, google(503, "UNAVAILABLE", "overloaded"), "overloaded", Next.SAME),
    ("22 gemini spent", "gemini", 200, google(429, "RESOURCE_EXHAUSTED", "", DAY, listed=True), "quota_exhausted", Next.OTHER),
    ("22 gemini odd", "gemini", 200, b'{"error":{"code":"x"}}', "server_error", Next.SAME),
    # rows 1, 3, 16: the client's own
    ("1 openai", "openai", 400, openai("Invalid value: 'x'.", "invalid_value", param="messages[0].role"), "bad_request", Next.STOP),
    ("3 azure", "openai", 400, azure("content_filter", "The response was filtered", reason="ResponsibleAIPolicyViolation"), "bad_request", Next.STOP),
    ("1 anthropic", "anthropic", 400, anthropic("invalid_request_error", "messages.0.content.0.tool_use.x: Extra inputs are not permitted"), "bad_request", Next.STOP),
    ("1 gemini", "gemini", 400, google(400, "INVALID_ARGUMENT", "Invalid JSON payload received. Unknown name \"foo\""), "bad_request", Next.STOP),
]  # fmt: skip


@pytest.mark.parametrize(
    ("vendor", "status", "body", "kind", "next_"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_an_answer_means_what_the_table_says(vendor: str, status: int, body: bytes, kind: str, next_: Next) -> None:
    found = fault(vendor, status, body)

    assert (found.kind, found.next) == (kind, next_)
    assert "api.example.com" not in found.safe_message + found.log_message


REFUSALS: list[tuple[str, int, bytes, str]] = [
    ("anthropic", 400, anthropic("invalid_request_error", "temperature: Extra inputs are not permitted"), "temperature"),
    ("anthropic", 400, anthropic("invalid_request_error", "`temperature` is deprecated for this model."), "temperature"),
    ("anthropic", 400, anthropic("invalid_request_error", "`temperature` and `top_p` cannot both be specified for this model. Please use only one."), "top_p"),
    ("anthropic", 400, anthropic("invalid_request_error", '"thinking.type.disabled" is not supported for this model.'), "thinking"),
    ("anthropic", 400, anthropic("invalid_request_error", "tool_choice: forcing tool use (`any` or `tool`) is not supported on this model"), "tool_choice"),
    ("anthropic", 400, anthropic("invalid_request_error", "Thinking may not be enabled when tool_choice forces tool use."), "tool_choice"),
    ("anthropic", 400, anthropic("invalid_request_error", "output_config.effort is not supported for this model."), "output_config"),
    ("gemini", 400, google(400, "INVALID_ARGUMENT", "Penalty is not enabled for models/gemini-3.6-flash"), "frequency_penalty"),
    ("gemini", 400, google(400, "INVALID_ARGUMENT", "presencePenalty is not supported by this model"), "presence_penalty"),
    ("gemini", 400, google(400, "INVALID_ARGUMENT", "Thinking level MINIMAL is not supported for this model."), "reasoning_effort"),
    ("openai", 400, openai("Unsupported parameter: 'temperature' is not supported with this model.", "unsupported_parameter", param="temperature"), "temperature"),
    ("openai", 400, openai("Unsupported value: 'temperature' does not support 0.2 with this model.", "unsupported_value", param="temperature"), "temperature"),
    ("openai", 400, azure("unsupported_parameter", "x").replace(b'"innererror": {}', b'"param": "max_tokens"'), "max_tokens"),
]  # fmt: skip


@pytest.mark.parametrize(("vendor", "status", "body", "param"), REFUSALS)
def test_a_parameter_that_a_model_does_not_take_is_named_as_we_name_it(
    vendor: str, status: int, body: bytes, param: str
) -> None:
    found = fault(vendor, status, body)

    assert (found.kind, found.param, found.next) == ("parameter_refused", param, Next.STOP)
    assert found.safe_message and found.body, "unmended it is the client's: it reads what the vendor said"


@pytest.mark.parametrize(
    ("vendor", "body", "headers", "seconds"),
    [
        ("openai", b"", {"retry_after_ms": "1500", "retry_after": "9"}, 1.5),
        ("openai", b"", {"retry_after": "20"}, 20.0),
        ("openai", b"", {"retry_after": "Mon, 23 Nov 2026 10:00:09 GMT", "date": "Mon, 23 Nov 2026 10:00:02 GMT"}, 7.0),
        ("openai", b"", {"retry_after": "Mon, 23 Nov 2026 09:00:00 GMT", "date": "Mon, 23 Nov 2026 10:00:02 GMT"}, 0.0),
        ("openai", b"", {"retry_after": "Mon, 23 Nov 2026 10:00:09 GMT"}, None),
        ("openai", b"", {"retry_after": "Mon, 99 Nov 2026", "date": "x", "x_ratelimit_reset_tokens": "3s"}, 3.0),
        ("openai", b"", {"x_ratelimit_remaining_tokens": "0", "x_ratelimit_reset_tokens": "6.5s"}, 6.5),
        ("openai_compatible", google(429, "RESOURCE_EXHAUSTED", "", MINUTE, RETRY, listed=True), {"retry_after": "1"}, 34.074824224),
        ("anthropic", anthropic("rate_limit_error"), {"retry_after": "13"}, 13.0),
        ("anthropic", anthropic("rate_limit_error", "", "enforced_spend_limit_reached"), {}, None),
        ("gemini", google(429, "RESOURCE_EXHAUSTED", "", MINUTE, RETRY), {}, 34.074824224),
        ("gemini", google(429, "RESOURCE_EXHAUSTED"), {"retry_after": "2"}, 2.0),
        ("gemini", google(429, "RESOURCE_EXHAUSTED", "", DAY, RETRY), {}, None),
    ],
)  # fmt: skip
def test_the_wait_is_the_vendors(vendor: str, body: bytes, headers: dict[str, str], seconds: float | None) -> None:
    assert fault(vendor, 429, body, **headers).retry_after_s == seconds

"""Every refusal in the words of whoever is refused, with what its SDK needs to know: when to come back, and whether at all."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest
from e2e_stack import Stack, Start
from e2e_surfaces import CHAT, COMPLETIONS, GEMINI, MESSAGES, MODELS, NATIVE, RESPONSES, Answer, Surface, ask, send
from google import genai
from google.genai import errors as google_errors

from gateway.dialects import gemini_request

ALL = (CHAT, COMPLETIONS, RESPONSES, MESSAGES, GEMINI, NATIVE)
EVERY = pytest.mark.parametrize("surface", ALL, ids=str)
# Status -> what Anthropic and Google call it. OpenAI's words are the codes of contract.md.
ANTHROPIC = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    405: "invalid_request_error", 413: "request_too_large", 415: "invalid_request_error", 429: "rate_limit_error",
    502: "api_error", 503: "overloaded_error", 504: "timeout_error",
}  # fmt: skip
GOOGLE = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND",
    405: "UNIMPLEMENTED", 413: "INVALID_ARGUMENT", 415: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED",
    502: "UNAVAILABLE", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip


def check(surface: Surface, answer: Answer, status: int, code: str) -> None:
    """The status, the shape, the word, and the ids."""
    assert answer.status == status, (answer.status, answer.body)
    assert answer.headers["content-type"] == "application/json"
    word = surface.error(answer.value)
    expected = {"messages": ANTHROPIC[status], "gemini": GOOGLE[status]}.get(surface.name, code)
    assert word == expected, answer.body
    assert answer.headers["x-request-id"] == answer.headers["request-id"]
    assert answer.headers["x-request-id"] in answer.value["error"]["message"]
    if surface is GEMINI:
        assert answer.value["error"]["code"] == status


@EVERY
async def test_bodies_that_are_none(stack: Stack, surface: Surface) -> None:
    path, model = surface.path(MODELS["openai"], False), MODELS["openai"]
    for body in (b"{", b"", b"[]", b"\xff", b'{"a":1}x'):
        check(surface, await send(stack, path, body), 400, "invalid_json")
    wrong = surface.body(model, "Hello", False)
    field = next(iter({"messages", "input", "contents", "prompt"} & wrong.keys()))
    if surface is not RESPONSES:  # what passes through is OpenAI's to look at
        check(surface, await send(stack, path, {**wrong, field: 5}), 400, "invalid_request")
    assert await stack.calls_to("openai") == []


@EVERY
async def test_who_may_not(stack: Stack, surface: Surface) -> None:
    path, body = surface.path("gpt-5.4", False), surface.body("gpt-5.4", "Hello", False)
    check(surface, await send(stack, path, body, authorization="Bearer wrong"), 401, "invalid_api_key")
    stranger = f"Bearer {stack.token('globex')}"
    check(surface, await send(stack, path, body, authorization=stranger), 403, "tenant_forbidden")


@EVERY
async def test_what_is_not_there(stack: Stack, surface: Surface) -> None:
    nobody = await ask(stack, surface, "nobody-serves-this")
    check(surface, nobody, 404, "model_not_found")
    path = surface.path("gpt-5.4", False)
    check(surface, await send(stack, path, None, method="GET"), 405, "method_not_allowed")
    answer = await send(stack, path, None, method="DELETE")
    assert answer.status == 405 and answer.headers["allow"] == "POST"
    odd = await send(stack, path, b"x", content_type="text/plain")
    check(surface, odd, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("path", "surface"),
    [("/v1/messages/nothing", MESSAGES), ("/v1beta/nothing", GEMINI), ("/v1/nothing", CHAT), ("/responses/a/b", CHAT)],
)
async def test_a_path_that_is_not_served_is_told_in_the_words_of_its_neighbours(
    stack: Stack, path: str, surface: Surface
) -> None:
    check(surface, await send(stack, path, {}), 404, "not_found")


@EVERY
async def test_bodies_that_are_too_large(start_stack: Start, surface: Surface) -> None:
    stack = await start_stack({"server": {"max_body_mb": 1}})
    answer = await send(stack, surface.path("gpt-5.4", False), b'{"a":"' + b"x" * 1_100_000 + b'"}')
    check(surface, answer, 413, "request_too_large")


@EVERY
async def test_quotas_and_limits(start_stack: Start, surface: Surface) -> None:
    stack = await start_stack(
        {
            "tenants": {
                "acme": {"quota": {"daily_tokens": 1}},
                "globex": {"limits": {"requests_per_minute": 1}},
            }
        }
    )
    path, body = surface.path("gpt-5.4", False), surface.body("gpt-5.4", "Hello", False)
    spent = await send(stack, path, body)
    check(surface, spent, 429, "quota_exceeded")
    assert spent.headers["x-should-retry"] == "false"
    await send(stack, path, body, tenant="globex")
    fast = await send(stack, path, body, tenant="globex")
    check(surface, fast, 429, "rate_limit_exceeded")
    assert fast.headers["x-should-retry"] == "true" and int(fast.headers["retry-after"]) > 0


@EVERY
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_providers_that_fail(start_stack: Start, surface: Surface, stream: bool) -> None:
    stack = await start_stack({"fallback": {"max_attempts": 2}, "breaker": {"failures": 100}})
    cases = [
        (500, 502, "upstream_error", "false"),
        (503, 503, "upstream_overloaded", "false"),
        (401, 502, "upstream_auth", "true"),  # the keys are tried again in a second
    ]
    for upstream, status, code, again in cases:
        await stack.clear_faults()
        await stack.fault(None, "status", status=upstream)  # type: ignore[arg-type]
        answer = await ask(stack, surface, "gpt-5.4", stream=stream)
        check(surface, answer, status, code)
        assert answer.headers["x-should-retry"] == again
        assert answer.headers.get("retry-after") == ("1" if again == "true" else None)
        assert "attempts" not in answer.value["error"] or len(answer.value["error"]["attempts"]) >= 1
    await stack.clear_faults()
    await stack.fault(None, "slow_first_byte", delay_s=3)  # type: ignore[arg-type]
    late = await ask(stack, surface, "gemini-3.8-flash", stream=stream, x_gateway_timeout_ms="50")
    if late.status != 502:  # resting keys of the case before leave nobody to ask
        check(surface, late, 504, "deadline_exceeded")


# ---------------------------------------------------------------- the official SDKs

OPENAI_RAISES: list[tuple[int, Any]] = [
    (400, openai.BadRequestError),
    (401, openai.AuthenticationError),
    (403, openai.PermissionDeniedError),
    (404, openai.NotFoundError),
    (429, openai.RateLimitError),
    (502, openai.InternalServerError),
]
ANTHROPIC_RAISES: list[tuple[int, Any]] = [
    (400, anthropic.BadRequestError),
    (401, anthropic.AuthenticationError),
    (403, anthropic.PermissionDeniedError),
    (404, anthropic.NotFoundError),
    (429, anthropic.RateLimitError),
    (502, anthropic.InternalServerError),
]


async def _provoke(stack: Stack, status: int) -> tuple[str, str, dict[str, Any]]:
    """What makes a call fail with that status: token, model, and members of the body."""
    token, model, more = stack.token(), "gpt-5.4", dict[str, Any]()
    match status:
        case 400:
            more = {"metadata": 5}
        case 401:
            token = "wrong"
        case 403:
            token = stack.token("globex")
        case 404:
            model = "nobody-serves-this"
        case 429:
            await stack.fault(None, "status", status=429)  # type: ignore[arg-type]
        case _:
            await stack.fault(None, "status", status=500)  # type: ignore[arg-type]
    return token, model, more


@pytest.mark.parametrize(("status", "raised"), OPENAI_RAISES)
async def test_openais_sdk_raises_what_it_should(stack: Stack, status: int, raised: Any) -> None:
    token, model, more = await _provoke(stack, status)
    async with openai.AsyncOpenAI(base_url=stack.base(), api_key=token, max_retries=0) as client:
        for call in (
            client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hi"}], extra_body=more),
            client.responses.create(model=model, input="Hi", extra_body=more),
        ):
            with pytest.raises(raised) as caught:
                await call
            assert caught.value.status_code == status and caught.value.code


@pytest.mark.parametrize(("status", "raised"), ANTHROPIC_RAISES)
async def test_anthropics_sdk_raises_what_it_should(stack: Stack, status: int, raised: Any) -> None:
    token, model, more = await _provoke(stack, status)
    async with anthropic.AsyncAnthropic(base_url=stack.base(), api_key=token, max_retries=0) as client:
        with pytest.raises(raised) as caught:
            await client.messages.create(
                model=model, max_tokens=50, messages=[{"role": "user", "content": "Hi"}], extra_body=more
            )
        assert caught.value.status_code == status and caught.value.request_id


@pytest.mark.parametrize("status", [401, 403, 404, 429, 502])
async def test_googles_sdk_raises_what_it_should(stack: Stack, status: int) -> None:
    token, model, _ = await _provoke(stack, status)
    options = genai.types.HttpOptions(base_url=stack.base())
    client = genai.Client(api_key=token, http_options=options, vertexai=False)
    raised = google_errors.ClientError if status < 500 else google_errors.ServerError
    with pytest.raises(raised) as caught:
        await client.aio.models.generate_content(model=model, contents="Hi")
    assert (caught.value.code, caught.value.status) == (status, GOOGLE[status])


async def test_a_provider_that_cannot_take_something_is_told_with_the_place_as_the_client_wrote_it(stack):
    file = {"type": "document", "source": {"type": "file", "file_id": "file_of_anthropics"}}
    body = {"model": "gpt-5.4", "max_tokens": 9, "system": "s", "messages": [{"role": "user", "content": [file]}]}
    answer = await stack.post("/v1/messages", body)
    error = (await answer.json())["error"]
    assert (answer.status, error["type"]) == (400, "invalid_request_error")
    assert error["message"].startswith("messages.0.content.0: ")
    assert await stack.sim("requests") == []


async def test_files_beyond_what_a_provider_takes_are_too_large_and_no_bad_request(stack, monkeypatch):
    monkeypatch.setattr(gemini_request, "MAX_BODY_BYTES", 100)
    answer = await stack.chat(model="gemini-3.8-flash", messages=[{"role": "user", "content": "x" * 200}])
    assert (answer.status, (await answer.json())["error"]["code"]) == (413, "request_too_large")

"""The official OpenAI SDK against the gateway when something is wrong: the exception it raises, and whether it tries again."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from clients_house import THRIFTY_TOKENS, House
from clients_kit import MODELS, PROVIDERS, user

CUT_AFTER = 3  # events with content before the provider's connection goes


def tries(error: openai.APIStatusError) -> int:
    """How often the SDK sent the request, by its own count."""
    return int(error.response.request.headers["x-stainless-retry-count"]) + 1


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_foreign_key_is_an_authentication_error(house: House, provider: str) -> None:
    with house.openai(api_key="sk-proj-somebody-elses") as client, pytest.raises(openai.AuthenticationError) as raised:
        client.chat.completions.create(model=MODELS[provider], messages=user("hi"))

    assert raised.value.code == "invalid_api_key"
    assert "sk-proj" not in str(raised.value)
    assert raised.value.request_id and raised.value.request_id in str(raised.value)
    assert house.sent(provider) == []


def test_another_tenants_path_is_a_permission_error(house: House) -> None:
    with house.openai(tenant="globex") as client, pytest.raises(openai.PermissionDeniedError) as raised:
        client.chat.completions.create(model="gpt-5.4", messages=user("hi"))

    assert raised.value.code == "tenant_forbidden"


@pytest.mark.parametrize("model", ["gpt4", "llama-9", "../../v1/files", "nobody/gpt-5.4"])
def test_a_model_that_nobody_serves_is_not_found(client: openai.OpenAI, model: str) -> None:
    with pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model=model, messages=user("hi"))
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve(model.replace("/", "-"))

    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"temperature": 9}, "temperature"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "wizard", "content": "hi"}]}, "messages[0].role"),
    ],
)
def test_a_request_that_is_wrong_is_refused_once_with_its_place(
    client: openai.OpenAI, provider: str, wrong: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.chat.completions.create(**{"model": MODELS[provider], "messages": user("hi"), **wrong})

    assert raised.value.param == param
    assert raised.value.type == "invalid_request_error"
    assert tries(raised.value) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_spent_quota_is_a_rate_limit_error_that_is_not_tried_again(house: House, stream: bool) -> None:
    request: dict[str, Any] = {"model": "gpt-5.4", "messages": user("hi"), "max_completion_tokens": 20}
    with house.openai("/v1", tenant="thrifty") as client:
        with pytest.raises(openai.RateLimitError):
            for _ in range(THRIFTY_TOKENS):  # each call uses more than one
                client.chat.completions.create(**request)
        house.clear()
        with pytest.raises(openai.RateLimitError) as raised:
            client.chat.completions.create(**request, stream=stream)

    assert (raised.value.code, raised.value.type) == ("quota_exceeded", "insufficient_quota")
    assert raised.value.response.headers["x-should-retry"] == "false"
    assert int(raised.value.response.headers["retry-after"]) > 0
    assert tries(raised.value) == 1
    assert house.sent("openai") == []


@pytest.mark.parametrize("stream", [False, True])
def test_after_all_providers_failed_the_sdk_does_not_start_over(house: House, stream: bool) -> None:
    for provider in PROVIDERS:
        house.fault(provider, "status", status=500)
    with house.openai() as client, pytest.raises(openai.InternalServerError) as raised:
        client.chat.completions.create(model="gpt-5.4", messages=user("hi"), stream=stream)

    assert raised.value.code == "upstream_error"
    assert [row["provider"] for row in raised.value.body["attempts"]] == PROVIDERS  # type: ignore[index, call-overload]
    assert tries(raised.value) == 1
    assert [len(house.sent(provider)) for provider in PROVIDERS] == [1, 1, 1]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_that_fails_is_replaced_and_the_client_never_knows(house: House, provider: str) -> None:
    house.fault(provider, "status", status=503, times=1)
    with house.openai() as client:
        raw = client.chat.completions.with_raw_response.create(model=MODELS[provider], messages=user("hi"))

    assert raw.parse().choices[0].message.content.endswith("You said: hi")
    assert raw.headers["x-gateway-fallback-from"] == provider
    assert raw.headers["x-gateway-provider"] != provider


@pytest.mark.parametrize("kind", ["cut", "reset"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_cut_stream_raises_instead_of_looking_complete(house: House, provider: str, kind: str) -> None:
    house.fault(provider, kind, after_events=CUT_AFTER, times=1)
    said, finished = [], []
    with house.openai() as client, pytest.raises(openai.APIError) as raised:
        for chunk in client.chat.completions.create(
            model=MODELS[provider], messages=user("one two three four five six"), stream=True
        ):
            said.append(chunk.choices[0].delta.content or "")
            finished.append(chunk.choices[0].finish_reason)

    assert "".join(said).startswith("[simulated ")
    assert "six" not in "".join(said)
    assert set(finished) == {None}
    assert raised.value.body is not None
    assert len(house.sent(provider)) == 1


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_cut_stream_raises_in_the_asynchronous_accumulator(
    house: House, async_client: openai.AsyncOpenAI, provider: str
) -> None:
    house.fault(provider, "cut", after_events=CUT_AFTER, times=1)

    with pytest.raises(openai.APIError):
        async with async_client.chat.completions.stream(
            model=MODELS[provider], messages=user("one two three four five six")
        ) as stream:
            await stream.get_final_completion()

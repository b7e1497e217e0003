"""Which provider gets a call, what it is told, and what the client is told about that."""

from __future__ import annotations

import time
from typing import Any

import pytest
from e2e_heard import HELLO, MODEL, SAID, seen, until

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OWN_KEY = {
    "openai": ("authorization", "Bearer sk-test"),
    "anthropic": ("x-api-key", "sk-ant"),
    "gemini": ("x-goog-api-key", "g-key"),
}


def upstream_model(row: dict[str, Any]) -> str:
    """The model that a provider was asked for; Gemini has it in the path."""
    body = row["body"]
    return body["model"] if "model" in body else row["path"].rpartition("/")[2].partition(":")[0]


async def asked(stack: Any, provider: str) -> list[str]:
    return [upstream_model(row) for row in await stack.calls_to(provider)]


# ------------------------------------------------------------ by name


@pytest.mark.parametrize("body", [{}, {"model": "auto"}, {"model": ""}], ids=["absent", "auto", "empty"])
async def test_without_a_model_the_highest_priority_answers_with_its_default(stack, body):
    answer = await stack.post("/chat/completions", {"messages": HELLO, **body})
    assert answer.headers["x-gateway-provider"] == "openai"
    assert await asked(stack, "openai") == ["gpt-5.4"]


async def test_the_operator_decides_who_comes_first(start_stack):
    stack = await start_stack({"providers": {"gemini": {"priority": 10}}})
    answer = await stack.post("/chat", {"messages": HELLO})
    assert (await answer.json())["provider"] == "gemini"


async def test_fallback_goes_down_the_priorities_9_8_7(stack):
    for name in ("openai", "anthropic"):
        await stack.fault(name, "status", status=500)
    answer = await stack.chat(model="auto")
    assert answer.headers["x-gateway-provider"] == "gemini"
    assert answer.headers["x-gateway-fallback-from"] == "openai, anthropic"
    assert answer.headers["x-gateway-attempts"] == "3"


async def test_an_alias_is_tried_in_the_order_written_and_then_by_priority(stack):
    await stack.fault("gemini", "status", status=500)
    await stack.fault("openai", "status", status=500)
    answer = await stack.chat(model="fast")
    assert await asked(stack, "gemini") == ["gemini-3.8-flash"]
    assert await asked(stack, "openai") == ["gpt-5.4-mini"]
    assert await asked(stack, "anthropic") == ["claude-sonnet-4-6"]
    assert answer.headers["x-gateway-fallback-from"] == "gemini, openai"


async def test_an_answer_repeats_the_model_that_was_asked_for_and_a_header_tells_the_upstreams(stack):
    answer = await stack.chat(model="fast")
    assert (await answer.json())["model"] == "fast"
    assert answer.headers["x-gateway-model"] == "gemini-3.8-flash"


async def test_an_alias_of_a_provider_alone_means_its_default_model(stack):
    await stack.chat(model="gpt-4")
    assert await asked(stack, "openai") == ["gpt-5.4"]


@pytest.mark.parametrize(
    ("model", "provider", "upstream"),
    [
        ("anthropic/claude-haiku-4-5", "anthropic", "claude-haiku-4-5"),
        ("gemini/gemini-2.5-pro", "gemini", "gemini-2.5-pro"),
        ("openai/gpt-4.1", "openai", "gpt-4.1"),
        ("gpt-4.1", "openai", "gpt-4.1"),
        ("o3", "openai", "o3"),
        ("chatgpt-4o-latest", "openai", "chatgpt-4o-latest"),
        ("claude-opus-4-6", "anthropic", "claude-opus-4-6"),
        ("gemini-2.5-flash", "gemini", "gemini-2.5-flash"),
    ],
)
async def test_a_provider_can_be_named_and_a_known_family_finds_its_own(stack, model, provider, upstream):
    answer = await stack.chat(model=model)
    assert answer.status == 200
    assert answer.headers["x-gateway-provider"] == provider
    assert await asked(stack, provider) == [upstream]


async def test_a_listed_name_is_sent_as_the_upstreams_own(start_stack):
    stack = await start_stack({"providers": {"anthropic": {"models": {"house": "claude-haiku-4-5"}}}})
    answer = await stack.chat(model="house")
    assert answer.status == 200
    assert await asked(stack, "anthropic") == ["claude-haiku-4-5"]


async def test_an_unknown_model_is_a_404_that_names_what_looks_like_it(stack):
    answer = await stack.chat(model="claude_sonnet_4_6")
    error = (await answer.json())["error"]
    assert (answer.status, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert "'claude-sonnet-4-6'" in error["message"]
    assert await stack.sim("requests") == []


@pytest.mark.parametrize(
    "model",
    [
        "../../etc/passwd",
        "http://169.254.169.254/latest/meta-data",
        "gpt-5.4/../../files",
        "openai/../files",
        "openai/https://evil.example",
        "gemini/..%2F..%2Ffiles",
        "gemini-3.8-flash/../../v1/files",
        "gemini-3.8-flash?key=stolen",
        "gpt-5.4#",
        "gpt-5.4\r\nhost: evil.example",
        "gpt-\u0000",
    ],
)
async def test_a_name_that_could_be_a_path_or_a_host_is_just_unknown(stack, model):
    answer = await stack.chat(model=model)
    assert (answer.status, (await answer.json())["error"]["code"]) == (404, "model_not_found")
    assert await stack.sim("requests") == []


# ------------------------------------------------------------ by wish


async def test_a_preferred_provider_comes_to_the_front(stack):
    answer = await stack.chat(x_preferred_provider="gemini")
    assert answer.headers["x-gateway-provider"] == "gemini"
    assert await asked(stack, "gemini") == ["gemini-3.8-flash"]


async def test_a_native_body_can_prefer_a_provider(stack):
    answer = await stack.post("/chat", {"messages": HELLO, "preferredProvider": "anthropic"})
    assert (await answer.json())["provider"] == "anthropic"


async def test_a_preferred_provider_that_fails_is_followed_by_the_others(stack):
    await stack.fault("gemini", "status", status=500)
    answer = await stack.chat(x_preferred_provider="gemini")
    assert answer.headers["x-gateway-provider"] == "openai"
    assert answer.headers["x-gateway-fallback-from"] == "gemini"


async def test_a_preference_for_nobody_is_told_who_there_is(stack):
    answer = await stack.chat(x_preferred_provider="openia")
    assert answer.status == 400
    assert "openai, anthropic, gemini" in (await answer.json())["error"]["message"]


# ------------------------------------------------------------ what a tenant may use


async def test_a_tenant_reaches_only_the_providers_on_its_list(start_stack):
    stack = await start_stack({"tenants": {"acme": {"providers": ["anthropic", "gemini"]}}})
    assert (await stack.chat(model="auto")).headers["x-gateway-provider"] == "anthropic"
    assert (await stack.chat(model="gpt-5.4")).status == 404
    assert (await stack.chat(model="auto", x_preferred_provider="openai")).status == 400
    for name in ("anthropic", "gemini"):
        await stack.fault(name, "status", status=500)
    assert (await stack.chat(model="auto")).status == 502
    assert seen(stack, "openai") == []
    rows = (await stack.get("/providers"))["providers"]
    assert [row["name"] for row in rows] == ["anthropic", "gemini"]


async def test_a_tenant_reaches_only_the_models_on_its_list(start_stack):
    stack = await start_stack({"tenants": {"acme": {"models": ["fast", "claude-sonnet-4-6"]}}})
    assert (await stack.chat(model="gpt-5.4")).status == 404
    assert (await stack.chat(model="openai/gpt-5.4")).status == 404
    await stack.fault("gemini", "status", status=500)
    await stack.fault("openai", "status", status=500)
    assert (await stack.chat(model="fast")).headers["x-gateway-provider"] == "anthropic"
    assert (await stack.chat(model="auto")).headers["x-gateway-model"] == "claude-sonnet-4-6"
    assert [row["id"] for row in (await stack.get("/models"))["data"]] == ["fast", "claude-sonnet-4-6"]
    assert "gpt-5.4" not in await asked(stack, "openai")


# ------------------------------------------------------------ conversations


async def test_a_conversation_stays_with_the_provider_that_answered_it(stack):
    await stack.fault("openai", "status", status=500, times=1)
    first = await stack.chat(x_session_id="talk")
    again = await stack.chat(x_session_id="talk")
    other = await stack.chat(x_session_id="another")
    assert [a.headers["x-gateway-provider"] for a in (first, again, other)] == ["anthropic", "anthropic", "openai"]


async def test_a_conversation_leaves_a_provider_that_fails(stack):
    await stack.fault("openai", "status", status=500, times=1)
    await stack.chat(x_session_id="talk")
    await stack.fault("anthropic", "status", status=500)
    moved = await stack.chat(x_session_id="talk")
    stays = await stack.chat(x_session_id="talk")
    assert [a.headers["x-gateway-provider"] for a in (moved, stays)] == ["openai", "openai"]
    assert len(seen(stack, "anthropic")) == 2


async def test_a_native_session_is_named_in_the_body_and_belongs_to_its_tenant(stack):
    body = {"messages": HELLO, "sessionId": "talk"}
    await stack.fault("openai", "status", status=500, times=1)
    first = await (await stack.post("/chat", body)).json()
    again = await (await stack.post("/chat", body)).json()
    foreign = await (await stack.post("/chat", body, tenant="globex")).json()
    assert [a["provider"] for a in (first, again, foreign)] == ["anthropic", "anthropic", "openai"]
    assert first["sessionId"] == "talk"


# ------------------------------------------------------------ what the client is told


async def test_an_answer_tells_who_gave_it_and_after_how_many_attempts(stack):
    answer = await stack.chat()
    told = {name.lower(): value for name, value in answer.headers.items() if name.lower().startswith("x-gateway-")}
    assert told == {"x-gateway-provider": "openai", "x-gateway-model": "gpt-5.4", "x-gateway-attempts": "1"}


async def test_a_native_answer_tells_the_same_in_its_body(stack):
    await stack.fault("openai", "status", status=503)
    told = await (await stack.post("/chat", {"messages": HELLO})).json()
    assert (told["provider"], told["model"], told["attempts"]) == ("anthropic", "claude-sonnet-4-6", 2)
    assert told["fallbackFrom"] == ["openai"]
    assert told["content"] == told["message"]["content"] == SAID["anthropic"]
    usage = told["usage"]
    assert usage["promptTokens"] + usage["completionTokens"] == usage["totalTokens"] > 0


async def test_what_a_provider_cannot_take_is_left_out_and_named(stack):
    answer = await stack.chat(model="claude-sonnet-4-6", logit_bias={"50256": -100}, presence_penalty=0.5)
    dropped = answer.headers["x-gateway-dropped"].split(", ")
    assert answer.status == 200
    assert set(dropped) == {"logit_bias", "presence_penalty"}
    assert not {"logit_bias", "presence_penalty"} & set((await stack.calls_to("anthropic"))[0]["body"])


async def test_what_is_left_out_is_named_for_the_provider_that_answered(stack):
    await stack.fault("anthropic", "status", status=500)
    answer = await stack.chat(model="claude-sonnet-4-6", logit_bias={"50256": -100})
    assert answer.headers["x-gateway-provider"] == "openai"
    assert "x-gateway-dropped" not in answer.headers


async def test_strict_refuses_what_would_be_left_out_and_asks_nobody(stack):
    answer = await stack.chat(model="claude-sonnet-4-6", logit_bias={"50256": -100}, x_gateway_strict="1")
    error = (await answer.json())["error"]
    assert (answer.status, error["code"], error["param"]) == (400, "unsupported_parameter", "logit_bias")
    assert await stack.sim("requests") == []


async def test_strict_lets_pass_what_the_provider_takes(stack):
    assert (await stack.chat(logit_bias={"50256": -100}, x_gateway_strict="1")).status == 200


async def test_what_is_emulated_is_warned_of(stack):
    answer = await stack.chat(model="claude-sonnet-4-6", response_format={"type": "json_object"})
    assert answer.status == 200
    assert answer.headers["x-gateway-warnings"]


async def test_near_the_quota_an_output_cap_is_sent_and_told(start_stack):
    stack = await start_stack({"tenants": {"acme": {"quota": {"daily_tokens": 4000}}}})
    answer = await stack.chat()
    cap = int(answer.headers["x-gateway-quota-clamped"])
    assert 0 < cap < 4000
    body = (await stack.calls_to("openai"))[0]["body"]
    assert cap in (body.get("max_tokens"), body.get("max_completion_tokens"))


async def test_a_clients_own_cap_is_left_alone(start_stack):
    stack = await start_stack({"tenants": {"acme": {"quota": {"daily_tokens": 4000}}}})
    answer = await stack.chat(max_completion_tokens=50)
    assert answer.status == 200
    assert "x-gateway-quota-clamped" not in answer.headers


# ------------------------------------------------------------ deadlines and ids


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
async def test_a_deadline_ends_the_wait_for_a_provider_and_the_call_to_it(stack, stream):
    await stack.fault("openai", "slow_first_byte", delay_s=10)
    began = time.monotonic()
    answer = await stack.chat(stream=stream, x_gateway_timeout_ms="250")
    took_s = time.monotonic() - began
    assert (answer.status, (await answer.json())["error"]["code"]) == (504, "deadline_exceeded")
    assert 0.2 < took_s < 0.8
    await until(lambda: seen(stack, "openai")[0].aborted)
    assert len(await stack.sim("requests")) == 1


async def test_a_fallback_gets_only_what_is_left_of_the_deadline(start_stack):
    stack = await start_stack({"providers": {"openai": {"timeouts": {"first_byte_s": 0.3}}}})
    await stack.fault("openai", "slow_first_byte", delay_s=10)
    await stack.fault("anthropic", "slow_first_byte", delay_s=10)
    began = time.monotonic()
    answer = await stack.chat(x_gateway_timeout_ms="900")
    assert (answer.status, (await answer.json())["error"]["code"]) == (504, "deadline_exceeded")
    assert 0.8 < time.monotonic() - began < 1.4
    assert len(seen(stack, "anthropic")) == 1


@pytest.mark.parametrize("given", ["0", "-5", "soon", "nan", "1e99"])
async def test_a_deadline_that_is_none_is_refused(stack, given):
    answer = await stack.chat(x_gateway_timeout_ms=given)
    assert (answer.status, (await answer.json())["error"]["param"]) == (400, "x-gateway-timeout-ms")


async def test_a_request_id_is_echoed_in_answers_and_errors(stack):
    good = await stack.chat(x_request_id="order-66.a:b_c")
    bad = await stack.chat(model="nobody", x_request_id="order-67")
    assert good.headers["x-request-id"] == good.headers["request-id"] == "order-66.a:b_c"
    assert bad.headers["x-request-id"] == "order-67"
    assert "order-67" in (await bad.json())["error"]["message"]


@pytest.mark.parametrize("given", [None, "x" * 500, "a b", "<script>"])
async def test_an_id_that_could_not_be_trusted_is_replaced(stack, given):
    headers = {} if given is None else {"x_request_id": given}
    answers = [await stack.chat(**headers) for _ in range(2)]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 2
    assert given not in ids


@pytest.mark.parametrize("model", MODEL.values())
async def test_a_trace_reaches_the_provider(stack, model):
    await stack.post("/chat/completions", {"model": model, "messages": HELLO}, traceparent=PARENT)
    (row,) = await stack.sim("requests")
    assert row["headers"]["traceparent"][3:35] == PARENT[3:35]


# ------------------------------------------------------------ what never travels


@pytest.mark.parametrize("provider", MODEL)
@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
async def test_nothing_of_the_clients_reaches_a_provider_but_its_question(stack, provider, stream):
    token = stack.token()
    answer = await stack.post(
        "/chat/completions?key=from-the-query",
        {"model": MODEL[provider], "messages": HELLO, "stream": stream},
        cookie="session=secret-cookie",
        origin="https://client.example",
        referer="https://client.example/secret",
        **{
            "x-forwarded-for": "10.1.2.3",
            "proxy-authorization": "Basic c2VjcmV0",
            "openai-organization": "org-client",
            "x-custom": "secret-custom",
            "user-agent": "client/1.0",
        },
    )
    assert answer.status == 200
    (row,) = await stack.calls_to(provider)
    name, value = OWN_KEY[provider]
    sent = row["headers"]
    assert sent.pop(name) == value
    told = " ".join([*sent.values(), *row["query"].values()])
    for secret in (token, "secret", "10.1.2.3", "org-client", "client", "from-the-query", "c2VjcmV0"):
        assert secret not in told
    expected = {
        "host",
        "content-type",
        "accept",
        "accept-encoding",
        "user-agent",
        "content-length",
        "anthropic-version",
    }
    assert set(sent) <= expected


async def test_on_fallback_each_credential_goes_to_its_own_provider_only(stack):
    for name in ("openai", "anthropic"):
        await stack.fault(name, "status", status=500)
    assert (await stack.chat()).headers["x-gateway-provider"] == "gemini"
    rows = await stack.sim("requests")
    assert [row["provider"] for row in rows] == ["openai", "anthropic", "gemini"]
    keys = {"Bearer sk-test", "sk-test", "sk-ant", "Bearer sk-ant", "g-key", "Bearer g-key"}
    for row in rows:
        name, value = OWN_KEY[row["provider"]]
        assert {k: v for k, v in row["headers"].items() if v in keys} == {name: value}
        assert not set(row["query"].values()) & keys

"""previous_response_id and its kin: conversations that the gateway remembers, over providers, tenants and processes."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from e2e_stack import Stack, Start
from e2e_surfaces import MODELS, PROVIDERS, RESPONSES, Answer, send
from e2e_tools import until

GPT, CLAUDE, FLASH = (MODELS[name] for name in PROVIDERS)


async def say(stack: Stack, text: str, model: str = GPT, **more: Any) -> Answer:
    return await send(stack, "/responses", {"model": model, "input": text, **more})


def turns(row: dict[str, Any]) -> str:
    return str(row["body"])


@pytest.mark.parametrize("first", PROVIDERS)
@pytest.mark.parametrize("second", PROVIDERS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_conversation_goes_on_with_any_provider(stack: Stack, first: str, second: str, stream: bool) -> None:
    one = await say(stack, "I am Ada", MODELS[first], stream=stream)
    answer = RESPONSES.stream(one.body).frames[-1][1]["response"] if stream else one.value
    two = await say(stack, "Who am I?", MODELS[second], previous_response_id=answer["id"])
    assert two.status == 200, two.body
    assert two.value["previous_response_id"] == answer["id"]
    three = await say(stack, "Sure?", MODELS[first], previous_response_id=two.value["id"])
    assert three.status == 200
    row = (await stack.calls_to(first))[-1]
    assert row["body"].get("previous_response_id") is None  # a provider was sent the conversation instead
    sent = turns(row)
    for text in ("I am Ada", f"[simulated {MODELS[first]}]", "Who am I?", f"[simulated {MODELS[second]}]", "Sure?"):
        assert text in sent, sent
    if stream:
        last = await say(stack, "Really?", MODELS[second], previous_response_id=three.value["id"], stream=True)
        named = [
            v["response"]["previous_response_id"] for _, v in RESPONSES.stream(last.body).frames if "response" in v
        ]
        assert len(named) >= 2 and set(named) == {three.value["id"]}


async def test_a_fallback_takes_the_whole_conversation_along(stack: Stack) -> None:
    one = await say(stack, "I am Ada")
    await stack.fault("openai", "status", status=500)
    two = await say(stack, "Who am I?", previous_response_id=one.value["id"])
    assert (two.status, two.headers["x-gateway-provider"]) == (200, "anthropic")
    assert "I am Ada" in turns((await stack.calls_to("anthropic"))[-1])


async def test_ids_that_are_not_there_are_one_and_the_same(stack: Stack) -> None:
    kept = (await say(stack, "mine")).value["id"]
    unkept = (await say(stack, "mine", store=False)).value["id"]
    gone = (await say(stack, "mine")).value["id"]
    assert (await send(stack, f"/responses/{gone}", None, method="DELETE")).value["deleted"] is True
    tries = [("acme", "resp_never"), ("acme", unkept), ("acme", gone), ("globex", kept)]
    for tenant, id_ in tries:
        body = {"model": GPT, "input": "more", "previous_response_id": id_}
        answer = await send(stack, "/responses", body, tenant=tenant)
        assert answer.status == 400, answer.body
        error = answer.value["error"]
        assert (error["code"], error["param"]) == ("previous_response_not_found", "previous_response_id")
        assert (await send(stack, f"/responses/{id_}", None, method="GET", tenant=tenant)).status == 404
        assert (await send(stack, f"/responses/{id_}", None, method="DELETE", tenant=tenant)).status == 404
        assert (await send(stack, f"/responses/{id_}/input_items", None, method="GET", tenant=tenant)).status == 404
    assert len(await stack.calls_to("openai")) == 3


async def test_an_item_is_found_by_its_reference(stack: Stack) -> None:
    one = (await say(stack, "I am Ada")).value
    items = [{"type": "item_reference", "id": one["output"][-1]["id"]}, {"role": "user", "content": "More"}]
    body = {"model": CLAUDE, "input": items, "previous_response_id": one["id"]}
    answer = await send(stack, "/responses", body)
    assert answer.status == 200, answer.body
    unknown = await send(stack, "/responses", {**body, "input": [{"type": "item_reference", "id": "msg_never"}]})
    assert unknown.status in (400, 404)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_the_sdk_looks_at_them_again(stack: Stack, provider: str) -> None:
    async with openai.AsyncOpenAI(base_url=stack.base(), api_key=stack.token(), max_retries=0) as client:
        async with client.responses.stream(model=MODELS[provider], input="Hello") as stream:
            async for _ in stream:
                pass
            streamed = await stream.get_final_response()
        again = await client.responses.retrieve(streamed.id)
        assert again.output_text == streamed.output_text != ""
        assert again.usage == streamed.usage
        three = [{"role": "user", "content": f"{n}"} for n in range(3)]
        whole = await client.responses.create(model=MODELS[provider], input=three)  # type: ignore[arg-type]
        found = [item async for item in client.responses.input_items.list(whole.id, limit=2, order="asc")]
        assert [item.content[0].text for item in found] == ["0", "1", "2"]  # type: ignore[union-attr]
        back = [item async for item in client.responses.input_items.list(whole.id, limit=1)]
        assert [item.id for item in back] == [item.id for item in found[::-1]]
        await client.responses.delete(whole.id)
        with pytest.raises(openai.NotFoundError):
            await client.responses.retrieve(whole.id)


async def test_another_process_on_the_same_store_knows_them_too(start_stack: Start, tmp_path: Any) -> None:
    store = {"store": {"url": f"sqlite:///{tmp_path}/shared.db"}}
    one, two = await start_stack(store), await start_stack(store)
    first = await say(one, "I am Ada")

    async def known() -> bool:
        return (await send(two, f"/responses/{first.value['id']}", None, method="GET")).status == 200

    await until(known, what="the other process sees it")
    answer = await say(two, "Who am I?", CLAUDE, previous_response_id=first.value["id"])
    assert answer.status == 200
    assert "I am Ada" in turns((await two.calls_to("anthropic"))[-1])


async def test_a_broken_stream_is_nothing_to_go_on_from(stack: Stack) -> None:
    await stack.fault("openai", "cut", after_events=2)
    broken = await say(stack, "Tell me a long story of bridges", stream=True)
    id_ = RESPONSES.stream(broken.body).frames[0][1]["response"]["id"]
    assert (await send(stack, f"/responses/{id_}", None, method="GET")).status == 404


@pytest.mark.parametrize("model", [GPT, CLAUDE])
async def test_work_that_goes_on_elsewhere_is_refused(stack: Stack, model: str) -> None:
    """A queued answer is billed when nobody looks, and conversations at a provider are all tenants' alike."""
    for name, value in (("background", True), ("conversation", "conv_1"), ("conversation", {"id": "conv_1"})):
        answer = await say(stack, "Hello", model, **{name: value})
        assert answer.status == 400, answer.body
        assert (answer.value["error"]["code"], answer.value["error"]["param"]) == ("unsupported_parameter", name)
    spelled = b'{"model":"gpt-5.4","input":"x","b\\u0061ckground":true}'
    assert (await send(stack, "/responses", spelled)).status == 400
    assert await stack.sim("requests") == []
    assert (await say(stack, "Hello", model, background=False, conversation=None)).status == 200


async def test_a_kept_answer_is_not_streamed_again_and_says_so(stack: Stack) -> None:
    kept = (await say(stack, "mine")).value["id"]
    answer = await send(stack, f"/responses/{kept}?stream=true", None, method="GET")
    assert (answer.status, answer.value["error"]["param"]) == (400, "stream")

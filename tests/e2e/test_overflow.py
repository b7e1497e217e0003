"""A request longer than a model's context goes to an alias's next entry with a larger one, and nowhere else."""

from __future__ import annotations

from e2e_stack import Start

TOO_LONG = {"kind": "status", "status": 400, "code": "context_length_exceeded"}


async def test_an_aliass_next_entry_with_a_larger_context_answers(start_stack: Start) -> None:
    stack = await start_stack({"models": {"long": ["openai/gpt-4o", "gemini/gemini-3.8-flash"]}})
    await stack.fault("openai", **TOO_LONG)
    answer = await stack.chat(model="long")
    assert answer.status == 200
    assert answer.headers["x-gateway-provider"] == "gemini"


async def test_without_an_alias_the_client_hears_that_its_request_is_too_long(start_stack: Start) -> None:
    stack = await start_stack()
    await stack.fault("openai", **TOO_LONG)
    answer = await stack.chat(model="gpt-4o")
    assert answer.status == 400
    assert (await answer.json())["error"]["code"] == "context_length_exceeded"
    assert not await stack.calls_to("anthropic")
    assert not await stack.calls_to("gemini")


async def test_an_aliass_next_entry_with_no_larger_context_is_not_asked(start_stack: Start) -> None:
    stack = await start_stack({"models": {"long": ["openai/gpt-5.4", "openai/gpt-4o"]}})
    await stack.fault("openai", **TOO_LONG)
    answer = await stack.chat(model="long")
    assert answer.status == 400
    assert (await answer.json())["error"]["code"] == "context_length_exceeded"
    assert len(await stack.calls_to("openai")) == 1

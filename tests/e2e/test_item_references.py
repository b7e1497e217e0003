"""Items of earlier answers that a Responses client names by their ids alone, as the AI SDK does."""

from __future__ import annotations

from typing import Any

import pytest
from e2e_stack import Stack

TOOL = {"type": "function", "name": "get_time", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}}  # fmt: skip
QUESTION = {"role": "user", "content": "What is the time in Rome?"}


async def ask(stack: Stack, tenant: str = "acme", **body: Any) -> tuple[int, Any]:
    answer = await stack.post("/responses", {"tools": [TOOL], **body}, tenant)
    return answer.status, await answer.json()


def going_on(output: list[Any]) -> list[Any]:
    """The conversation with every item of the answer as a reference, and the result of the call."""
    [called] = [item for item in output if item["type"] == "function_call"]
    references = [{"type": "item_reference", "id": item["id"]} for item in output]
    return [QUESTION, *references, {"type": "function_call_output", "call_id": called["call_id"], "output": "noon"}]


@pytest.mark.parametrize("model", ["gpt-5.4", "claude-sonnet-4-6", "gemini-3.8-flash"])
async def test_items_are_found_by_their_ids_whoever_answered(stack: Stack, model: str) -> None:
    _, first = await ask(stack, model=model, input=[QUESTION])
    status, second = await ask(stack, model=model, input=going_on(first["output"]))

    assert status == 200, second
    assert "get_time -> noon" in str(second["output"])


async def test_items_of_another_tenant_and_of_deleted_answers_are_not_there(stack: Stack) -> None:
    _, first = await ask(stack, model="gpt-5.4", input=[QUESTION])
    going = going_on(first["output"])
    status, foreign = await ask(stack, "globex", model="gpt-5.4", input=going)
    assert (status, foreign["error"]["code"], foreign["error"]["param"]) == (400, "item_not_found", "input[1]")

    url = f"{stack.base()}/responses/{first['id']}"
    async with stack.session.delete(url, headers=stack.headers()) as deleted:
        assert deleted.status == 200
    status, gone = await ask(stack, model="gpt-5.4", input=going)
    assert (status, gone["error"]["code"]) == (400, "item_not_found")


async def test_what_is_not_to_be_stored_cannot_be_referred_to_and_an_item_is_no_answer(stack: Stack) -> None:
    _, first = await ask(stack, model="gpt-5.4", input=[QUESTION], store=False)
    assert (await ask(stack, model="gpt-5.4", input=going_on(first["output"])))[0] == 400

    _, kept = await ask(stack, model="gpt-5.4", input=[QUESTION])
    status, refused = await ask(stack, model="gpt-5.4", input="hi", previous_response_id=kept["output"][0]["id"])
    assert (status, refused["error"]["code"]) == (400, "previous_response_not_found")
    status, refused = await ask(stack, model="gpt-5.4", input=[QUESTION, {"type": "item_reference", "id": kept["id"]}])
    assert (status, refused["error"]["code"]) == (400, "item_not_found")

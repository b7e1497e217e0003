"""Embeddings and moderations: of the model that was asked for or of none, in the shape that was asked for."""

from __future__ import annotations

import base64
import math
import struct
from typing import Any

import openai
import pytest
from e2e_stack import Stack
from e2e_surfaces import send, served
from google import genai
from test_surfaces import settled

OPENAI, GEMINI = "text-embedding-3-small", "gemini-embedding-001"
BOTH = pytest.mark.parametrize("model", [OPENAI, GEMINI])


async def embed(stack: Stack, model: str, given: Any, **more: Any) -> Any:
    answer = await send(stack, "/embeddings", {"model": model, "input": given, **more})
    assert answer.status == 200, answer.body
    return answer


@BOTH
async def test_base64_and_numbers_are_the_same_vectors(stack: Stack, model: str) -> None:
    numbers = (await embed(stack, model, ["a", "b"])).value
    packed = (await embed(stack, model, ["a", "b"], encoding_format="base64")).value
    assert [row["index"] for row in numbers["data"]] == [0, 1]
    for plain, coded in zip(numbers["data"], packed["data"], strict=True):
        raw = base64.b64decode(coded["embedding"])
        found = struct.unpack(f"<{len(raw) // 4}f", raw)
        assert found == pytest.approx(plain["embedding"], abs=1e-6)
    assert numbers["model"] == model
    async with openai.AsyncOpenAI(base_url=stack.base(), api_key=stack.token()) as client:
        by_sdk = await client.embeddings.create(model=model, input=["a", "b"])
        assert by_sdk.data[1].embedding == pytest.approx(numbers["data"][1]["embedding"], abs=1e-6)


@BOTH
async def test_fewer_dimensions_are_still_of_length_one(stack: Stack, model: str) -> None:
    vector = (await embed(stack, model, "a", dimensions=256)).value["data"][0]["embedding"]
    assert len(vector) == 256
    assert math.hypot(*vector) == pytest.approx(1.0, abs=1e-3)


@BOTH
async def test_more_inputs_than_a_batch_takes_come_back_in_order(stack: Stack, model: str) -> None:
    texts = [f"text {n}" for n in range(230)]
    for _ in range(2):  # the long way, and the express
        rows = (await embed(stack, model, texts, dimensions=64)).value["data"]
        assert [row["index"] for row in rows] == list(range(230))
    alone = (await embed(stack, model, "text 229", dimensions=64)).value["data"][0]["embedding"]
    assert rows[229]["embedding"] == pytest.approx(alone, abs=1e-6)
    provider = "openai" if model == OPENAI else "gemini"
    assert await settled(stack) >= (await served(stack))[provider] > 0


async def test_token_arrays_are_not_for_gemini(stack: Stack) -> None:
    assert (await embed(stack, OPENAI, [[1, 2, 3], [4]])).headers["x-gateway-provider"] == "openai"
    refused = await send(stack, "/embeddings", {"model": GEMINI, "input": [[1, 2, 3]]})
    assert refused.status == 400, refused.body
    assert await stack.calls_to("gemini") == []


@BOTH
async def test_no_other_model_steps_in(stack: Stack, model: str) -> None:
    await stack.fault(None, "status", status=500)  # type: ignore[arg-type]
    answer = await send(stack, "/embeddings", {"model": model, "input": "a"})
    assert (answer.status, answer.value["error"]["code"]) == (502, "upstream_error")
    assert {row["provider"] for row in await stack.sim("requests")} == {"openai" if model == OPENAI else "gemini"}


@BOTH
async def test_googles_sdk_gets_vectors_of_either(stack: Stack, model: str) -> None:
    options = genai.types.HttpOptions(base_url=stack.base())
    client = genai.Client(api_key=stack.token(), http_options=options, vertexai=False)
    found = await client.aio.models.embed_content(model=model, contents=["a", "b"])
    rows = (await embed(stack, model, ["a", "b"])).value["data"]
    assert found.embeddings is not None
    for vector, row in zip(found.embeddings, rows, strict=True):
        assert vector.values == pytest.approx(row["embedding"], abs=1e-5)
    path = f"/v1beta/models/{model}:embedContent"
    one = await send(stack, path, {"content": {"parts": [{"text": "a"}]}})
    assert one.value["embedding"]["values"] == pytest.approx(rows[0]["embedding"], abs=1e-5)


async def test_claude_has_no_vectors(stack: Stack) -> None:
    for path in ("/embeddings", "/moderations"):
        answer = await send(stack, path, {"model": "claude-sonnet-4-6", "input": "a"})
        assert (answer.status, answer.value["error"]["code"]) == (404, "model_not_found")


async def test_moderations_cost_nothing(stack: Stack) -> None:
    for given in ("Hello", ["Hello", "I will kill you"]):
        answer = await send(stack, "/moderations", {"model": "omni-moderation-latest", "input": given})
        assert answer.status == 200, answer.body
        assert len(answer.value["results"]) == (1 if isinstance(given, str) else 2)
    assert await settled(stack) == 0


async def test_a_model_that_makes_no_vectors_does_not_cost_the_provider_its_credential(stack: Stack) -> None:
    for model in ("gpt-5.4", "auto"):
        answer = await send(stack, "/embeddings", {"model": model, "input": "a"})
        assert (answer.status, answer.value["error"]["code"]) == (404, "model_not_found"), answer.body
    assert (await stack.chat()).status == 200
    nameless = await send(stack, "/embeddings", {"input": "a"})
    assert (nameless.status, nameless.value["error"]["param"]) == (400, "model")

"""Bodies that no client should send: each is answered with a clear error in the surface's shape, by whoever can tell first."""

from __future__ import annotations

import gzip
import time
import zlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from e2e_quota import accounts
from e2e_stack import Stack, Start
from e2e_tools import error_of
from msgspec import json

HI = {"role": "user", "content": "Hi"}
GOOD = b'{"model":"gpt-5.4","messages":[{"role":"user","content":"Hi"}]}'
SURFACES = ("/chat/completions", "/chat")
MODELS = ("gpt-5.4", "claude-sonnet-4-6", "gemini-3.8-flash")  # one dialect passes through, two are translated
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
NUMBER: list[Any] = ["x", [], {}, True]
WHOLE: list[Any] = ["x", 1.5, 0, -1, [], True]
TEXT: list[Any] = [5, [], {}]
OBJECT: list[Any] = ["x", 5, []]


def said(content: Any, role: Any = "user", **more: Any) -> list[Any]:
    return [{"role": role, "content": content, **more}]


# Every documented field, and values of a wrong type or beyond its range.
FIELDS: dict[str, list[Any]] = {
    "model": [5, [], {}, True],
    "messages": [
        *("", 5, {}, None, [], [5], ["x"], [[]], [None], [{}], [{"content": "x"}], [{"role": "user"}]),
        *(said("x", 5), said("x", "nobody"), said(5), said({}), said([5]), said([{}])),
        *(said([{"type": "text"}]), said([{"type": "text", "text": 5}]), said([{"type": "nonsense"}])),
        *(said([{"type": "image_url"}]), said([{"type": "image_url", "image_url": 5}])),
        *([HI, *said("x", "tool")], [HI, {"role": "assistant", "tool_calls": 5}]),
        [HI, {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": 5}}]}],
    ],
    "temperature": [*NUMBER, 99, -1],
    "top_p": [*NUMBER, 2, -1],
    "n": [*WHOLE, 129],
    "stream": ["yes", 1, [], {}],
    "stream_options": [*OBJECT, {"include_usage": "x"}],
    "stop": [5, {}, [5], [["a"]], True],
    "max_completion_tokens": WHOLE,
    "max_tokens": WHOLE,
    "presence_penalty": [*NUMBER, 9],
    "frequency_penalty": [*NUMBER, -9],
    "logit_bias": OBJECT,
    "logprobs": ["x", 5, []],
    "top_logprobs": ["x", -1, 99, []],
    "user": TEXT,
    "seed": ["x", 1.5, []],
    "tools": [*("x", 5, {}, [5], [{}], [{"type": "nonsense"}], [{"type": "function"}]), [{**TOOL, "function": {}}]],
    "tool_choice": [5, [], "sometimes", {"type": "nonsense"}, {"type": "function"}],
    "response_format": [*("json", 5, []), {"type": "nonsense"}, {"type": "json_schema"}],
    "reasoning_effort": [5, [], "enormous"],
    "verbosity": [5, [], "loud"],
    "parallel_tool_calls": OBJECT,
    "metadata": OBJECT,
    "service_tier": TEXT,
    "safety_identifier": TEXT,
    "functions": [5, {}, [5]],
    "function_call": [5, []],
}
BESIDE = {
    "tool_choice": {"tools": [TOOL]},
    "parallel_tool_calls": {"tools": [TOOL]},
    "top_logprobs": {"logprobs": True},
}
NATIVE: dict[str, list[Any]] = {
    "messages": [
        *("", 5, {}, None, [], [5], ["x"], [[]], [{}], [{"role": "user"}], said(5), said("x", 5), said("x", "tool")),
        *(said([5]), said([{"type": "text"}]), said([{"type": "image_url", "image_url": {"url": "x"}}])),
    ],
    "temperature": [*NUMBER, 9, -1],
    "maxTokens": WHOLE,
    "sessionId": TEXT,
    "model": TEXT,
    "stream": ["x", 5, []],
    "preferredProvider": [*TEXT, "nobody"],
}


async def send(stack: Stack, path: str, data: Any, **headers: str) -> aiohttp.ClientResponse:
    sent = stack.headers() | {"content-type": "application/json"} | headers
    async with stack.session.post(stack.base() + path, data=data, headers=sent) as answer:
        await answer.read()
        return answer


async def nothing_happened(stack: Stack) -> None:
    """Nothing was charged, nothing is held, and nothing of ours failed."""
    assert {(row["used"], row["reserved"]) for row in await accounts(stack)} == {(0, 0)}
    assert [line for line in stack.log_lines() if line["event"] in ("internal_error", "background_task_failed")] == []


# ---------------------------------------------------------------- fields


@pytest.mark.parametrize("model", MODELS)
async def test_a_wrong_value_of_any_field_is_the_clients_error(stack: Stack, model: str) -> None:
    for field, values in FIELDS.items():
        for value in values:
            body = {"model": model, "messages": [HI], **BESIDE.get(field, {}), field: value}
            answer = await stack.post("/chat/completions", body)
            text = await answer.text()
            assert answer.status == 400, (field, value, answer.status, text)
            error = json.decode(text)["error"]
            assert error["type"] == "invalid_request_error", (field, value, error)
            assert error["message"], (field, value)
    await nothing_happened(stack)


async def test_a_wrong_value_of_a_native_field_is_the_clients_error(stack: Stack) -> None:
    for field, values in NATIVE.items():
        for value in values:
            answer = await stack.post("/chat", {"messages": [HI], field: value})
            assert answer.status == 400, (field, value, await answer.text())
            error = await error_of(answer, 400, "invalid_request")
            assert error["param"].startswith(field) or field == "preferredProvider", (field, value, error)
    assert await stack.sim("requests") == []
    await nothing_happened(stack)


async def test_a_field_that_is_null_or_unknown_is_as_good_as_absent(stack: Stack) -> None:
    for model in MODELS:
        body = {"model": model, "messages": [HI], "temperature": None, "stop": None, "max_completion_tokens": None}
        assert (await stack.post("/chat/completions", body)).status == 200
    assert (await stack.post("/chat", {"messages": [HI], "temperature": None, "surprise": [1, {}]})).status == 200


# ---------------------------------------------------------------- JSON

DEEP = b"[" * 100_000 + b"]" * 100_000
BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "white space": b" \r\n\t ",
    "null": b"null",
    "a number": b"5",
    "a text": b'"text"',
    "a list": b"[]",
    "a word": b"hello",
    "an open object": b"{",
    "cut off": GOOD[:-1],
    "more after it": GOOD + b"x",
    "two of them": GOOD + GOOD,
    "single quotes": GOOD.replace(b'"', b"'"),
    "a comment": b"/* hi */" + GOOD,
    "a comma too many": GOOD[:-1] + b",}",
    "no colon": b'{"messages" []}',
    "NaN": GOOD[:-1] + b',"temperature":NaN}',
    "Infinity": GOOD[:-1] + b',"temperature":-Infinity}',
    "invalid UTF-8": GOOD.replace(b"Hi", b"\xff\xfe\xc0"),
    "half a character": GOOD.replace(b"Hi", b"\xe2\x82"),
    "UTF-16": GOOD.decode().encode("utf-16"),
    "NUL bytes": GOOD + b"\x00",
    "NUL in a text": GOOD.replace(b"Hi", b"H\x00i"),
    "a raw line break in a text": GOOD.replace(b"Hi", b"H\ni"),
    "a bad escape": GOOD.replace(b"Hi", b"\\x41"),
    "an open escape": GOOD.replace(b"Hi", b"\\u12"),
    "a number with zeros": GOOD[:-1] + b',"n":01}',
    "a plus": GOOD[:-1] + b',"n":+1}',
    "depth": DEEP,
    "binary": bytes(range(256)) * 4,
}


@pytest.mark.parametrize("path", SURFACES)
async def test_what_is_no_json_object_is_told_so(stack: Stack, path: str) -> None:
    for how, body in BROKEN.items():
        answer = await send(stack, path, body)
        assert answer.status == 400, (how, await answer.text())
        await error_of(answer, 400, "invalid_json")
    assert await stack.sim("requests") == []
    await nothing_happened(stack)


ODD: dict[str, bytes] = {
    "deep content": GOOD.replace(b'"Hi"', DEEP),
    "deep field": GOOD[:-1] + b',"x":' + DEEP + b"}",
    "rather deep content": GOOD.replace(b'"Hi"', b"[" * 500 + b"]" * 500),
    "an enormous number": GOOD[:-1] + b',"temperature":1e400}',
    "an enormous whole": GOOD[:-1] + b',"max_completion_tokens":' + b"9" * 400 + b',"maxTokens":' + b"9" * 400 + b"}",
    "a whole beyond 64 bits": GOOD[:-1] + b',"max_completion_tokens":%d,"maxTokens":%d}' % (2**64, 2**64),
    "a very long number": GOOD[:-1] + b',"temperature":' + b"1" * 100_000 + b"}",
    "model given twice": GOOD[:-1] + b',"model":"claude-sonnet-4-6"}',
    "messages given twice": GOOD[:-1] + b',"messages":[]}',
    "an escaped name": GOOD[:-1] + b',"m\\u006fdel":"claude-sonnet-4-6"}',
    "a model with a path": GOOD.replace(b"gpt-5.4", b"openai/../../etc/passwd"),
    "a model that is a URL": GOOD.replace(b"gpt-5.4", b"http://127.0.0.1:1/v1"),
    "a long model": GOOD.replace(b"gpt-5.4", b"m" * 50_000),
    "a model with a line break": GOOD.replace(b"gpt-5.4", b"gpt\\r\\nx-evil: 1"),
}


@pytest.mark.parametrize("path", SURFACES)
@pytest.mark.parametrize("model", MODELS)
async def test_odd_json_is_refused_or_answered_but_never_an_error_of_ours(stack: Stack, path: str, model: str) -> None:
    for how, body in ODD.items():
        answer = await send(stack, path, body.replace(b"gpt-5.4", model.encode()))
        text = await answer.text()
        assert answer.status in (200, 400, 404), (how, answer.status, text[:500])
        if answer.status != 200:
            assert len(text) < 2000, how
            assert json.decode(text)["error"]["type"] == "invalid_request_error", how
    lines = stack.log_lines()
    assert [line for line in lines if line["event"] == "internal_error"] == []
    assert max(len(json.encode(line)) for line in lines) < 4000, "what a client wrote does not fill the log"


async def test_characters_that_are_none_do_not_break_a_translation(stack: Stack) -> None:
    for model in MODELS:
        for text in (b"\\ud800", b"\\udc00\\ud800", b"\\u0000", b"\\uffff", "\u202e\U0001f600".encode()):
            answer = await send(
                stack, "/chat/completions", GOOD.replace(b"Hi", text).replace(b"gpt-5.4", model.encode())
            )
            assert answer.status in (200, 400), await answer.text()
    assert [line for line in stack.log_lines() if line["event"] == "internal_error"] == []


# ---------------------------------------------------------------- types and encodings


@pytest.mark.parametrize("path", SURFACES)
async def test_only_json_is_read(stack: Stack, path: str) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/html"):
        await error_of(await send(stack, path, GOOD, **{"content-type": kind}), 415, "unsupported_media_type")
    for kind in ("application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.api+json"):
        answer = await send(stack, path, GOOD, **{"content-type": kind})
        assert answer.status == 200, (kind, await answer.text())


@pytest.mark.parametrize("path", SURFACES)
async def test_compressed_bodies_are_read_within_the_same_cap(stack: Stack, path: str) -> None:
    packed = gzip.compress(GOOD)
    raw = zlib.compressobj(wbits=-15)
    for encoding, body in (
        ("gzip", packed),
        ("deflate", zlib.compress(GOOD)),
        ("deflate", raw.compress(GOOD) + raw.flush()),
        ("GZIP", packed),
        ("identity", GOOD),
    ):
        assert (await send(stack, path, body, **{"content-encoding": encoding})).status == 200, encoding
    for encoding, body in (
        ("gzip", GOOD),
        ("gzip", packed[:-5]),
        ("gzip", packed + b"x"),
        ("gzip", b""),
        ("deflate", packed),
    ):
        answer = await send(stack, path, body, **{"content-encoding": encoding})
        assert answer.status == 400, (encoding, body, await answer.text())
    for encoding in ("br", "zstd", "gzip, gzip", "nonsense"):
        answer = await send(stack, path, packed, **{"content-encoding": encoding})
        await error_of(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_small_body_that_grows_without_end_is_refused_early(stack: Stack, encoding: str) -> None:
    zeros = bytes(200_000_000)
    bomb = gzip.compress(zeros, 1) if encoding == "gzip" else zlib.compress(zeros, 1)
    began = time.monotonic()
    await error_of(await send(stack, "/chat", bomb, **{"content-encoding": encoding}), 413, "request_too_large")
    assert time.monotonic() - began < 1.0
    await nothing_happened(stack)


# ---------------------------------------------------------------- size

CAP = 20_000_000


async def chunks(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), 1_000_000):
        yield body[at : at + 1_000_000]


@pytest.mark.parametrize("how", ["declared", "chunked"])
@pytest.mark.parametrize("path", SURFACES)
async def test_twenty_megabytes_and_a_byte_are_too_large(stack: Stack, path: str, how: str) -> None:
    body = GOOD.replace(b"Hi", b"x" * (CAP + 1 - len(GOOD) + 2))
    assert len(body) == CAP + 1
    error = await error_of(
        await send(stack, path, body if how == "declared" else chunks(body)), 413, "request_too_large"
    )
    assert "20 MB" in error["message"]
    assert (await send(stack, path, GOOD)).status == 200
    assert len(await stack.sim("requests")) == 1


@pytest.mark.parametrize("how", ["declared", "chunked"])
async def test_the_cap_is_the_operators_to_the_byte(start_stack: Start, how: str) -> None:
    stack = await start_stack({"server": {"max_body_mb": 0.1}})
    for size, status in ((100_000, 200), (100_001, 413)):
        body = GOOD.replace(b"Hi", b"x" * (size - len(GOOD) + 2))
        answer = await send(stack, "/chat/completions", body if how == "declared" else chunks(body))
        assert answer.status == status, await answer.text()


# ---------------------------------------------------------------- paths and methods


async def test_what_is_not_served_is_404_and_what_is_served_otherwise_405(stack: Stack) -> None:
    nowhere = [
        "",
        "/",
        "/chat/completion",
        "/chat/completions/x",
        "/v2/chat/completions",
        "/v1/v1/chat",
        "/CHAT",
        "/stats/x",
    ]
    for path in nowhere:
        for method in ("GET", "POST", "DELETE"):
            async with stack.session.request(method, stack.base() + path, headers=stack.headers()) as answer:
                await error_of(answer, 404, "not_found")
    for path in ("/", "/v1", "/api/v1/acme", "/api/v1//ai/chat", "/api/v2/acme/ai/chat", "/.env", "/admin"):
        async with stack.session.get(stack.origin + path, headers=stack.headers()) as answer:
            await error_of(answer, 404, "not_found")
    for method, path, allowed in (
        ("GET", "/chat/completions", "POST"),
        ("PUT", "/chat", "POST"),
        ("DELETE", "/quotas/reset", "POST"),
        ("POST", "/providers", "GET"),
        ("PATCH", "/models/gpt-5.4", "GET"),
    ):
        async with stack.session.request(method, stack.base() + path, headers=stack.headers()) as answer:
            error = await error_of(answer, 405, "method_not_allowed")
            assert answer.headers["allow"] == allowed
            assert method in error["message"]
    await nothing_happened(stack)

"""What a vendor refuses of our own translation is mended once, and the client never hears of it (wire F.2, rows 4 and 17 to 19)."""

from __future__ import annotations

from typing import Any

import pytest
from e2e_script import SSE, Say, Scripted, chunk, http, scripted
from e2e_stack import Start
from e2e_surfaces import CHAT, Answer, send
from msgspec import json

ALONE = {"fallback": {"max_attempts": 1}}
TOOL = {"name": "look", "parameters": {"type": "object", "properties": {}}}
CHAT_TOOLS = [{"type": "function", "function": TOOL}]
ANTHROPIC_TOOLS = [{"name": "look", "input_schema": {"type": "object"}}]
ANSWERS = {
    "anthropic": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "Hi"}], "usage": {"input_tokens": 7, "output_tokens": 3},
    },
    "gemini": {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10},
    },
    "openai": {
        "id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "m",
        "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                    "content": [{"type": "output_text", "text": "Hi", "annotations": []}]}],
        "usage": {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10},
    },
    "chat": {
        "id": "c", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
    },
}  # fmt: skip


def anthropic_error(message: str) -> Any:
    return {"type": "error", "error": {"type": "invalid_request_error", "message": message}, "request_id": "r"}


def openai_error(message: str, code: str | None = None, param: str | None = None) -> Any:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def gemini_error(message: str) -> Any:
    return {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}}


def asked(upstream: Scripted, at: int) -> Any:
    return json.decode(upstream.bodies[at])


async def refused_once(
    start: Start, type_: str, model: str, refusal: Any, path: str, body: dict[str, Any], answer: str = ""
) -> tuple[Answer, Scripted, Any]:
    """Ask a provider that refuses the first request and takes the second: the client's answer, what was sent, the log line."""

    async def script(upstream: Scripted, say: Say) -> None:
        await say(http(400, refusal) if len(upstream.bodies) == 1 else http(200, ANSWERS[answer or type_]))

    async with scripted(script) as upstream:
        base_url = f"http://127.0.0.1:{upstream.port}" + ("/v1" if type_ == "openai" else "")
        provider = {"type": type_, "api_key": "k", "base_url": base_url, "default_model": model, "priority": 99}
        stack = await start({**ALONE, "providers": {"it": provider}})
        got = await send(stack, path, {"model": f"it/{model}", **body})
        line = [line for line in stack.log_lines() if line.get("surface")][-1]
        await stack.stop()
        return got, upstream, line


USER = {"role": "user", "content": "Hello"}


@pytest.mark.parametrize(
    ("type_", "model", "refusal", "more", "gone"),
    [
        ("anthropic", "claude-sonnet-4-6", anthropic_error("temperature: Extra inputs are not permitted"),
         {"temperature": 0.5}, "temperature"),
        ("anthropic", "claude-opus-4-6", anthropic_error("`top_p` is deprecated for this model."),
         {"top_p": 0.5}, "top_p"),
    ],
)  # fmt: skip
async def test_a_parameter_that_a_model_has_come_to_refuse_is_left_out(
    start_stack: Start, type_: str, model: str, refusal: Any, more: dict[str, Any], gone: str
) -> None:
    body = {"messages": [USER], **more}
    got, upstream, line = await refused_once(start_stack, type_, model, refusal, "/chat/completions", body)
    assert (got.status, CHAT.text(got.value)) == (200, "Hi")
    assert gone in asked(upstream, 0) and gone not in asked(upstream, 1)
    assert (got.headers["x-gateway-dropped"], got.headers["x-gateway-warnings"]) == (gone, "parameter_refused")
    assert (line["status"], line["total_tokens"]) == (200, 10)


async def test_a_penalty_that_gemini_refuses_is_left_out(start_stack: Start) -> None:
    refusal = gemini_error("Penalty is not enabled for this model")
    body = {"messages": [USER], "presence_penalty": 0.5}
    got, upstream, _ = await refused_once(start_stack, "gemini", "gemini-2.5-flash", refusal, "/chat/completions", body)
    assert (got.status, CHAT.text(got.value)) == (200, "Hi")
    assert "presencePenalty" in asked(upstream, 0)["generationConfig"]
    assert "presencePenalty" not in asked(upstream, 1).get("generationConfig", {})


async def test_thoughts_of_another_conversation_are_taken_out(start_stack: Start) -> None:
    thought = {"type": "thinking", "thinking": "Hm", "signature": "c2ln"}
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    body = {
        "messages": [
            USER,
            {"role": "assistant", "content": None, "tool_calls": [call], "thinking_blocks": [thought]},
            {"role": "tool", "tool_call_id": "call_1", "content": "nothing"},
        ],
        "tools": CHAT_TOOLS,
        "reasoning_effort": "high",
    }
    refusal = anthropic_error("messages.1.content.0: Invalid `signature` in `thinking` block")
    got, upstream, _ = await refused_once(
        start_stack, "anthropic", "claude-sonnet-4-6", refusal, "/chat/completions", body
    )
    assert (got.status, CHAT.text(got.value)) == (200, "Hi")
    assert "thinking" in [block["type"] for block in asked(upstream, 0)["messages"][1]["content"]]
    assert [block["type"] for block in asked(upstream, 1)["messages"][1]["content"]] == ["tool_use"]
    assert "reasoning_not_replayed" in got.headers["x-gateway-warnings"]


async def test_a_missing_signature_is_vouched_for(start_stack: Start) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    body = {
        "messages": [
            USER,
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "nothing"},
        ],
        "tools": CHAT_TOOLS,
    }
    refusal = gemini_error("Function call is missing a thought_signature in functionCall parts.")
    got, upstream, _ = await refused_once(start_stack, "gemini", "gemini-2.5-pro", refusal, "/chat/completions", body)
    assert (got.status, CHAT.text(got.value)) == (200, "Hi")
    first, second = (asked(upstream, at)["contents"][1]["parts"][0] for at in (0, 1))
    assert "thoughtSignature" not in first and second["thoughtSignature"]


async def test_tools_that_belong_elsewhere_go_there(start_stack: Start) -> None:
    message = "Function tools with reasoning_effort are not supported for m in /v1/chat/completions. Please use /v1/responses instead."
    body = {"messages": [USER], "tools": CHAT_TOOLS}
    got, upstream, _ = await refused_once(
        start_stack, "openai", "gpt-4.1", openai_error(message), "/chat/completions", body
    )
    assert (got.status, CHAT.text(got.value)) == (200, "Hi")
    assert [head.split(b" ")[1] for head in upstream.heads] == [b"/v1/chat/completions", b"/v1/responses"]


@pytest.mark.parametrize(("path", "tools"), [("/chat/completions", CHAT_TOOLS), ("/v1/messages", ANTHROPIC_TOOLS)])
async def test_what_was_picked_for_a_request_is_kept_when_it_is_mended(
    start_stack: Start, path: str, tools: list[Any]
) -> None:
    """A model that takes tools on /responses only is asked there again, not on /chat/completions."""
    refusal = openai_error(
        "Unsupported parameter: 'parallel_tool_calls'", "unsupported_parameter", "parallel_tool_calls"
    )
    more = {"parallel_tool_calls": False} if path != "/v1/messages" else {"max_tokens": 50}
    if path == "/v1/messages":
        more["tool_choice"] = {"type": "auto", "disable_parallel_tool_use": True}
    body = {"messages": [USER], "tools": tools, **more}
    got, upstream, _ = await refused_once(start_stack, "openai", "gpt-6.1-sol", refusal, path, body)
    assert got.status == 200, got.body
    assert [head.split(b" ")[1] for head in upstream.heads] == [b"/v1/responses"] * 2
    assert "parallel_tool_calls" in asked(upstream, 0) and "parallel_tool_calls" not in asked(upstream, 1)


async def test_who_wants_nothing_left_out_is_told(start_stack: Start) -> None:
    async def script(upstream: Scripted, say: Say) -> None:
        await say(http(400, anthropic_error("temperature: Extra inputs are not permitted")))

    async with scripted(script) as upstream:
        base_url = f"http://127.0.0.1:{upstream.port}"
        provider = {"type": "anthropic", "api_key": "k", "base_url": base_url, "default_model": "claude-sonnet-4-6"}
        stack = await start_stack({"providers": {"it": provider}})
        body = {"model": "it/claude-sonnet-4-6", "messages": [USER], "temperature": 0.5}
        for headers, times in (({"x_gateway_strict": "1"}, 1), ({}, 3)):
            got = await send(stack, "/chat/completions", body, **headers)
            assert (got.status, got.value["error"]["type"]) == (400, "invalid_request_error")
            assert "temperature" in got.value["error"]["message"]
            assert len(upstream.bodies) == times  # once, and then twice more: mended once, and no more
        await stack.stop()


async def test_a_stream_is_mended_before_it_begins(start_stack: Start) -> None:
    frames = [
        ("message_start", {"type": "message_start", "message": {**ANSWERS["anthropic"], "content": [], "stop_reason": None}}),
        ("content_block_start", {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}),
        ("content_block_stop", {"type": "content_block_stop", "index": 0}),
        ("message_delta", {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}}),
        ("message_stop", {"type": "message_stop"}),
    ]  # fmt: skip

    async def script(upstream: Scripted, say: Say) -> None:
        if len(upstream.bodies) == 1:
            await say(http(400, anthropic_error("temperature: Extra inputs are not permitted")))
            return
        await say(SSE)
        for name, value in frames:
            await say(chunk(f"event: {name}\ndata: ".encode() + json.encode(value) + b"\n\n"))
        await say(b"0\r\n\r\n")

    async with scripted(script) as upstream:
        base_url = f"http://127.0.0.1:{upstream.port}"
        provider = {"type": "anthropic", "api_key": "k", "base_url": base_url, "default_model": "claude-sonnet-4-6"}
        stack = await start_stack({"providers": {"it": provider}})
        body = {"model": "it/claude-sonnet-4-6", "messages": [USER], "temperature": 0.5, "stream": True}
        got = await send(stack, "/chat/completions", body)
        heard = CHAT.stream(got.body)
        assert (got.status, heard.text, heard.complete, heard.errors) == (200, "Hi", True, [])
        await stack.stop()


async def test_after_a_failure_the_mended_request_is_asked_again(start_stack: Start) -> None:
    async def script(upstream: Scripted, say: Say) -> None:
        match len(upstream.bodies):
            case 1:
                await say(http(400, anthropic_error("temperature: Extra inputs are not permitted")))
            case 2:
                await say(http(500, {"type": "error", "error": {"type": "api_error", "message": "x"}}))
            case _:
                await say(http(200, ANSWERS["anthropic"]))

    async with scripted(script) as upstream:
        base_url = f"http://127.0.0.1:{upstream.port}"
        provider = {"type": "anthropic", "api_key": "k", "base_url": base_url, "default_model": "claude-sonnet-4-6"}
        more = {"providers": {"it": provider}, "fallback": {"across_providers": False}}
        stack = await start_stack(more)
        body = {"model": "it/claude-sonnet-4-6", "messages": [USER], "temperature": 0.5}
        got = await send(stack, "/chat/completions", body)
        assert (got.status, CHAT.text(got.value)) == (200, "Hi"), got.body
        assert [("temperature" in asked(upstream, at)) for at in range(3)] == [True, False, False]
        await stack.stop()

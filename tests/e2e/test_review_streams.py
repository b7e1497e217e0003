"""Streams of upstreams that behave as no specification foresaw."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from e2e_heard import COMPLETIONS, HELLO, NATIVE, Heard, hear, streaming
from e2e_script import DONE, SSE, USAGE, Say, Script, Scripted, chat_frame, chunk, scripted, whole_answer
from e2e_stack import Stack, Start
from e2e_tools import until

COMMENT = chunk(b": ping\n\n")
ROLE = chat_frame("", choices=[{"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}])
ANSWER = chat_frame("Hi") + chat_frame(finish="stop") + USAGE + DONE
LAST = b"0\r\n\r\n"
PATHS = pytest.mark.parametrize("path", [COMPLETIONS, NATIVE])
START_OF_CLAUDE = (
    b'event: message_start\ndata: {"type":"message_start","message":{"id":"m1","model":"c","usage":{"input_tokens":5,'
    b'"output_tokens":1}}}\n\n'
)


async def alone_with(start_stack: Start, upstream: Scripted, **more: Any) -> Stack:
    """A stack whose first provider is the scripted one; the simulators stand behind it."""
    return await start_stack({"providers": {"own": upstream.provider(**more)}})


async def quiet(stack: Stack) -> None:
    await until(lambda: not stack.gateway.handlers.in_flight.value, within_s=1.0, what="no call is in flight")
    assert len(stack.gateway.streams) == 0


def fell_over(heard: Heard) -> bool:
    """Whether another provider gave the whole answer and the client saw nothing of the first one."""
    return (heard.complete, heard.whole, heard.headers["x-gateway-fallback-from"]) == (True, True, "own")


def faults(stack: Stack) -> list[str]:
    return [line["kind"] for line in stack.log_lines() if line["event"] == "attempt_failed"]


# ------------------------------------------------------------ comments are no sign of work


@pytest.mark.parametrize("kind", ["openai_compatible", "anthropic"])
@pytest.mark.parametrize("first", [b"", b"\n"], ids=["clean", "after an empty line"])
async def test_an_upstream_that_only_sends_comments_is_idle(start_stack: Start, kind: str, first: bytes) -> None:
    async def comments(upstream: Scripted, say: Say) -> None:
        await say(SSE + (chunk(START_OF_CLAUDE) if kind == "anthropic" else chunk(ROLE)))
        while True:
            await asyncio.sleep(0.04)
            await say(chunk(first + b": ping\n\n"))

    async with scripted(comments) as upstream:
        base_url = upstream.provider()["base_url"].removesuffix("" if kind == "openai_compatible" else "/v1")
        stack = await alone_with(start_stack, upstream, type=kind, base_url=base_url, timeouts={"idle_s": 0.3})
        began = time.monotonic()
        async with asyncio.timeout(3):
            heard = await hear(stack, model="own/m" if kind == "openai_compatible" else "auto")
        assert fell_over(heard)
        assert 0.3 <= time.monotonic() - began < 1
        assert faults(stack) == ["idle_timeout"]
        await quiet(stack)


@PATHS
async def test_comments_after_content_keep_no_stream_alive(start_stack: Start, path: str) -> None:
    async def a_word_and_comments(upstream: Scripted, say: Say) -> None:
        await say(SSE + chunk(chat_frame("Hi")))
        while True:
            await asyncio.sleep(0.04)
            await say(COMMENT)

    async with scripted(a_word_and_comments) as upstream:
        stack = await alone_with(start_stack, upstream, timeouts={"idle_s": 0.3})
        async with asyncio.timeout(3):
            heard = await hear(stack, path, model="own/m")
        assert (heard.text, len(heard.errors), heard.complete, heard.whole) == ("Hi", 1, False, False)
        assert faults(stack) == ["idle_timeout"]
        await quiet(stack)


async def test_words_between_comments_keep_a_stream_alive(start_stack: Start) -> None:
    async def slowly(upstream: Scripted, say: Say) -> None:
        await say(SSE + chunk(chat_frame("Hi")))
        for _ in range(4):
            for _ in range(4):
                await asyncio.sleep(0.04)
                await say(COMMENT)
            await say(chunk(chat_frame(" you")))
        await say(chunk(chat_frame(finish="stop") + USAGE + DONE) + LAST)

    async with scripted(slowly) as upstream:
        stack = await alone_with(start_stack, upstream, timeouts={"idle_s": 0.3})
        heard = await hear(stack, model="own/m")
        assert (heard.text, heard.complete) == ("Hi you you you you", True)


# ------------------------------------------------------------ the vendor's end is the end


@PATHS
@pytest.mark.parametrize(
    "after", [b"", chunk(b": bye\n\n"), chunk(chat_frame("more"))], ids=["quiet", "comment", "more"]
)
async def test_a_stream_is_over_when_its_vendor_says_so_though_the_connection_stays_open(
    start_stack: Start, path: str, after: bytes
) -> None:
    async def never_hang_up(upstream: Scripted, say: Say) -> None:
        await say(SSE + chunk(ANSWER))
        await asyncio.sleep(0.1)
        while after:
            await say(after)
            await asyncio.sleep(0.02)
        await asyncio.sleep(30)

    async with scripted(never_hang_up) as upstream:
        stack = await alone_with(start_stack, upstream)
        async with asyncio.timeout(2):
            heard = await hear(stack, path, model="own/m")
        assert (heard.text, heard.complete, heard.whole) == ("Hi", True, True)
        await quiet(stack)
        if after:
            await until(lambda: upstream.left, within_s=1.0, what="the connection is closed")
        assert faults(stack) == []


async def test_a_connection_whose_last_chunk_came_late_is_used_again(start_stack: Start) -> None:
    async def late(upstream: Scripted, say: Say) -> None:
        await say(SSE + chunk(ANSWER))
        await asyncio.sleep(0.05)
        await say(LAST)

    async with scripted(late) as upstream:
        stack = await alone_with(start_stack, upstream)
        for _ in range(3):
            assert (await hear(stack, model="own/m")).complete
            await asyncio.sleep(0.1)
        assert (len(upstream.heads), upstream.connections) == (3, 1)


async def test_an_empty_stream_that_stays_open_fails_over_at_its_end(start_stack: Start) -> None:
    async def nothing(upstream: Scripted, say: Say) -> None:
        await say(SSE + chunk(ROLE + chat_frame(finish="stop") + DONE))
        await asyncio.sleep(30)

    async with scripted(nothing) as upstream:
        stack = await alone_with(start_stack, upstream)
        async with asyncio.timeout(2):
            assert fell_over(await hear(stack, model="own/m"))
        assert faults(stack) == ["empty"]


# ------------------------------------------------------------ all at once, or too much of it


@PATHS
async def test_a_whole_stream_in_one_piece_is_given_whole(start_stack: Start, path: str) -> None:
    async def at_once(upstream: Scripted, say: Say) -> None:
        await say(SSE + chunk(ROLE + ANSWER) + LAST)

    async with scripted(at_once) as upstream:
        stack = await alone_with(start_stack, upstream)
        heard = await hear(stack, path, model="own/m")
        assert (heard.text, heard.complete, heard.whole) == ("Hi", True, True)


@PATHS
async def test_a_first_frame_with_word_and_finish_in_one_is_an_answer(start_stack: Start, path: str) -> None:
    async def one_frame(upstream: Scripted, say: Say) -> None:
        await say(SSE + chunk(chat_frame("Hi", finish="stop")) + chunk(DONE) + LAST)

    async with scripted(one_frame) as upstream:
        stack = await alone_with(start_stack, upstream)
        heard = await hear(stack, path, model="own/m")
        assert (heard.text, heard.complete) == ("Hi", True)


@PATHS
async def test_a_frame_of_megabytes_arrives(start_stack: Start, path: str) -> None:
    text = "word " * 1_000_000

    async def large(upstream: Scripted, say: Say) -> None:
        await say(SSE + chunk(chat_frame(text) + chat_frame(finish="stop") + DONE) + LAST)

    async with scripted(large) as upstream:
        stack = await alone_with(start_stack, upstream)
        heard = await hear(stack, path, model="own/m")
        assert heard.complete
        assert heard.text == text


async def test_frames_that_say_nothing_are_not_collected_without_end(
    start_stack: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.streaming.MAX_ANSWER_BYTES", 100_000)

    async def on_and_on(upstream: Scripted, say: Say) -> None:
        await say(SSE)
        while True:
            await say(chunk(ROLE * 10))

    async with scripted(on_and_on) as upstream:
        stack = await alone_with(start_stack, upstream)
        async with asyncio.timeout(5):
            assert fell_over(await hear(stack, model="own/m"))
        assert faults(stack) == ["bad_reply"]


async def test_an_error_without_end_is_an_error_at_once(start_stack: Start) -> None:
    async def on_and_on(upstream: Scripted, say: Say) -> None:
        await say(b"HTTP/1.1 500 X\r\ncontent-type: text/html\r\ntransfer-encoding: chunked\r\n\r\n")
        while True:
            await say(chunk(b"<p>" * 10_000))

    async with scripted(on_and_on) as upstream:
        stack = await alone_with(start_stack, upstream)
        for stream in (False, True):
            async with asyncio.timeout(3):
                answer = await stack.chat(model="own/m", stream=stream)
            assert (answer.status, answer.headers["x-gateway-fallback-from"]) == (200, "own")
        assert faults(stack) == ["server_error"] * 2


# ------------------------------------------------------------ not quite a stream


@pytest.mark.parametrize(
    "answer",
    [
        whole_answer(),
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<html></html>",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        SSE + chunk(chat_frame(usage={"prompt_tokens": 1, "completion_tokens": 0, "total_tokens": 1}) + DONE) + LAST,
        SSE + chunk(b'data: {"error":{"message":"no","code":"server_error"}}\n\n') + LAST,
        SSE + chunk(chat_frame("Hi") + b'event: error\ndata: {"error":{"message":"no"}}\n\n') + LAST,
        SSE + chunk(b"data: {{{{\n\n" + DONE) + LAST,
    ],
    ids=["json", "html", "empty stream", "empty", "204", "usage only", "error", "word and error", "garbage"],
)
async def test_what_is_no_answer_fails_over_unseen(start_stack: Start, answer: bytes) -> None:
    async def say_it(upstream: Scripted, say: Say) -> None:
        await say(answer)

    async with scripted(say_it) as upstream:
        stack = await alone_with(start_stack, upstream)
        async with asyncio.timeout(3):
            assert fell_over(await hear(stack, model="own/m"))
        await quiet(stack)


async def test_a_content_type_in_capitals_is_a_stream(start_stack: Start) -> None:
    async def shouting(upstream: Scripted, say: Say) -> None:
        await say(SSE.replace(b"text/event-stream", b"Text/Event-Stream;Charset=UTF-8") + chunk(ANSWER) + LAST)

    async with scripted(shouting) as upstream:
        stack = await alone_with(start_stack, upstream)
        heard = await hear(stack, model="own/m")
        assert (heard.text, heard.complete) == ("Hi", True)


# ------------------------------------------------------------ our own frames among theirs


def pausing(first: bytes, last: bytes, pause_s: float) -> Script:
    async def script(upstream: Scripted, say: Say) -> None:
        await say(SSE + chunk(first))
        await asyncio.sleep(pause_s)
        await say(chunk(last) + LAST)

    return script


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n", b"\r\r"], ids=["LF", "CRLF", "CR"])
async def test_silence_is_filled_with_comments_whatever_ends_the_upstreams_lines(
    start_stack: Start, monkeypatch: pytest.MonkeyPatch, end: bytes
) -> None:
    monkeypatch.setattr("gateway.web.relay.PING_AFTER_S", 0.05)
    # A CR as the last byte may be half of a CRLF, so a frame that ends in CR waits for the next one.
    first = chat_frame("Hi", end=end) + (chat_frame(" you", end=end) if end == b"\r\r" else b"")
    last = chat_frame(finish="stop", end=end) + b"data: [DONE]" + end
    async with scripted(pausing(first, last, 0.3)) as upstream:
        stack = await alone_with(start_stack, upstream)
        async with streaming(stack, model="own/m", messages=HELLO) as (answer, _):
            told = b""
            while b"Hi" not in told:
                told += await answer.content.readany()
            stack.gateway.streams.sweep()  # hears of the silence
            await asyncio.sleep(0.1)
            stack.gateway.streams.sweep()
            told += await answer.content.read()
        before, ping, after = told.partition(b": ping\n\n")
        assert ping
        assert before.endswith((b"\n\n", b"\n\r\n", b"\r\r"))
        assert b"Hi" in before
        assert after.rstrip().endswith(b"[DONE]")


@PATHS
async def test_no_comment_and_no_error_lands_inside_a_frame_that_was_cut(
    start_stack: Start, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr("gateway.web.relay.PING_AFTER_S", 0.05)

    async def half_a_frame(upstream: Scripted, say: Say) -> None:
        await say(SSE + chunk(chat_frame("Hi") + chat_frame(" you")[:-20]))
        await asyncio.sleep(0.3)
        raise ConnectionResetError

    async with scripted(half_a_frame) as upstream:
        stack = await alone_with(start_stack, upstream)
        listening = asyncio.create_task(hear(stack, path, model="own/m"))
        await until(lambda: len(stack.gateway.streams))
        stack.gateway.streams.sweep()  # hears of the silence
        await asyncio.sleep(0.1)
        stack.gateway.streams.sweep()
        heard = await listening
        assert heard.text == "Hi"
        assert heard.frames[-1].error["code"] == "stream_interrupted"
        assert (len(heard.errors), heard.complete, heard.whole) == (1, False, False)

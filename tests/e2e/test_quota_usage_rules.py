"""Usage that cannot be true, on every way that an answer can take: whole, express, streamed, passed through or translated."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from aiohttp import web
from e2e_quota import account, body_of, reserve_of
from e2e_stack import Start
from e2e_tools import serving, until

from gateway.core.tokens import input_bound, output_estimate
from gateway.web.express import Flight

SAID = "Hi there"
HONEST = (5, 7)
LOCAL = {"type": "openai_compatible", "api_key": "x", "default_model": "own", "priority": 99}
WAYS = ("whole", "express", "stream", "translated", "express, translated", "stream, translated")
# What a vendor reports as (input, output), and what is charged: the estimate, or the most that a model can hold.
RULES: dict[str, tuple[Any, str]] = {
    "missing": (None, "estimate"),
    "zero": ((0, 0), "estimate"),
    "negative": ((5, -900), "estimate"),
    "negative input": ((-5, 10), "estimate"),
    "text": (("5", "7"), "estimate"),
    "absurd": ((10**12, 10**12), "bound"),
}


def openai(usage: Any, stream: bool, model: str) -> list[dict[str, Any]] | dict[str, Any]:
    reported = {}
    if usage is not None:
        total = usage[0] + usage[1]
        reported = {"usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1], "total_tokens": total}}
    head = {"id": "c1", "created": 1, "model": model}
    if not stream:
        message = {"index": 0, "message": {"role": "assistant", "content": SAID}, "finish_reason": "stop"}
        return {**head, "object": "chat.completion", "choices": [message], **reported}
    head["object"] = "chat.completion.chunk"
    delta = {"index": 0, "delta": {"role": "assistant", "content": SAID}, "finish_reason": None}
    stop = {"index": 0, "delta": {}, "finish_reason": "stop"}
    return [{**head, "choices": [delta]}, {**head, "choices": [stop]}, {**head, "choices": [], **reported}]


def anthropic(usage: Any, stream: bool, model: str) -> list[dict[str, Any]] | dict[str, Any]:
    reported = {} if usage is None else {"usage": {"input_tokens": usage[0], "output_tokens": usage[1]}}
    head = {"id": "m1", "type": "message", "role": "assistant", "model": model}
    if not stream:
        text = {"type": "text", "text": SAID}
        return {**head, "content": [text], "stop_reason": "end_turn", "stop_sequence": None, **reported}
    text = {"type": "text", "text": ""}
    return [
        {"type": "message_start", "message": {**head, "content": [], "stop_reason": None, **reported}},
        {"type": "content_block_start", "index": 0, "content_block": text},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": SAID}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, **reported},
        {"type": "message_stop"},
    ]


class Vendor:
    """Reports `usage` in each dialect."""

    def __init__(self) -> None:
        self.usage: Any = HONEST

    async def openai(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        answer = openai(self.usage, bool(asked.get("stream")), asked["model"])
        return await self._send(request, answer, [b"data: [DONE]\n\n"])

    async def anthropic(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        return await self._send(request, anthropic(self.usage, bool(asked.get("stream")), asked["model"]), [])

    async def _send(self, request: web.Request, answer: Any, last: list[bytes]) -> web.StreamResponse:
        if isinstance(answer, dict):
            return web.json_response(answer)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for row in answer:
            kind = f"event: {row['type']}\n".encode() if "type" in row else b""
            await response.write(kind + b"data: " + web.json_response(row).body + b"\n\n")
        for frame in last:
            await response.write(frame)
        return response


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rule", RULES)
async def test_every_way_replaces_what_cannot_be_true(
    start_stack: Start, monkeypatch: pytest.MonkeyPatch, rule: str, way: str
) -> None:
    usage, charged = RULES[rule]
    vendor, taken = Vendor(), []
    async with serving({"/v1/chat/completions": vendor.openai, "/v1/messages": vendor.anthropic}) as origin:
        stack = await start_stack(
            {"providers": {"local": LOCAL | {"base_url": origin + "/v1"}, "anthropic": {"base_url": origin}}}
        )
        model = b"claude-sonnet-4-6" if "translated" in way else b"own"
        more = {"stream": True} if "stream" in way else {}
        body = body_of(cap=50, **more).replace(b"gpt-5.4", model)
        monkeypatch.setattr("gateway.web.express.Flight.__init__", counted(taken))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session:
            headers = stack.headers() | {"content-type": "application/json"}
            for honest in (True, True, False) if "express" in way else (False,):
                vendor.usage = HONEST if honest else usage
                url = stack.base() + "/chat/completions"
                async with session.post(url, data=body, headers=headers) as answer:
                    assert answer.status == 200, stack.log_text()
                    await answer.read()
        await until(lambda: not stack.gateway.handlers.in_flight.value)
        assert bool(taken) == ("express" in way)
        spent_before = (sum(HONEST) * 2) if "express" in way else 0
        used = (await account(stack, "tenant:acme"))["used"] - spent_before
        estimate = input_bound(body) + output_estimate(len(SAID))
        if charged == "estimate":
            # Of a whole answer the frame counts too: never too little.
            assert estimate <= used <= estimate + output_estimate(400), (used, estimate)
        else:
            assert 4 * reserve_of(body) <= used <= 2_000_000
        provider = "provider:anthropic" if "translated" in way else "provider:local"
        assert used == (await account(stack, provider))["used"] - spent_before
        await until(lambda: any(line["event"] == "suspect_usage" for line in stack.log_lines()))
        assert len([line for line in stack.log_lines() if line["event"] == "suspect_usage"]) == 1
        metrics = (await (await stack.session.get(stack.origin + "/metrics")).text()).splitlines()
        assert sum(line.startswith("gateway_suspect_usage_total{") and line.endswith(" 1.0") for line in metrics) == 1


def counted(taken: list[Any]) -> Any:
    """A Flight's beginning that also tells that there was one."""
    original = Flight.__init__

    def begin(self: Any, *args: Any) -> None:
        taken.append(self)
        original(self, *args)

    return begin

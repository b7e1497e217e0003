"""What the Responses dialect writes, sent to a simulator that is as strict as OpenAI; and what it answers, read back."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import pytest
from simulator_kit import CREDENTIALS, QUESTION, TIME, WEATHER

from gateway.dialects.openai_responses import OPENAI_RESPONSES
from gateway.simulator.app import Running
from gateway.types import (
    Abilities,
    Ended,
    Event,
    Message,
    Notes,
    Part,
    ReasoningDone,
    Request,
    Target,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolDelta,
    ToolResult,
    ToolStart,
)

GOLDEN = Path(__file__).parent.parent / "golden" / "openai_responses"
BODIES = {
    path.parent.name: json.dumps(json.loads(path.read_bytes())).encode() for path in GOLDEN.glob("*/upstream.json")
}
TOOLS = [Tool("get_weather", parameters=WEATHER), Tool("get_time", parameters=TIME)]
TARGET = Target("gpt-6.1-sol", Abilities(reasoning=True, requires_responses=True))


async def send(sim: Running, http: aiohttp.ClientSession, body: bytes) -> tuple[int, bytes]:
    headers = {**CREDENTIALS["openai"], "content-type": "application/json"}
    async with http.post(sim.url_for("openai") + "/responses", data=body, headers=headers) as answer:
        return answer.status, await answer.read()


async def ask(sim: Running, http: aiohttp.ClientSession, messages: list[Message]) -> list[Event]:
    request = Request(model="m", messages=messages, tools=TOOLS, effort="high", stream=True)
    written = OPENAI_RESPONSES.write_request(request, TARGET, Notes())
    status, stream = await send(sim, http, written.body)
    assert status == 200, stream
    tap, reader = OPENAI_RESPONSES.tap(False), OPENAI_RESPONSES.reader(written.undo)
    assert tap.feed(stream) == stream and tap.ended and tap.content
    return reader.feed(stream) + reader.eof()


def turn_of(events: list[Event]) -> Message:
    parts: list[Part] = []
    for event in events:
        if isinstance(event, ReasoningDone):
            parts.append(event.part)
        elif isinstance(event, TextDelta):
            parts.append(Text(event.text))
        elif isinstance(event, ToolStart):
            parts.append(ToolCall(event.id, event.name, ""))
        elif isinstance(event, ToolDelta):
            assert isinstance(parts[-1], ToolCall)
            parts[-1].arguments += event.arguments
    return Message("assistant", parts)


@pytest.mark.parametrize("case", sorted(BODIES))
async def test_every_golden_request_is_taken(case: str, sim: Running, http: aiohttp.ClientSession) -> None:
    status, answer = await send(sim, http, BODIES[case])

    assert status == 200, answer


async def test_thoughts_go_back_before_the_calls_they_led_to(sim: Running, http: aiohttp.ClientSession) -> None:
    asked = Message("user", [Text(QUESTION)])
    turn = turn_of(await ask(sim, http, [asked]))
    calls = [part for part in turn.parts if isinstance(part, ToolCall)]
    results = [Message("tool", [ToolResult(call.id, [Text("21")])]) for call in calls]

    events = await ask(sim, http, [asked, turn, *results])
    said = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert len(calls) == 2
    assert "get_weather -> 21" in said and isinstance(events[-1], Ended)

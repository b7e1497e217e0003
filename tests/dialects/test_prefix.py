"""Every request of a conversation begins with the bytes of the one before, and is one by the vendor's own types: all providers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from anthropic_models import check as check_anthropic
from anthropic_models import target as claude
from gemini_models import GEMINI_2_5, GEMINI_3, NAMES
from gemini_models import body as check_gemini
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import TypeAdapter

from gateway.core.stash import Stash
from gateway.dialects.anthropic_messages import AnthropicMessages
from gateway.dialects.gemini import Gemini
from gateway.dialects.openai_chat import OPENAI_CHAT
from gateway.types import (
    Abilities,
    Image,
    Message,
    Notes,
    Opaque,
    Part,
    Reasoning,
    Request,
    Target,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    VendorBlock,
)

TEXTS = st.text("ab é\n{}", max_size=6)
ARGUMENTS = st.sampled_from(["", "{}", '{"b": 1.10, "a": [1]}', "[1]", "x", '{"cut": "o'])
TOOLS = [
    Tool("get weather!", "tells", {"type": "object", "properties": {"city": {"type": "string"}}}),
    Tool("patch", "edits", custom=True),
    Tool("any", parameters={"anyOf": [{"type": "string"}, {"type": "integer"}]}),
]
CHAT: TypeAdapter[Any] = TypeAdapter(CompletionCreateParamsNonStreaming)
CODE = {"executableCode": {"language": "PYTHON", "code": "1"}}


def check_chat(body: dict[str, Any]) -> None:
    CHAT.validate_python(body)
    for message in body["messages"]:
        json.dumps(message)


class Provider:
    """How requests are written for it, which of their bytes must stay, and what its own answers bring to replay."""

    def __init__(
        self, dialect: Any, target: Target, key: str, check: Callable[[dict[str, Any]], object], *own: Part
    ) -> None:
        self.dialect, self.target, self.key, self.check = dialect, target, key.encode(), check
        self.own = list(own)

    def write(self, request: Request) -> bytes:
        body: bytes = self.dialect.write_request(request, self.target, Notes()).body
        self.check(json.loads(body))
        return body

    def history(self, request: Request) -> bytes:
        """From the key of the messages on, without what closes them."""
        body = self.write(request)
        rest = body[body.index(self.key) :]
        end = _end_of_array(rest)
        return rest[:end]


def _end_of_array(rest: bytes) -> int:
    """Where the first array in `rest` ends: the length of the rest minus what follows it."""
    start = rest.index(b"[")
    _, end = json.JSONDecoder().raw_decode(rest[start:].decode("latin-1"))
    return start + end - 1


def thinking(name: str = "thinking") -> Reasoning:
    block = (
        {"type": "thinking", "thinking": "hm", "signature": "s=="}
        if name == "thinking"
        else {"type": name, "data": "E"}
    )
    return Reasoning("hm", Opaque("anthropic", name, block))


def anthropic(model: str) -> Provider:
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
    block = VendorBlock(Opaque("anthropic", "server_block", search))
    own = (thinking(), thinking("redacted_thinking"), block)
    return Provider(AnthropicMessages(), claude(model), '"messages":[', check_anthropic, *own)


def gemini(abilities: Abilities) -> Provider:
    signed = Reasoning("", Opaque("google", "thought_signature", "c2ln"))
    own = (signed, VendorBlock(Opaque("google", "server_block", CODE)))
    return Provider(Gemini(), Target(NAMES[abilities], abilities), '"contents":[', lambda body: None, *own)


PROVIDERS = {
    "claude-sonnet-4-6": anthropic("claude-sonnet-4-6"),
    "claude-opus-4-8": anthropic("claude-opus-4-8"),
    "claude-opus-5-5": anthropic("claude-opus-5-5"),
    "gemini-2.5": gemini(GEMINI_2_5),
    "gemini-3": gemini(GEMINI_3),
    "gpt": Provider(OPENAI_CHAT, Target("gpt", Abilities()), '"messages":[', check_chat),
}


@st.composite
def turns(draw: st.DrawFn, number: int, provider: Provider) -> list[Message]:
    """A user's turn and the whole answer to it: calls with their results, perhaps in steps, and then text."""
    said: list[Part] = [Text(draw(TEXTS))]
    if draw(st.booleans()):
        said.append(Image(media_type="image/png", data="aGk="))
    turn = [Message("user", said, draw(st.sampled_from(["", "Ann"])))]
    if number and draw(st.booleans()):
        turn.append(Message("system", [Text(draw(TEXTS))]))
    for step in range(draw(st.integers(0, 2))):
        ids = [
            f"{draw(st.sampled_from(['call_', 'x y', 'toolu_']))}{number}{step}{i}"
            for i in range(draw(st.integers(1, 2)))
        ]
        calls: list[Part] = []
        for place, id_ in enumerate(ids):
            tool = draw(st.sampled_from(TOOLS))
            # Google's models sign the first call of a step; without it the current turn is vouched for, and only that.
            signed = Opaque("google", "thought_signature", "c2ln") if place == 0 else None
            calls.append(ToolCall(id_, tool.name, draw(ARGUMENTS), tool.custom, signed))
        turn.append(Message("assistant", [*draw(_own(provider)), Text(draw(TEXTS)), *calls]))
        turn += [Message("tool", [ToolResult(id_, [Text(draw(TEXTS))])]) for id_ in draw(st.permutations(ids))]
    return [*turn, Message("assistant", [*draw(_own(provider)), Text("." + draw(TEXTS))])]


def _own(provider: Provider) -> st.SearchStrategy[list[Part]]:
    return st.lists(st.sampled_from(provider.own), max_size=2) if provider.own else st.just([])


def moments(talk: list[Message], turn: list[Message]) -> Iterator[list[Message]]:
    """What the client sends within this turn: the conversation up to each of the model's answers."""
    for place, message in enumerate(turn):
        if message.role == "assistant":
            yield [*talk, *turn[:place]]


def ask(messages: list[Message]) -> Request:
    return Request(model="m", messages=messages, tools=TOOLS)


@pytest.mark.parametrize("name", PROVIDERS)
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_each_request_begins_with_the_bytes_of_the_one_before(name: str, data: st.DataObject) -> None:
    provider = PROVIDERS[name]
    talk, before, head = [Message("system", [Text("top")])], b"", b""
    for number in range(data.draw(st.integers(2, 4))):
        turn = data.draw(turns(number, provider))
        for messages in moments(talk, turn):
            request = ask(messages)
            if name.startswith("gemini"):
                check_gemini(request, provider.target.abilities)
            sent = provider.history(request)
            assert sent.startswith(before)
            before = sent
            body = json.loads(provider.write(request))
            kept = json.dumps([body.get(key) for key in ("system", "systemInstruction", "tools")]).encode()
            assert head in (b"", kept)
            head = kept
        talk = [*talk, *turn]


@pytest.mark.parametrize("name", [name for name, provider in PROVIDERS.items() if provider.own])
@given(st.data())
@settings(max_examples=40, deadline=None)
def test_what_the_stash_puts_back_is_byte_for_byte_what_the_client_dropped(name: str, data: st.DataObject) -> None:
    provider, stash = PROVIDERS[name], Stash()
    talk: list[Message] = []
    for number in range(data.draw(st.integers(1, 3))):
        turn = data.draw(turns(number, provider))
        for message in turn:
            if message.role == "assistant":
                stash.remember("acme", message.parts, 0.0, talk)
            talk = [*talk, message]
    talk = [*talk, Message("user", [Text("!")])]

    restored = stash.restored("acme", ask([_stripped(message) for message in talk]), 1.0)
    assert provider.history(restored) == provider.history(ask(talk))


def _stripped(message: Message) -> Message:
    """As a client of OpenAI's shape sends it back: one text, then the calls."""
    if message.role != "assistant":
        return message
    text = "".join(part.text for part in message.parts if isinstance(part, Text))
    calls = [ToolCall(p.id, p.name, p.arguments, p.custom) for p in message.parts if isinstance(p, ToolCall)]
    return Message("assistant", [*([Text(text)] if text else []), *calls])

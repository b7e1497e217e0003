"""Every way in that generates text, as one table: where it is, how it asks, and how its answers and streams are read.

What is read here is read strictly and by hand: an SDK forgives, and a test that asks whether a cut answer looks complete must not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from msgspec import json

MODELS = {"openai": "gpt-5.4", "anthropic": "claude-sonnet-4-6", "gemini": "gemini-3.8-flash"}
PROVIDERS = tuple(MODELS)


def said(provider: str, text: str = "Hello") -> str:
    """What the simulator of a provider answers."""
    return f"[simulated {MODELS[provider]}] You said: {text}"


@dataclass
class Spoken:
    """A stream as its client understands it. `complete`: the dialect's own signs of an end were there."""

    text: str = ""
    complete: bool = False
    errors: list[Any] = field(default_factory=list)
    frames: list[tuple[str, Any]] = field(default_factory=list)


def frames(data: bytes) -> list[tuple[str, Any]]:
    """The events of an SSE body: name and value; [DONE] is the text itself. Every frame must be whole."""
    found: list[tuple[str, Any]] = []
    for block in data.decode().replace("\r\n", "\n").split("\n\n"):
        name, values = "", []
        for line in block.split("\n"):
            assert not line or line[0] == ":" or line.partition(":")[0] in ("event", "data", "id", "retry"), line
            if line.startswith("event:"):
                name = line[6:].strip()
            elif line.startswith("data:"):
                values.append(line[5:].strip())
        if values:
            text = "\n".join(values)
            found.append((name, text if text == "[DONE]" else json.decode(text)))
    return found


def _chat_stream(data: bytes) -> Spoken:
    heard = Spoken(frames=frames(data))
    for _, value in heard.frames:
        if value == "[DONE]":
            heard.complete = True
        elif value.get("error"):
            heard.errors.append(value["error"])
        else:
            for choice in value["choices"]:
                heard.text += (choice["delta"].get("content") or "") if "delta" in choice else choice["text"]
                heard.complete = heard.complete or bool(choice.get("finish_reason"))
    return heard


def _messages_stream(data: bytes) -> Spoken:
    heard = Spoken(frames=frames(data))
    for name, value in heard.frames:
        assert name == value["type"]
        if name == "error":
            heard.errors.append(value["error"])
        elif name == "content_block_delta":
            heard.text += value["delta"].get("text", "")
        elif name in ("message_stop", "message_delta"):
            heard.complete = True
    return heard


def _responses_stream(data: bytes) -> Spoken:
    heard = Spoken(frames=frames(data))
    for at, (name, value) in enumerate(heard.frames):
        assert name == value["type"] and value["sequence_number"] == at, (at, value)
        if name == "response.output_text.delta":
            heard.text += value["delta"]
        elif name == "response.failed":
            heard.errors.append(value["response"]["error"])
            assert value["response"]["status"] == "failed"
        elif name == "error":
            heard.errors.append(value)
        elif name in ("response.completed", "response.incomplete"):
            heard.complete = True
    return heard


def _contents(values: list[Any]) -> Spoken:
    heard = Spoken(frames=[("", value) for value in values])
    for value in values:
        if "error" in value:
            heard.errors.append(value["error"])
            continue
        for candidate in value.get("candidates", []):
            heard.text += _gemini_text(candidate)
            heard.complete = heard.complete or "finishReason" in candidate
    return heard


def _gemini_text(candidate: Any) -> str:
    parts = candidate.get("content", {}).get("parts", [])
    return "".join(part.get("text", "") for part in parts if not part.get("thought"))


def _gemini_stream(data: bytes) -> Spoken:
    return _contents([value for _, value in frames(data)])


def _gemini_array(data: bytes) -> Spoken:
    """One JSON array; one that was cut may lack its bracket, but never a whole element's second half."""
    text = data.decode().strip()
    return _contents(json.decode(text if text.endswith("]") else text.rstrip(",\r\n ") + "]"))


def _native_stream(data: bytes) -> Spoken:
    heard = Spoken(frames=frames(data))
    for name, value in heard.frames:
        if name == "chat.error":
            heard.errors.append(value["error"])
        elif name == "chat.chunk":
            heard.text += value["chunk"]["delta"]
        elif name == "chat.complete":
            heard.complete = True
    return heard


def _response_text(answer: Any) -> str:
    assert answer["status"] == "completed"
    parts = [part for item in answer["output"] if item["type"] == "message" for part in item["content"]]
    return "".join(part["text"] for part in parts)


def _openai_error(body: Any) -> Any:
    assert {"message", "type", "param", "code"} <= set(body["error"])
    return body["error"]["code"]


def _anthropic_error(body: Any) -> Any:
    assert body["type"] == "error" and body["request_id"] and body["error"]["message"]
    return body["error"]["type"]


def _gemini_error(body: Any) -> Any:
    assert type(body["error"]["code"]) is int and body["error"]["message"]
    return body["error"]["status"]


@dataclass(frozen=True)
class Surface:
    """`path` and `body` take the model and whether to stream; `text` reads a whole answer, `stream` a streamed one, `error` a
    refusal's own word after checking its shape."""

    name: str
    label: str  # in the access log
    dialect: str  # whose provider takes its bytes as they are; "" for none
    path: Callable[[str, bool], str]
    body: Callable[[str, str, bool], dict[str, Any]]
    text: Callable[[Any], str]
    stream: Callable[[bytes], Spoken]
    error: Callable[[Any], Any] = _openai_error
    cap: tuple[str, ...] = ("max_tokens",)  # where its output cap stands

    def __str__(self) -> str:
        return self.name


def _fixed(path: str) -> Callable[[str, bool], str]:
    return lambda model, stream: path


def _with_stream(body: dict[str, Any], stream: bool) -> dict[str, Any]:
    return {**body, "stream": True} if stream else body


def _user(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def _gemini_body(model: str, text: str, stream: bool) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}]}


def _gemini_path(query: str) -> Callable[[str, bool], str]:
    return lambda m, stream: f"/v1beta/models/{m}:" + (f"streamGenerateContent{query}" if stream else "generateContent")


def _gemini_whole(answer: Any) -> str:
    return _gemini_text(answer["candidates"][0])


CHAT = Surface(
    "chat", "chat_completions", "openai", _fixed("/chat/completions"),
    lambda model, text, stream: _with_stream({"model": model, "messages": _user(text)}, stream),
    lambda answer: answer["choices"][0]["message"]["content"], _chat_stream,
)  # fmt: skip
COMPLETIONS = Surface(
    "completions", "completions", "", _fixed("/completions"),
    lambda model, text, stream: _with_stream({"model": model, "max_tokens": 500, "prompt": text}, stream),
    lambda answer: answer["choices"][0]["text"], _chat_stream,
)  # fmt: skip
RESPONSES = Surface(
    "responses", "responses", "openai", _fixed("/responses"),
    lambda model, text, stream: _with_stream({"model": model, "input": text}, stream),
    _response_text, _responses_stream, cap=("max_output_tokens",),
)  # fmt: skip
MESSAGES = Surface(
    "messages", "messages", "anthropic", _fixed("/v1/messages"),
    lambda model, text, stream: _with_stream({"model": model, "max_tokens": 500, "messages": _user(text)}, stream),
    lambda answer: "".join(block["text"] for block in answer["content"] if block["type"] == "text"),
    _messages_stream, _anthropic_error,
)  # fmt: skip
GEMINI = Surface(
    "gemini", "generate_content", "gemini", _gemini_path("?alt=sse"), _gemini_body, _gemini_whole, _gemini_stream,
    _gemini_error, ("generationConfig", "maxOutputTokens"),
)  # fmt: skip
GEMINI_ARRAY = Surface(
    "gemini array", "generate_content", "gemini", _gemini_path(""), _gemini_body, _gemini_whole, _gemini_array,
    _gemini_error, ("generationConfig", "maxOutputTokens"),
)  # fmt: skip
NATIVE = Surface(
    "native", "native", "", _fixed("/chat"),
    lambda model, text, stream: _with_stream({"model": model, "messages": _user(text)}, stream),
    lambda answer: answer["content"], _native_stream, cap=("maxTokens",),
)  # fmt: skip
SURFACES = (CHAT, COMPLETIONS, RESPONSES, MESSAGES, GEMINI, GEMINI_ARRAY, NATIVE)


@dataclass
class Answer:
    """What came back. `whole`: the connection ended as the protocol wants it."""

    status: int
    headers: Any
    body: bytes
    whole: bool = True

    @property
    def value(self) -> Any:
        return json.decode(self.body)


async def ask(
    stack: Any, surface: Surface, model: str, *, text: str = "Hello", stream: bool = False, **headers: str
) -> Answer:
    """One question on acme, read to its end however that comes. Keywords are headers."""
    return await send(stack, surface.path(model, stream), surface.body(model, text, stream), **headers)


async def send(
    stack: Any, path: str, body: Any, *, tenant: str = "acme", method: str = "POST", **headers: str
) -> Answer:
    """A request below a tenant's base. `body`: a value, or bytes as they are. An underscore in a header's name is a hyphen."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    data = body if isinstance(body, bytes) or body is None else json.encode(body)
    sent = {**stack.headers(tenant), "content-type": "application/json", **given}
    async with stack.session.request(method, stack.base(tenant) + path, data=data, headers=sent) as answer:
        got, whole = b"", True
        try:
            async for piece in answer.content.iter_any():
                got += piece
        except aiohttp.ClientPayloadError:
            whole = False
        return Answer(answer.status, answer.headers, got, whole)


async def served(stack: Any) -> dict[str, int]:
    """Tokens that each simulator says it served."""
    return {name: row["total_tokens"] for name, row in (await stack.sim("served")).items()}

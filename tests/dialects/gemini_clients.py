"""Google's own clients as oracles: google-genai over a transport of our own, and the reader of google-generativeai (REST)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import httpx2
from google import genai
from google.ai import generativelanguage as glm
from google.api_core.rest_streaming import ResponseIterator
from google.genai import types

from gateway.dialects.gemini import GEMINI
from gateway.types import Echo, Event, Request

ID = "0123456789abcdef01234567"


def echo(**members: Any) -> Echo:
    return Echo(id=ID, model="fast", created=1_790_000_000, **members)


def read(**fields: Any) -> Request:
    """What the dialect makes of a client's body; contents that only greet unless given."""
    return GEMINI.read_request(json.dumps({"contents": "hi", **fields}).encode())


def client(answer: Callable[[bytes], bytes], content_type: str = "application/json", status: int = 200) -> genai.Client:
    """A google-genai client whose requests are answered by a function of the body."""

    def handle(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, content=answer(request.content), headers={"content-type": content_type})

    http = httpx2.Client(transport=httpx2.MockTransport(handle))
    options = types.HttpOptions(httpx_client=http, base_url="http://gateway", api_version="v1beta")
    return genai.Client(api_key="key", http_options=options)


def sent(contents: Any, **config: Any) -> bytes:
    """The body that google-genai sends."""
    bodies: list[bytes] = []

    def answer(body: bytes) -> bytes:
        bodies.append(body)
        return b'{"candidates":[{"content":{"parts":[{"text":"ok"}],"role":"model"},"finishReason":"STOP"}]}'

    client(answer).models.generate_content(model="m", contents=contents, config=types.GenerateContentConfig(**config))
    return bodies[0]


@cache
def _reader() -> tuple[genai.Client, list[bytes]]:
    """A client that is answered with the last of the bytes: making one takes longer than a stream."""
    answers: list[bytes] = []
    return client(lambda body: answers[-1], "text/event-stream"), answers


def received(stream: bytes) -> list[types.GenerateContentResponse]:
    """What google-genai makes of an event stream; raises what it raises."""
    reader, answers = _reader()
    answers[:] = [stream]
    return list(reader.models.generate_content_stream(model="m", contents="hi"))


class _Bytes:
    """As much of requests.Response as the REST reader looks at: it reads character by character."""

    def __init__(self, data: bytes) -> None:
        self._text = data.decode()

    def iter_content(self, decode_unicode: bool = False) -> Iterator[str]:
        return iter(self._text)


def received_as_array(data: bytes) -> list[glm.GenerateContentResponse]:
    """What google-generativeai makes of an array; raises ValueError for one that is not closed."""
    return list(ResponseIterator(_Bytes(data), glm.GenerateContentResponse))


def fragments(*events: Event, **members: Any) -> list[Any]:
    """The JSON of the fragments that a stream's writer makes of `events`."""
    text = GEMINI.writer(echo(**members)).write(list(events)).decode()
    assert text.endswith("\n\n") or not text
    return [json.loads(frame.removeprefix("data: ")) for frame in text.split("\n\n")[:-1]]

"""What the Responses tests share: an echo, the frames of a stream, and what the official client makes of them."""

from __future__ import annotations

import json
from typing import Any

from openai import omit
from openai._models import construct_type_unchecked
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
    ResponseCreateParamsStreaming,
)
from pydantic import ConfigDict, TypeAdapter

from gateway.dialects.openai_responses import OPENAI_RESPONSES
from gateway.types import Echo, Event, Opaque, Request

ID = "0123456789abcdef01234567"
PARAMS: TypeAdapter[Any] = TypeAdapter(
    ResponseCreateParamsStreaming | ResponseCreateParamsNonStreaming, config=ConfigDict(extra="forbid")
)
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def sealed(opaques: list[Opaque]) -> str:
    return "gw1." + "+".join(f"{one.vendor}.{one.kind}" for one in opaques)


def read(**fields: Any) -> Request:
    body = {"model": "m", "input": "hi", **fields}
    return OPENAI_RESPONSES.read_request(json.dumps(body).encode())


def echo(request: Request | None = None, **members: Any) -> Echo:
    asked = request.echo if request is not None else None
    return Echo(id=ID, model="fast", created=1_790_000_000, **{"seal": sealed, "request": asked, **members})


def frames(text: str) -> list[dict[str, Any]]:
    """The events of a stream; each frame's name is its event's type, and the numbers have no gaps."""
    found = []
    for number, frame in enumerate(text.split("\n\n")[:-1]):
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert (name, event["sequence_number"]) == (f"event: {event['type']}", number)
        found.append(event)
    return found


def stream(events: list[Event], request: Request | None = None, **members: Any) -> list[dict[str, Any]]:
    return frames(OPENAI_RESPONSES.writer(echo(request, **members)).write(events).decode())


def accumulated(found: list[dict[str, Any]]) -> Response | None:
    """What the official client has at the end of the stream: it raises where an invariant is broken. None without an end.

    Every event is also held against its type, as strictly as pydantic can.
    """
    state: Any = ResponseStreamState(text_format=omit, input_tools=omit)
    for event in found:
        EVENT.validate_python(event)
        state.handle_event(construct_type_unchecked(type_=ResponseStreamEvent, value=event))  # type: ignore[arg-type]
    whole: Response | None = state._completed_response
    return whole


def walk(value: Any) -> None:
    """pydantic checks an Iterable only while somebody walks it."""
    if isinstance(value, dict):
        for child in value.values():
            walk(child)
    elif hasattr(value, "__iter__") and not isinstance(value, str | bytes):
        for child in value:
            walk(child)


def check_request(body: bytes) -> dict[str, Any]:
    """The body, proven to be a request by the SDK's types; unknown fields are errors."""
    parsed: dict[str, Any] = json.loads(body)
    walk(PARAMS.validate_python(parsed))
    return parsed

"""Events folded into what a whole answer says, and a whole answer put the same way, so that the two can be compared."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import structs

from gateway.types import (
    Annotated,
    BlockDone,
    Choice,
    Ended,
    Event,
    Finished,
    Image,
    ImageDone,
    Reasoning,
    ReasoningDelta,
    ReasoningDone,
    Refusal,
    RefusalDelta,
    Reply,
    Start,
    StreamReader,
    Text,
    TextDelta,
    ToolCall,
    ToolDelta,
    ToolStart,
    Usage,
    UsageSeen,
    VendorBlock,
)

Said = dict[str, Any]


def _empty() -> Said:
    return {"text": "", "thoughts": "", "refusal": "", "calls": [], "images": [], "replay": [], "annotations": []} | {
        "finish": None,
        "stop_sequence": None,
    }


def read(reader: StreamReader, stream: bytes, cuts: list[int]) -> list[Event]:
    """What `reader` makes of `stream` in the pieces between `cuts`."""
    places = sorted({cut % (len(stream) + 1) for cut in cuts})
    events = [
        event
        for start, end in zip([0, *places], [*places, len(stream)], strict=True)
        for event in reader.feed(stream[start:end])
    ]
    return events + reader.eof()


def folded(events: list[Event]) -> Said:
    """The stream's first choice. Fails for a stream without its clean ending."""
    assert isinstance(events[-1], Ended), events[-1]
    said = _empty()
    shown = ""  # of the thought that goes on
    for event in events:
        if isinstance(event, ReasoningDelta):
            shown += event.text
        if isinstance(event, ReasoningDone):
            assert event.part.text in ("", shown), "a finished thought repeats its deltas"
            shown = ""
        _say(said, event)
    return _without_nothing(said)


def _say(said: Said, event: Event) -> None:
    match event:
        case TextDelta(text):
            said["text"] += text
        case ReasoningDelta(text):
            said["thoughts"] += text
        case RefusalDelta(text):
            said["refusal"] += text
        case ToolStart(index, id_, name, custom=custom, opaque=opaque):
            assert index == len(said["calls"])
            said["calls"].append([id_, name, "", custom])
            said["replay"].append(opaque)
        case ToolDelta(index, arguments):
            said["calls"][index][2] += arguments
        case Annotated(annotations):
            said["annotations"] += annotations
        case Finished(reason, stop_sequence=stop_sequence):
            said |= {"finish": reason, "stop_sequence": stop_sequence}
        case _:
            _keep(said, event)


def _keep(said: Said, event: Event) -> None:
    match event:
        case Start(id_, model):
            said |= {"id": id_, "model": model}
        case ReasoningDone(part):
            said["replay"].append(part.opaque)
        case ImageDone(image):
            said["images"].append(image)
        case BlockDone(block):
            said["replay"].append(block.opaque)
        case UsageSeen(usage):
            said["usage"] = _told(usage)


def whole(reply: Reply) -> Said:
    """The first choice of a whole answer."""
    choice: Choice = reply.choices[0]
    said = _empty() | {"id": reply.id, "model": reply.model, "usage": _told(reply.usage)}
    said |= {"finish": choice.finish, "stop_sequence": choice.stop_sequence}
    for part in choice.parts:
        match part:
            case Text():
                said["text"] += part.text
                said["annotations"] += part.annotations or []
            case Reasoning():
                said["thoughts"] += part.text
            case Refusal(text):
                said["refusal"] += text
            case ToolCall():
                said["calls"].append([part.id, part.name, part.arguments, part.custom])
            case Image():
                said["images"].append(part)
        if isinstance(part, Text | Reasoning | ToolCall | VendorBlock):
            said["replay"].append(part.opaque)
    return _without_nothing(said)


def _without_nothing(said: Said) -> Said:
    return said | {"replay": [opaque for opaque in said["replay"] if opaque is not None]}


def _told(usage: Usage | None) -> Usage | None:
    """A vendor's own object may be kept as bytes; what counts is what a client reads."""
    return structs.replace(usage, own=msgspec.json.decode(msgspec.json.encode(usage.own))) if usage else None

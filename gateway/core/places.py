"""Places in a request: how the dialects of providers name them, and how a client's own dialect spells the same ones.

A provider's dialect sees `types.Request` and nothing of the client's body. It names what it cannot take by where it stands there:
`messages[i]`, `messages[i].content[j]` for the part j, `messages[i].content[j].content[k]` for what a tool's result holds, with a
tail such as `.tool_call_id`; and fields by their Chat names. The client's dialect knows where that stood in the body.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from gateway.types import Unsupported

_MESSAGE = re.compile(r"messages\[(\d{1,9})\](?:\.content\[(\d{1,9})\])?(?:\.content\[(\d{1,9})\])?(\.[a-z_.]+)?")


class Spot(Struct):
    """Where a message of the request stood in the body, and where each of its parts did."""

    place: str
    parts: list[str] = field(default_factory=list)


class Spelling(Struct, frozen=True):
    """A dialect's own words. fields: by their Chat names. tails: of a message's place. inner: what leads from a tool's result to
    the place `{at}` in it. item: what leads from a list to its place `{at}`.
    """

    fields: Mapping[str, str]
    tails: Mapping[str, str]
    inner: str
    item: str


def located(param: str, spots: Sequence[Spot], spelling: Spelling) -> str:
    """`param` as the client spells it; as it is where the body does not tell."""
    found = _MESSAGE.fullmatch(param)
    if found is None:
        name, bracket, rest = param.partition("[")
        at = rest.removesuffix("]")
        known = spelling.fields.get(name, name)
        return known + (spelling.item.format(at=at) if bracket and at.isdigit() else bracket + rest)
    message, part, inside, tail = found.groups()
    if int(message) >= len(spots):
        return spelling.fields.get("messages", "messages")
    spot = spots[int(message)]
    place = spot.place
    if part is not None and int(part) < len(spot.parts):
        place = spot.parts[int(part)] + (spelling.inner.format(at=inside) if inside is not None else "")
    return place + (spelling.tails.get(tail, tail) if tail else "")


def respelled(names: Sequence[str], words: Mapping[str, str]) -> list[str]:
    """Parameters that were left out, as the client spells them. `words` are its own by their Chat names."""
    return list(dict.fromkeys([words.get(name, name) for name in names]))


def retold(refused: Unsupported, place: str) -> Unsupported:
    """The same refusal with its place as the client spells it."""
    message = refused.message
    if message.startswith(refused.param):
        message = place + message.removeprefix(refused.param)
    return Unsupported(place, message, refused.code)


def grown(spots: list[Spot], sizes: Sequence[int], place: str, inner: Sequence[str]) -> None:
    """Note that what stands at `place` became the last messages, or more parts of the last one.

    sizes: of all messages by now, in parts. inner: the places inside, which count where each became one part.
    """
    new = sum(sizes) - sum(len(spot.parts) for spot in spots)
    places = list(inner) if len(inner) == new else [place] * max(new, 0)
    for at, size in enumerate(sizes):
        if at == len(spots):
            spots.append(Spot(place))
        missing = size - len(spots[at].parts)
        if missing > 0:
            spots[at].parts += places[:missing]
            places = places[missing:]

"""One golden case: what is in its folder, and what the dialects make of it. See test_golden.py for how to add one."""

from __future__ import annotations

import ast
import importlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from gateway.core.envelope import unsealed
from gateway.core.places import respelled
from gateway.core.retry import client_error, cooldown_s
from gateway.errors import UpstreamError
from gateway.providers import PROVIDERS
from gateway.types import (
    Abilities,
    BadReply,
    BadRequest,
    Echo,
    Event,
    Failed,
    Notes,
    Opaque,
    Paused,
    Request,
    StreamReader,
    Target,
    Translation,
    Unsupported,
    Written,
)

ROOT = Path(__file__).parent.parent / "golden"
ECHO_ID = "0123456789abcdef01234567"
CREATED = 1_790_000_000
PLAIN = b'{"model":"m","max_tokens":1000,"messages":[{"role":"user","content":"hi"}]}'
PLAIN_CONTENTS = b'{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}'  # for a client of Gemini
INPUTS = ("request.json", "answer.json", "stream.sse", "failure.http")
OUTPUTS = ("upstream.json", "notes.json", "error.json", "client.json", "client.sse", "again.json", "fault.json")


class Settings(msgspec.Struct, forbid_unknown_fields=True):
    """case.json. Every field may be left out, and so may the file."""

    client: str = "openai_chat"
    provider: str = ""  # the folder above the case
    model: str = ""  # the upstream's name of the model; the request's own when empty
    abilities: dict[str, Any] = msgspec.field(default_factory=dict)  # over the defaults of types.Abilities
    translation: dict[str, Any] = msgspec.field(default_factory=dict)  # over the defaults of types.Translation
    strict: bool = False
    expose_reasoning: bool = True
    about: str = ""  # why this case exists, for the reader


def dialect(name: str) -> Any:
    """The dialect object of gateway/dialects/<name>.py: the one whose `name` is its module's."""
    module = importlib.import_module(f"gateway.dialects.{name}")
    found = [thing for thing in vars(module).values() if getattr(thing, "name", None) == name]
    objects = [thing for thing in found if not isinstance(thing, type)] or [thing() for thing in found]
    assert objects, f"gateway.dialects.{name} has no object with name = {name!r}"
    return objects[0]


def sealed(opaque: list[Opaque]) -> str:
    """Stands for core/envelope.py: the same things give the same text."""
    return "gw1." + "+".join(f"{one.vendor}.{one.kind}.{one.data}" for one in opaque)


def unseal(text: str) -> list[Opaque]:
    """Takes apart what `sealed` put together, of one thing."""
    vendor, kind, inside = text.removeprefix("gw1.").split(".", 2)
    return [Opaque(vendor, kind, ast.literal_eval(inside) if inside.startswith("{") else inside)]


def pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


@dataclass
class Case:
    """The folder, read; `outputs()` is what the dialects make of it, by file name."""

    folder: Path
    settings: Settings = field(init=False)

    def __post_init__(self) -> None:
        text = self.read("case.json")
        self.settings = msgspec.json.decode(text, type=Settings) if text is not None else Settings()
        self.client = dialect(self.settings.client)
        self.provider = dialect(self.settings.provider or self.folder.parent.name)

    def read(self, name: str) -> bytes | None:
        path = self.folder / name
        return path.read_bytes() if path.exists() else None

    def request(self) -> Request:
        """The client's request; a plain one when the case is only about an answer."""
        return unsealed(self.client.read_request(self.body()), unseal)

    def body(self) -> bytes:
        return self.read("request.json") or (PLAIN_CONTENTS if self.settings.client == "gemini" else PLAIN)

    def target(self, request: Request) -> Target:
        abilities = msgspec.convert(self.settings.abilities, Abilities)
        translation = msgspec.convert(self.settings.translation, Translation)
        return Target(self.settings.model or request.model, abilities, translation)

    def outputs(self) -> dict[str, str]:
        made: dict[str, str] = {}
        try:
            request = self.request()
            notes = Notes(strict=self.settings.strict)
            notes.take_over(request)
            written = self.provider.write_request(request, self.target(request), notes)
            notes.dropped = respelled(notes.dropped, self.client.words)
        except (BadRequest, Unsupported) as raised:
            error = self.client.retold(raised, self.body()) if isinstance(raised, Unsupported) else raised
            about = {"raised": type(error).__name__, "param": error.param, "code": error.code, "message": error.message}
            return {"error.json": pretty(about)}
        if self.read("request.json") is not None:
            made["upstream.json"] = pretty(json.loads(written.body))
            made.update(_notes(written, notes))
        if (answer := self.read("answer.json")) is not None:
            made.update(self._answer(answer, request, written))
        if (stream := self.read("stream.sse")) is not None:
            events = self.events(stream, written.undo, [], made)
            made["client.sse"] = self.write_stream(events, request).decode()
        if (failure := self.read("failure.http")) is not None:
            made["fault.json"] = self._failure(failure)
        return made

    def echo(self, request: Request) -> Echo:
        return Echo(
            id=ECHO_ID,
            model=request.model or self.settings.model,
            created=CREATED,
            include_usage=request.include_usage,
            legacy_functions=request.legacy_functions,
            expose_opaque=self.settings.translation.get("expose_opaque", False),
            expose_reasoning=self.settings.expose_reasoning and request.show_thoughts is not False,
            named_tool=request.tool_choice is not None and request.tool_choice.mode == "named",
            seal=sealed,
            request=request.echo,
        )

    def _answer(self, answer: bytes, request: Request, written: Written) -> dict[str, str]:
        made: dict[str, str] = {}
        try:
            reply = self.provider.read_reply(answer, written.undo)
            if reply.again is not None and (rest := self.read("answer_2.json")) is not None:
                made["again.json"] = pretty(json.loads(reply.again.body))
                reply = self.provider.read_reply(rest, reply.again.undo)
        except BadReply as error:
            return {"error.json": pretty({"raised": "BadReply", "kind": error.kind, "message": str(error)})}
        return made | {"client.json": pretty(json.loads(self.client.write_reply(reply, self.echo(request))))}

    def events(self, stream: bytes, undo: Any, cuts: list[int], made: dict[str, str] | None = None) -> list[Event]:
        """What the provider's reader makes of `stream`, handed over in the pieces between `cuts`; and of its continuation."""
        events = self._read(stream, undo, cuts)
        if isinstance(events[-1], Paused) and (rest := self.read("stream_2.sse")) is not None:
            again = events.pop().again
            if made is not None:
                made.setdefault("again.json", pretty(json.loads(again.body)))
            events += self._read(rest, again.undo, [cut for cut in cuts if cut < len(rest)])
        return events

    def _read(self, stream: bytes, undo: Any, cuts: list[int]) -> list[Event]:
        reader: StreamReader = self.provider.reader(undo)
        events: list[Event] = []
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
            events += reader.feed(stream[start:end])
        return events + reader.eof()

    def _failure(self, failure: bytes) -> str:
        """An error answer, as the provider's vendor understands it and as a client sees it when nobody else is left."""
        head, _, body = failure.partition(b"\n\n")
        status, *lines = head.decode().splitlines()
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        spoken = self.provider.name
        vendor = next(v for v in PROVIDERS.values() if (half := v.half(spoken)) is not None and half.name == spoken)
        fault = vendor.fault(int(status.split()[1]), headers, body.strip())
        known = {name: value for name, value in structs.asdict(fault).items() if value and name != "body"}
        error = client_error([fault], model=self.settings.model)
        error.request_id = "req_golden"
        seen = {"status": error.status, "retry_after_s": error.retry_after_s, "should_retry": error.should_retry}
        client = {**seen, "body": json.loads(self.client.write_error(error))}
        return pretty({"fault": {**known, "next": fault.next.value}, "cooldown_s": cooldown_s(fault), "client": client})

    def write_stream(self, events: list[Event], request: Request, one_by_one: bool = False) -> bytes:
        """The client's bytes; a broken stream ends with the error frame that the pipeline would ask for."""
        writer = self.client.writer(self.echo(request))
        failed = [event for event in events if isinstance(event, Failed)]
        said = [event for event in events if not isinstance(event, Failed)]
        pieces = [[event] for event in said] if one_by_one else [said]
        out = b"".join(writer.write(piece) for piece in pieces)
        if failed:
            error = UpstreamError(f"the provider's stream broke ({failed[0].kind})", code="stream_interrupted")
            error.request_id = "req_golden"
            out += writer.error(error)
        return bytes(out)


def _notes(written: Written, notes: Notes) -> dict[str, str]:
    about = {"headers": dict(written.headers), "dropped": notes.dropped, "warnings": notes.warnings}
    said = {key: value for key, value in about.items() if value}
    return {"notes.json": pretty(said)} if said else {}


def cases() -> list[Path]:
    """Every folder under tests/golden/<dialect>/ that holds a request, an answer, a stream or a failure."""
    return sorted({path.parent for name in INPUTS for path in ROOT.glob(f"*/*/{name}")})

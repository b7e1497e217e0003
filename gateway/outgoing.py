"""A call as one provider shall see it: the body in its dialect, and the attempt that will hear the answer.

Same dialect: the client's bytes with only the named places changed. Another dialect: the whole request, read once and written anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import structs

from gateway.attempt import Attempt, WholeAnswer
from gateway.call import Call, Outlet, Trail
from gateway.core.places import respelled
from gateway.replay import Replay
from gateway.routes import Choice
from gateway.streaming import RelayedStream, TranslatedStream
from gateway.types import Change, Notes, Passthrough, Request, Target, Translation, Written
from gateway.upstream.request import header_lines


def prepare(
    call: Call,
    choice: Choice,
    translation: Translation,
    replay: Replay,
    outlet: Outlet,
    trail: Trail,
    clock: Callable[[], float],
) -> tuple[bytes, bytes, Attempt]:
    """The body, the header lines of this very call, and the attempt. Raises Unsupported or BadRequest."""
    terms = call.terms
    trail.notes = trail.tap = None  # of this candidate alone, not of one that failed
    if choice.passthrough is not None:
        body, sink = _relayed(call, choice, choice.passthrough, outlet, trail, clock)
        extra = terms.headers
    else:
        written, sink = _translated(call, choice, translation, replay, outlet, trail, clock)
        body, extra = written.body, tuple(written.headers)
    if terms.traceparent:
        extra = (*extra, ("traceparent", terms.traceparent))
    return body, header_lines(extra) if extra else b"", sink


def picked(call: Call, choice: Choice, replay: Replay) -> Choice:
    """The candidate in the dialect that its vendor takes this very request in. Raises BadRequest."""
    if not choice.looks or choice.mended is not None or not choice.looks_at(call.peek.around or call.body):
        return choice
    client = call.terms.dialect.name
    half = choice.deployment.vendor.pick(client, replay.request(call), choice.abilities)  # type: ignore[arg-type]
    if half is choice.dialect:
        return choice
    return structs.replace(choice, dialect=half, passthrough=None)


def _relayed(
    call: Call, choice: Choice, passthrough: Passthrough, outlet: Outlet, trail: Trail, clock: Callable[[], float]
) -> tuple[bytes, Attempt]:
    peek, warm = call.peek, call.terms.settings.default_temperature
    vendor = choice.deployment.vendor
    swallow = peek.stream and not peek.include_usage
    body = call.body
    respell = peek.old_cap and choice.abilities.output_cap == "max_completion_tokens"
    cap = trail.clamped
    if cap is not None:
        cap = min(cap, choice.abilities.max_output or cap)  # the model before may have taken more
    warms = warm is not None and not peek.has_temperature
    if respell or peek.model != choice.model or swallow or cap or warms or peek.foreign:
        change = Change(
            model=choice.model if peek.model != choice.model else None,
            max_tokens=cap,
            temperature=warm if not peek.has_temperature else None,
            include_usage=swallow,
            output_cap=choice.abilities.output_cap,
        )
        body = passthrough.change(body, peek, change)
    if peek.stream:
        idle_s = choice.deployment.settings.timeouts.idle_s
        return body, RelayedStream(vendor, outlet, trail, clock, idle_s, passthrough, swallow)
    return body, WholeAnswer(vendor, outlet, trail, clock, choice.dialect, passthrough)


def _translated(
    call: Call,
    choice: Choice,
    translation: Translation,
    replay: Replay,
    outlet: Outlet,
    trail: Trail,
    clock: Callable[[], float],
) -> tuple[Written, Attempt]:
    trail.notes = notes = Notes(strict=call.terms.strict)
    written = write(call, choice, translation, replay, notes, trail.clamped)
    vendor = choice.deployment.vendor
    if call.peek.stream:
        idle_s = choice.deployment.settings.timeouts.idle_s
        return written, TranslatedStream(
            vendor, outlet, trail, clock, idle_s, choice.dialect, written.undo, replay.watch(call)
        )
    return written, WholeAnswer(vendor, outlet, trail, clock, choice.dialect, None, written.undo)


def write(
    call: Call, choice: Choice, translation: Translation, replay: Replay, notes: Notes, cap: int | None = None
) -> Written:
    """The whole request in the words of another dialect, with `cap` for its output when the client gave none."""
    request = replay.request(call) if choice.mended is None else choice.mended
    temperature = call.terms.settings.default_temperature
    if isinstance(request, Request):  # vectors have neither losses, nor a length, nor a temperature
        notes.take_over(request)
        if cap is not None or temperature is not None:
            request = _with_defaults(request, cap, temperature)
    written = choice.dialect.write_request(request, Target(choice.model, choice.abilities, translation), notes)
    if notes.dropped:
        notes.dropped = respelled(notes.dropped, call.terms.dialect.words)
    return written


def _with_defaults(request: Request, cap: int | None, temperature: float | None) -> Request:
    """The request with what the gateway sets where the client set nothing; the client's own is never changed."""
    changes: dict[str, Any] = {}
    if cap is not None and request.max_tokens is None:
        changes["max_tokens"] = cap
    if temperature is not None and request.temperature is None:
        changes["temperature"] = temperature
    return structs.replace(request, **changes) if changes else request

"""The express: plain calls, begun and ended without a coroutine. READ pipeline.py FIRST: everything is decided as there.

A call is plain when its connection sent the same head before (web.kept), its body is there, and the first candidate takes it as it
is, or translated without a word (web.roads): it is then admitted, held for and sent in one straight function, and settled in the callback that brings a sound
answer. That is nearly every call of a busy client, and costs three quarters of the long way.

Rule 1: what is not plain takes the long way. Before the request is sent nothing has been changed, and `take` says no; after it
the attempt is handed to pipeline.Run, which judges it, falls back and settles as if it had begun it itself.
Rule 2: the express decides nothing. It asks the same ledger, limits and breaker, and a refusal is given by the long way alone.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from gateway.attempt import WholeAnswer, nothing_in
from gateway.call import Call, Outlet, Result
from gateway.core.charge import PLENTY, capped, sound, uncapped
from gateway.core.tokens import IMAGE_TOKENS, input_bound, is_text
from gateway.core.wallet import Hold
from gateway.errors import Fault
from gateway.outgoing import picked, write
from gateway.pipeline import Begun, Pipeline
from gateway.types import BadReply, BadRequest, Continue, Notes, Peek, Reply, Unsupported, Usage
from gateway.upstream.request import UpstreamRequest, header_lines
from gateway.web.context import Ids
from gateway.web.exchange import Exchange, OwnedExchange
from gateway.web.kept import Current, Kept
from gateway.web.relay import Headers, HttpOutlet, OpenStreams
from gateway.web.roads import Road, road_for
from gateway.web.steps import Steps

MAX_ROADS = 16  # models on one connection whose roads are kept
MAX_HEADER_LINES = 256
LEARN_ONE_IN = 8  # calls to a model of which enough is known: hardly any work, and enough to notice that it changed
RunOn = Callable[[Call, Outlet, Begun], Coroutine[Any, Any, None]]


class Flight(WholeAnswer):
    """A plain call on its way: the sink of its transfer, and all there is of it until something is not plain.

    `at` is unix seconds, `received_at` and `began` (when it was sent) are monotonic. The last fields are `Express.take`'s to fill in.
    """

    at: float
    began: float
    bound: int  # of the input, in tokens
    hold: Hold
    received_at: float
    ticket: int
    want: int  # tokens held
    notes: Notes | None = None
    goes_on = False  # its vendor broke it off, and is being asked for the rest: that is the long way's to put together

    def __init__(
        self, express: Express, exchange: OwnedExchange, kept: Kept, road: Road, body: bytes, peek: Peek, number: int
    ) -> None:
        """`number`: of its ids."""
        self.report = Result()
        self._vendor = road.deployment.vendor
        self._dialect = road.choice.dialect
        self._passthrough = road.passthrough
        self._undo = None
        self._body = []
        self._express = express
        self.exchange = exchange
        self.kept = kept
        self.road = road
        self.request = body
        self.peek = peek
        self.number = number

    def on_end(self) -> None:
        if self.status == 200 and not self.ended and not self.goes_on:
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            try:
                answer, usage = self._read(body)
            except BadReply:
                usage = None  # the long way finds out why
            if usage is not None and sound(usage, self.want):
                self.ended = True
                self.resend = None  # it leads back here: a circle would wait for the garbage collector
                self._express.arrive(self, answer, usage)
                return
        super().on_end()

    def _read(self, body: bytes) -> tuple[bytes, Usage | None]:
        """The client's answer and what was used; no usage when the answer is not plain. Raises BadReply."""
        assert self._passthrough is not None
        glance = self._passthrough.glance(body)
        return body, None if glance.empty else glance.usage

    def _finish(self, fault: Fault | None) -> None:
        if not self.ended:
            self._conclude(fault)
            self.ended = True
            self._express.hand_over(self)

    def call(self) -> tuple[Call, HttpOutlet]:
        """The call as the long way knows it, and where its answer goes."""
        return self._express.call_of(
            self.exchange, self.kept, self.request, self.peek, self.number, self.at, self.received_at
        )


class TranslatedFlight(Flight):
    """A plain call whose request was written in another dialect, and whose answer is read from it."""

    call_: tuple[Call, HttpOutlet]

    def _read(self, body: bytes) -> tuple[bytes, Usage | None]:
        reply = self._dialect.read_reply(body, self._undo)
        if nothing_in(reply) or reply.again is not None:
            return body, None
        call, outlet = self.call_
        if isinstance(reply, Reply):
            self._express.replay.remember(call, reply.choices[0].parts)
        return call.terms.dialect.write_reply(reply, outlet.echo(self.road.choice.model)), reply.usage

    def call(self) -> tuple[Call, HttpOutlet]:
        return self.call_

    def go_on(self, again: Continue) -> None:
        self.goes_on = True
        super().go_on(again)

    def translated_as(self, call: tuple[Call, HttpOutlet], notes: Notes, undo: Any) -> None:
        self.call_, self.notes, self._undo = call, notes, undo


class Express:
    """See the module. `run_on` goes on with a call that turned out not to be plain."""

    def __init__(
        self,
        pipeline: Pipeline,
        current: Current,
        ids: Ids,
        headers: Headers,
        streams: OpenStreams,
        max_in_flight: int,
        run_on: RunOn,
    ) -> None:
        self._pipeline = pipeline
        self._current = current
        self._ids = ids
        self._headers = headers
        self._recorder = pipeline.recorder
        self._keeper = pipeline.keeper
        self._taught = pipeline.keeper.ratios.taught
        self.replay = pipeline.replay
        self._in_flight = pipeline.recorder.in_flight
        self._max_in_flight = max_in_flight
        self._run_on = run_on
        self._streams = streams
        self._header_lines: dict[tuple[tuple[str, str], ...], bytes] = {}

    def take(self, exchange: OwnedExchange) -> bool:
        """Serve this request, or say no: then nothing has happened."""
        pipeline, kept, body = self._pipeline, exchange.kept, exchange.ready
        at, received_at = pipeline.wall(), pipeline.clock()
        if type(kept) is not Kept or body is None or kept.routes is not pipeline.routes or at >= kept.terms.until:
            return False
        if kept.authenticator is not self._current.authenticator:
            return False
        terms = kept.terms
        try:
            peek = terms.dialect.peek(body)
        except BadRequest:
            return False
        road = kept.roads.get(peek.model) or self._look_up(kept, peek)
        if road is None or peek.stream or peek.session or peek.preferred:
            kept.peeked = body, peek
            return False
        if road.passthrough is not None and road.choice.looks and road.choice.looks_at(peek.around or body):
            return False  # it may have to be translated after all
        ticket = road.breaker.closed_ticket
        if ticket is None or road.credential.until > received_at or self._in_flight.value >= self._max_in_flight:
            return False
        bound, cap = input_bound(body, IMAGE_TOKENS, peek.around, peek.media), peek.max_tokens
        if cap is not None:
            want = capped(bound, cap, peek.n)
        else:
            want = uncapped(bound, peek.n, road.choice.abilities.max_output)
            if not self._keeper.has(road.scopes, PLENTY * want):
                room = self._keeper.room(road.scopes)
                if room is not None and room < PLENTY * want:
                    return False  # a cap of our own
        prepared = None if pipeline.stopped else self._prepare(exchange, kept, road, body, peek, at, received_at)
        hold = None if prepared is None else self._keeper.try_hold(road.scopes, want, at)
        if prepared is None or hold is None:
            return False
        if terms.limits.admit(received_at, want) is not None:
            self._keeper.settle(hold, 0)
            return False
        flight, body, head = prepared
        flight.at, flight.received_at, flight.began = at, received_at, pipeline.clock()
        flight.hold, flight.bound, flight.want, flight.ticket = hold, bound, want, ticket
        self._send(flight, head, body)
        return True

    def _prepare(
        self, exchange: OwnedExchange, kept: Kept, road: Road, body: bytes, peek: Peek, at: float, received_at: float
    ) -> tuple[Flight, bytes, bytes] | None:
        """The flight, and the body and head of its request; None when the translation has anything to say."""
        number = self._ids.number()
        if road.passthrough is not None:
            flight = Flight(self, exchange, kept, road, body, peek, number)
            if road.changes_model or (peek.old_cap and road.respells) or peek.foreign:
                body = road.passthrough.change(body, peek, road.change)
            return flight, body, road.head
        if peek.warms:
            return None
        call = self.call_of(exchange, kept, body, peek, number, at, received_at)
        notes = Notes(strict=kept.terms.strict)
        try:
            if picked(call[0], road.choice, self.replay) is not road.choice:
                return None  # the road's head is that of another endpoint
            written = write(call[0], road.choice, kept.routes.translation, self.replay, notes)
        except (BadRequest, Unsupported):
            return None
        if notes.dropped or notes.warnings:
            return None
        flight = TranslatedFlight(self, exchange, kept, road, body, peek, number)
        flight.translated_as(call, notes, written.undo)
        return flight, written.body, road.head + self._lines(written.headers)

    def _lines(self, headers: list[tuple[str, str]]) -> bytes:
        """The header lines that a translation wants; there are few different ones."""
        key = tuple(headers)
        lines = self._header_lines.get(key)
        if lines is None:
            if len(self._header_lines) >= MAX_HEADER_LINES:
                self._header_lines.clear()
            lines = self._header_lines[key] = header_lines(key)
        return lines

    def _send(self, flight: Flight, head: bytes, body: bytes) -> None:
        pipeline, deployment = self._pipeline, flight.road.deployment
        self._in_flight.value += 1
        deployment.budget.note_call(flight.began)
        pipeline.live.add(flight)
        request = UpstreamRequest(deployment.origin, head, body, deployment.settings.timeouts)
        if flight.notes is not None:  # only a translated answer can be broken off by its vendor and go on
            flight.resend = partial(pipeline.resend, flight, deployment, head)
        flight.transfer = pipeline.upstream.send(request, flight)
        flight.exchange.on_closed(flight.client_left)

    def _look_up(self, kept: Kept, peek: Peek) -> Road | None:
        roads = kept.roads
        if peek.model in roads:
            return None
        if len(roads) >= MAX_ROADS:
            roads.clear()
        road = None
        if kept.outlet is HttpOutlet:  # the native API's answers also tell what only the long way knows
            road = road_for(kept.terms, kept.routes, peek, self._headers, self._recorder)
        roads[peek.model] = road
        return road

    def arrive(self, flight: Flight, answer: bytes, usage: Usage) -> None:
        """A sound answer: settle, give it, count, and go on."""
        exchange, road, terms = flight.exchange, flight.road, flight.kept.terms
        now, total = self._pipeline.clock(), usage.total
        upstream_s = now - flight.began
        road.breaker.success(flight.ticket, now)
        if road.credential.refusals:
            road.credential.served(flight.began)
        self._keeper.settle(flight.hold, total)
        self._pipeline.live.discard(flight)
        self._in_flight.value -= 1
        try:
            id_ = terms.given_id.encode() or self._ids.request_id(flight.number)
            headers = self._headers.plain(road.block, id_, flight.began - flight.received_at, upstream_s)
            exchange.answer(200, headers if terms.limits.free else headers + terms.limits.lines(now), answer)
            terms.limits.done(flight.want, total)
            duration_s = self._pipeline.clock() - flight.received_at
            self._recorder.plain(road.line, id_, flight.at, duration_s, upstream_s, usage)
            if not flight.number % LEARN_ONE_IN or road.model not in self._taught:
                self._learn(flight, usage.input)
        except BaseException:  # a bug: nobody would ever end this exchange; the loop reports it
            exchange.failed()
            raise
        exchange.done()

    def _learn(self, flight: Flight, tokens: int) -> None:
        """What text to this model costs, for calls that do not fit when each byte counts for a token."""
        if is_text(flight.bound, flight.request):
            self._keeper.ratios.learn(flight.road.model, flight.bound, tokens)

    def hand_over(self, flight: Flight) -> None:
        """Not plain after all: the pipeline goes on from the attempt's end."""
        self._pipeline.live.discard(flight)
        call, outlet = flight.call()
        begun = Begun(
            flight,
            flight.kept.routes,
            flight.hold,
            flight.bound,
            flight.want,
            flight.ticket,
            flight.began,
            flight.notes,
        )
        Steps(self._run_on(call, outlet, begun), flight.exchange).step()

    def call_of(
        self, exchange: Exchange, kept: Kept, body: bytes, peek: Peek, number: int, at: float, received_at: float
    ) -> tuple[Call, HttpOutlet]:
        """The call as the long way knows it, and where its answer goes."""
        serial = self._ids.serial_of(number)
        call = Call(kept.terms.given_id or f"req_{serial}", serial, kept.terms, body, peek, at, received_at)
        return call, kept.outlet(exchange, call, self._headers, self._streams, kept.routes.translation, self.replay)

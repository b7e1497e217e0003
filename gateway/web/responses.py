"""The Responses API's memory: answers that a client may go on from, look at again, and delete.

POST /responses with `previous_response_id` or item references becomes a request that holds the whole conversation before it goes any further, so any
provider can answer it and a fallback changes nothing. Answers are kept by tenant and id (stores.responses), unless the client says
`store: false`. What is kept is the input as it came and the answer as it went, byte for byte.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import msgspec
from msgspec import Raw, Struct, structs

from gateway.call import Call, Trail
from gateway.dialects import openai_responses_state as state
from gateway.dialects.openai_responses_tap import ResponsesTap
from gateway.dialects.openai_responses_writer import Writer
from gateway.errors import GatewayError, InvalidRequest, NotFound
from gateway.stores.responses import Responses
from gateway.types import BadRequest, Echo, StreamWriter
from gateway.web.context import Context
from gateway.web.exchange import Exchange
from gateway.web.relay import JSON, HttpOutlet

MAX_ITEMS = 10_000  # of one conversation
PAGE, MAX_PAGE = 20, 100


class KeptResponse(Struct, array_like=True):
    """input: all items that the answer replies to. answer: the response object."""

    input: list[Raw]
    answer: Raw


# Without any of these a body refers to nothing; escapes may spell one.
_MARKS = (b"previous_response_id", b"item_reference", b'"id"', b"background", b"conversation", b"\\u")
_NO_PREVIOUS = re.compile(rb'("previous_response_id":\s?)null')  # in a text its quotes are escaped
_encode = msgspec.json.Encoder().encode
_decode_owner = msgspec.json.Decoder(str).decode
_decode = msgspec.json.Decoder(KeptResponse).decode
_decode_id = msgspec.json.Decoder(dict[str, Any]).decode


class Memory:
    """See the module. `wall` is unix seconds."""

    def __init__(self, kept: Responses, wall: Callable[[], float]) -> None:
        self._kept = kept
        self._wall = wall

    def handlers(self) -> dict[str, Callable[[Exchange, Context], Awaitable[None]]]:
        return {
            "response": self._show,
            "delete_response": self._delete,
            "response_items": self._items,
            "cancel_response": self._cancel,
        }

    async def resolved(self, tenant: str, body: bytes) -> tuple[bytes, str]:
        """The body with all that it refers to, and the id it goes on from. Raises BadRequest: unknown, expired and other tenants'
        ids are one and the same."""
        if not any(mark in body for mark in _MARKS):
            return body, ""
        wanted = state.state_of(body)
        if wanted.empty:
            return body, ""
        items: list[Raw] = []
        if wanted.previous_response_id:
            found = await self._find(tenant, wanted.previous_response_id)
            if found is None:
                raise state.not_found(wanted.previous_response_id)
            items = [*found.input, *state.output_items(bytes(found.answer))]
        if len(items) > MAX_ITEMS:
            raise BadRequest(f"The conversation has more than {MAX_ITEMS} items.", "previous_response_id")
        known = {state.item_id_of(item): item for item in items} if wanted.references else {}
        for reference in wanted.references:
            if reference not in known and not await self._look_up(tenant, reference, known):
                break  # what is missing is refused below
        return state.with_history(body, items, known), wanted.previous_response_id

    def keep(self, call: Call, answer: bytes) -> None:
        """Keep a whole answer, unless its client does not want that."""
        try:
            if not state.state_of(call.body).store:
                return
            id_ = _decode_id(answer).get("id")
            if isinstance(id_, str) and id_:
                kept = KeptResponse(state.input_items(call.body), Raw(answer))
                now = self._wall()
                self._kept.put(call.terms.tenant, id_, _encode(kept), now)
                # The AI SDK names items of earlier answers without naming the answers.
                for item_id in filter(None, map(state.item_id_of, state.output_items(answer))):
                    self._kept.put(call.terms.tenant, item_id, _encode(id_), now)
        except (BadRequest, ValueError, RecursionError):
            return  # an answer that cannot be read again cannot be gone on from

    async def _find(self, tenant: str, id_: str) -> KeptResponse | None:
        found = await self._kept.get(tenant, id_, self._wall())
        try:
            return None if found is None else _decode(found)
        except ValueError:
            return None  # another version's

    async def _look_up(self, tenant: str, item_id: str, known: dict[str, Raw]) -> bool:
        """Adds the item, with all others of its answer, to `known`. Whether it is there."""
        owner = await self._kept.get(tenant, item_id, self._wall())
        try:
            answer = None if owner is None else await self._find(tenant, _decode_owner(owner))
        except ValueError:
            return False  # the id of an answer, not of an item
        if answer is not None:
            known |= {state.item_id_of(item): item for item in state.output_items(bytes(answer.answer))}
        return item_id in known

    async def _wanted(self, context: Context) -> KeptResponse:
        found = await self._find(context.tenant, context.match.id)
        if found is None:
            raise _unknown(context.match.id)
        return found

    async def _show(self, exchange: Exchange, context: Context) -> None:
        if dict(parse_qsl(exchange.query)).get("stream", "").lower() in ("true", "1"):
            raise InvalidRequest(
                "Only a response that runs in the background can be streamed again. Leave 'stream' out: the whole one is here.",
                param="stream",
            )
        _answer(exchange, context, bytes((await self._wanted(context)).answer))

    async def _delete(self, exchange: Exchange, context: Context) -> None:
        if not await self._kept.delete(context.tenant, context.match.id, self._wall()):
            raise _unknown(context.match.id)
        _answer(exchange, context, state.write_deleted(context.match.id))

    async def _items(self, exchange: Exchange, context: Context) -> None:
        asked = {name: values[-1] for name, values in parse_qs(exchange.query).items()}
        limit = asked.get("limit", str(PAGE))
        if not limit.isdecimal() or not 1 <= int(limit) <= MAX_PAGE:
            raise InvalidRequest(f"'limit' is a number from 1 to {MAX_PAGE}.", param="limit")
        found = await self._wanted(context)
        page = state.write_input_items(
            context.match.id,
            found.input,
            after=asked.get("after", ""),
            limit=int(limit),
            descending=asked.get("order", "desc") != "asc",
        )
        _answer(exchange, context, page)

    async def _cancel(self, exchange: Exchange, context: Context) -> None:
        await self._wanted(context)
        raise InvalidRequest("Only responses that were created with background: true can be cancelled.")


class ResponsesOutlet(HttpOutlet):
    """An HttpOutlet that keeps the answers it gives."""

    memory: Memory
    previous = ""

    def raw_answer(self, trail: Trail, body: bytes) -> None:
        body = self._naming(body)
        super().raw_answer(trail, body)
        self.memory.keep(self._call, body)

    def raw(self, data: bytes) -> None:
        super().raw(self._naming(data))

    def _naming(self, data: bytes) -> bytes:
        """A provider's own words, with the id that the client goes on from: the provider was sent the conversation instead."""
        if not self.previous or b'"previous_response_id"' not in data:
            return data
        return _NO_PREVIOUS.sub(rb'\1"%b"' % self.previous.encode(), data)

    def echo(self, model: str) -> Echo:
        return structs.replace(super().echo(model), previous=self.previous)

    def end(self) -> None:
        super().end()
        answer = _streamed(self._writer, self._trail)
        if answer:
            self.memory.keep(self._call, self._naming(answer))

    def _error_frame(self, error: GatewayError) -> bytes:
        tap = self._trail.tap
        return tap.broken(error) if isinstance(tap, ResponsesTap) else super()._error_frame(error)


def _streamed(writer: StreamWriter | None, trail: Trail) -> bytes:
    """The response object of a stream that came to its end."""
    if isinstance(trail.tap, ResponsesTap):
        return trail.tap.response
    return _encode(writer.response) if isinstance(writer, Writer) else b""


def _unknown(id_: str) -> NotFound:
    return NotFound(f"Response with id '{id_[:80]}' not found.")


def _answer(exchange: Exchange, context: Context, body: bytes) -> None:
    headers = f"x-request-id: {context.request_id}\r\nrequest-id: {context.request_id}\r\ncache-control: no-store\r\n"
    exchange.answer(200, JSON + headers.encode(), body)

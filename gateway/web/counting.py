"""How many tokens a request has: Anthropic's count_tokens, Gemini's countTokens, OpenAI's responses/input_tokens, of any model.

The provider that would answer the call is asked, in its own way; where it has none, does not answer, or must not be called now, the
number is an estimate and says so (x-gateway-estimated: 1). It is never an error of ours: agents ask all the time. No tokens are
used, so no quota is; the tenant's rate limits hold as for any call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from msgspec import Struct

from gateway.call import Call, Terms
from gateway.core.tokens import input_bound
from gateway.counted import COUNTING, VERSION, count_at
from gateway.dialects.anthropic_messages import ANTHROPIC
from gateway.dialects.gemini import GEMINI
from gateway.dialects.gemini_count import read_count_request, write_count
from gateway.dialects.openai_responses import OPENAI_RESPONSES
from gateway.dialects.openai_responses_count import read_count, write_count_reply
from gateway.pipeline import Pipeline
from gateway.routes import Choice
from gateway.types import ClientHalf, Peek, Request
from gateway.web.context import Context
from gateway.web.exchange import Exchange
from gateway.web.relay import JSON

ASKED = 2  # candidates, before it is estimated
IMAGE_TOKENS = 1500
ESTIMATED = b"x-gateway-estimated: 1\r\n"


class Counted(Struct, frozen=True):
    """One way to ask: how the question is read and the answer written."""

    dialect: ClientHalf
    read: Callable[[bytes], Request]
    write: Callable[[int], bytes]


WAYS = {
    "count_messages": Counted(ANTHROPIC, ANTHROPIC.read_count, ANTHROPIC.write_count),
    "count_contents": Counted(GEMINI, read_count_request, write_count),
    "count_responses": Counted(OPENAI_RESPONSES, read_count, write_count_reply),
}


class Counting:
    """The handlers of the three ways."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def handlers(self) -> dict[str, Callable[[Exchange, Context], Awaitable[None]]]:
        return {"count_messages": self._count, "count_contents": self._count, "count_responses": self._count}

    async def _count(self, exchange: Exchange, context: Context) -> None:
        way, body, pipeline = WAYS[context.match.route.handler], await exchange.body(), self._pipeline
        request = way.read(body)
        model = context.match.id or request.model
        limits = pipeline.routes.limits_of(context.tenant)
        terms = Terms(
            surface=COUNTING,
            dialect=way.dialect,
            tenant=context.tenant,
            settings=context.settings,
            limits=limits,
            preferred=exchange.header("x-preferred-provider") or "",
        )
        call = Call(
            context.request_id, context.serial, terms, body, Peek(model, False), context.at, context.received_at
        )
        plan = pipeline.routes.plan(call)
        refusal = limits.admit(pipeline.clock(), 0)
        if refusal is not None:
            raise refusal.error()
        try:
            tokens = await self._ask(plan, request, call, _version(exchange))
        finally:
            limits.done(0, 0)
        headers = f"x-request-id: {context.request_id}\r\nrequest-id: {context.request_id}\r\n".encode()
        if tokens is None:
            tokens, headers = _estimate(body), headers + ESTIMATED
        exchange.answer(200, JSON + headers, way.write(tokens))
        pipeline.recorder.other(context, exchange.method, exchange.path, 200, "")

    async def _ask(
        self, plan: list[Choice], request: Request, call: Call, version: list[tuple[str, str]]
    ) -> int | None:
        """The providers' own word, None when none of the first candidates has one."""
        pipeline = self._pipeline
        for choice in plan[:ASKED]:
            translation = pipeline.routes.translation
            tokens = await count_at(pipeline.upstream, choice, request, call, pipeline.clock(), translation, version)
            if tokens is not None:
                return tokens
        return None


def _version(exchange: Exchange) -> list[tuple[str, str]]:
    given = (*VERSION, ("anthropic-beta", ""))
    headers = [(name, exchange.header(name) or default) for name, default in given]
    return [(name, value) for name, value in headers if value and value.isascii()]


def _estimate(body: bytes) -> int:
    """Bytes of text at a fixed rate (3.5 a token), pictures at a price for each; core.tokens tells one from the other."""
    text, pictures = input_bound(body, 0), input_bound(body, 1) - input_bound(body, 0)
    return -(-text * 2 // 7) + pictures * IMAGE_TOKENS

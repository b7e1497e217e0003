"""What a provider itself says of a request's input: its own count of tokens, which it does not bill.

Asked for a client that wants to know (web.counting), and for a call that fits into what is left of a quota neither by its bytes nor by
what such texts were seen to cost, though it might by the truth (pipeline). No tokenizer here: two of three vendors publish none.

Rule 1: a question is asked only where it can decide. Rule 2: of a tenant one at a time, and after one that changed nothing none for
REST_S: a tenant at its limit must not have the gateway ask all the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import structs

from gateway.call import Call
from gateway.dialects.anthropic_messages import ANTHROPIC
from gateway.replay import Replay
from gateway.routes import Choice
from gateway.types import BadReply, BadRequest, Change, Request, Target, Translation, Unsupported, Written
from gateway.upstream.client import Upstream
from gateway.upstream.fetch import UpstreamFailed, fetch
from gateway.upstream.request import UpstreamRequest, header_lines

BYTES_A_TOKEN = 8  # no text has more of them for all its length
LEAST_BOUND = 1_000  # tokens: of a shorter input the truth is not worth a question
PATIENCE_S = 2.0
REST_S = 5.0
TENANTS = 10_000  # that are remembered
COUNTING = "count_tokens"  # the surface of those who want to know: the body is a question already
VERSION = (("anthropic-version", "2023-06-01"),)


def margin(tokens: int) -> int:
    """What to hold for a count: vendors call theirs estimates, which may be a little off."""
    return tokens + tokens // 50 + 16


class Counts:
    """Who may ask now, for quotas' sake."""

    def __init__(self, upstream: Upstream, clock: Callable[[], float]) -> None:
        self._upstream = upstream
        self._clock = clock
        self._until: dict[str, float] = {}  # tenants that are asked for, or rest

    def decides(self, tenant: str, bound: int, least_output: int, room: int | None) -> bool:
        """Whether the truth could make a call fit whose input is at most `bound` tokens."""
        if bound < LEAST_BOUND or room is None or room < bound // BYTES_A_TOKEN + least_output:
            return False
        return self._clock() >= self._until.get(tenant, 0.0)

    async def ask(self, choice: Choice, call: Call, replay: Replay, translation: Translation) -> int | None:
        """The tokens to hold for the input; None when the provider does not say in time, or cannot be asked."""
        tenant = call.terms.tenant
        try:
            request = replay.request(call)
        except BadRequest:  # a body that would have passed through unread: its provider is the one to refuse it
            return None
        if not isinstance(request, Request):
            return None
        if len(self._until) >= TENANTS:
            self._until.clear()
        self._until[tenant] = self._clock() + PATIENCE_S + REST_S
        patience_s = min(PATIENCE_S, call.left_s(self._clock()))
        tokens = await count_at(
            self._upstream, choice, request, call, self._clock(), translation, patience_s=patience_s
        )
        self._until[tenant] = self._clock() + REST_S
        return None if tokens is None else margin(tokens)

    def helped(self, tenant: str) -> None:
        """The call fits now: the next one may ask as well."""
        self._until.pop(tenant, None)


async def count_at(
    upstream: Upstream,
    choice: Choice,
    request: Request,
    call: Call,
    now: float,
    translation: Translation,
    version: Sequence[tuple[str, str]] = VERSION,
    patience_s: float | None = None,
) -> int | None:
    """The input's tokens in the words of this candidate; None when it has none to say, or must not be called now."""
    deployment = choice.deployment
    credential = deployment.credential(now)
    if deployment.breaker.state(now) != "closed" or credential is None:
        return None
    question = _question(choice, request, call, version, translation)
    if question is None:
        return None
    path, written = question
    timeouts = deployment.settings.timeouts
    if patience_s is not None:
        timeouts = structs.replace(timeouts, total_s=max(0.001, min(timeouts.total_s, patience_s)))
    head = deployment.head_at(credential, path) + header_lines(tuple(written.headers))
    try:
        answer = await fetch(upstream, UpstreamRequest(deployment.origin, head, written.body, timeouts))
        return deployment.vendor.read_count(answer.body) if answer.status == 200 else None
    except (UpstreamFailed, BadReply):
        return None


def _question(
    choice: Choice, request: Request, call: Call, version: Sequence[tuple[str, str]], translation: Translation
) -> tuple[str, Written] | None:
    try:
        question = choice.deployment.vendor.count(request, Target(choice.model, choice.abilities, translation))
    except (Unsupported, BadRequest):
        return None
    if question is not None and choice.passthrough is ANTHROPIC and call.terms.surface == COUNTING:
        model = choice.model if call.peek.model != choice.model else None  # the client's own bytes say it best
        return question[0], Written(
            ANTHROPIC.change(call.body, ANTHROPIC.peek(call.body), Change(model=model)), list(version)
        )
    return question

"""What a client is told when its call could not be served. Pure.

`nobody_left` looks at what failed and at what was passed over without being tried; `refused` puts a quota's refusal into words;
`interrupted` is the error at the end of a stream that broke after its first content.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from msgspec import Struct

from gateway import errors
from gateway.core import retry
from gateway.core.ledger_rows import MICROUSD
from gateway.core.ledger_views import Refused, usd
from gateway.core.limits import duration
from gateway.errors import Fault, GatewayError

# Official SDKs wait as long as `retry-after` says up to a minute; of a longer wait they make their own, far too short.
RETRY_WITHIN_S = 60.0

SkipKind = Literal["breaker", "cooldown", "credential", "provider_quota", "tenant_quota", "unsupported"]


class Skip(Struct, frozen=True):
    """A candidate that was not tried, and in how many seconds it may be (None: waiting does not help)."""

    kind: SkipKind
    wait_s: float | None = None


def nobody_left(
    faults: Sequence[Fault], skips: Sequence[Skip], model: str, attempts: list[dict[str, Any]]
) -> GatewayError:
    """The error of a call for which every candidate failed or was passed over.

    A refused key that is tried again soon is a reason for the client to come back, whatever else went wrong.
    """
    error = _nobody_left(faults, skips, model, attempts)
    back_s = _key_back_s(faults, skips)
    if back_s is not None and error.status in (502, 503):
        error.retry_after_s = back_s if error.retry_after_s is None else min(back_s, error.retry_after_s)
        error.should_retry = back_s <= RETRY_WITHIN_S
    return error


def _key_back_s(faults: Sequence[Fault], skips: Sequence[Skip]) -> float | None:
    """In how many seconds the first candidate whose key was refused is tried again; None when there is none."""
    waits = [skip.wait_s for skip in skips if skip.kind == "credential"]
    waits += [fault.retry_after_s for fault in faults if fault.kind == "auth"]
    return min((wait_s for wait_s in waits if wait_s is not None), default=None)


def _nobody_left(
    faults: Sequence[Fault], skips: Sequence[Skip], model: str, attempts: list[dict[str, Any]]
) -> GatewayError:
    waits = [skip.wait_s for skip in skips if skip.wait_s is not None]
    wait_s = min(waits, default=None)
    if not faults and skips:
        kinds = {skip.kind for skip in skips}
        if kinds == {"cooldown"}:
            return errors.RateLimitExceeded(
                f"Every provider for this model is rate limited now. Please try again in {duration(wait_s or 1.0)}.",
                retry_after_s=wait_s,
                attempts=attempts,
            )
        if kinds == {"tenant_quota"}:
            return errors.QuotaExceeded(
                "This tenant's share of every provider for this model is spent until the period ends.",
                retry_after_s=wait_s,
                attempts=attempts,
            )
        if kinds == {"credential"}:
            return errors.UpstreamAuth(retry.EFFECT["auth"].message, retry_after_s=wait_s, attempts=attempts)
    return retry.client_error(faults, model=model, retry_after_s=wait_s, attempts=attempts)


def refused(refusal: Refused, now: float) -> GatewayError:
    """A tenant's quota refusal as an error. `now` is unix seconds."""
    if refusal.reason == "unavailable":
        return errors.StoreUnavailable(
            "The quota store does not answer, and nothing is admitted without it. Try again in a moment.",
            retry_after_s=1.0,
        )
    if refusal.unit == MICROUSD:
        return _unaffordable(refusal, now)
    name = f"{refusal.window} token quota"
    figures = f"limit {refusal.limit}, used {refusal.used}, reserved {refusal.reserved}"
    if refusal.reason == "reserved":
        return errors.QuotaReserved(
            f"Calls in flight hold what is left of your {name} ({figures}). Try again in a second, "
            "or set a smaller max_tokens.",
            retry_after_s=1.0,
        )
    if refusal.reason == "too_large":
        return errors.QuotaExceeded(
            f"This request alone may use more than your whole {name} ({figures}). Set a smaller max_tokens or shorten "
            "the input."
        )
    until = _until(refusal)
    if refusal.remaining:
        message = (
            f"This request may use more than is left of your {name} ({figures}). Set a smaller max_tokens, "
            f"shorten the input, or wait until {until}."
        )
    else:
        message = f"You exceeded your {name} ({figures}). It starts anew at {until}; an operator can raise it."
    return errors.QuotaExceeded(message, retry_after_s=max(1.0, refusal.reset_at - now))


def _unaffordable(refusal: Refused, now: float) -> GatewayError:
    """The same for a budget, in dollars."""
    budget = f"{refusal.window} budget of {refusal.scope.replace(':', ' ', 1)} ({usd(refusal.limit or 0)})"
    cost, until = usd(refusal.amount), _until(refusal)
    if refusal.reason == "reserved":
        return errors.QuotaReserved(
            f"Calls in flight hold what is left of the {budget}: {usd(refusal.used)} are spent and {usd(refusal.reserved)} "
            f"reserved, and this request may cost {cost}. Try again in a second, or set a smaller max_tokens.",
            retry_after_s=1.0,
        )
    if refusal.reason == "too_large":
        return errors.QuotaExceeded(
            f"This request alone may cost {cost}, more than the whole {budget}. Set a smaller max_tokens, shorten the "
            "input, or ask for a cheaper model."
        )
    if refusal.remaining:
        message = (
            f"This request may cost {cost}, and {usd(refusal.remaining)} are left of the {budget}. Set a smaller max_tokens, "
            f"shorten the input, ask for a cheaper model, or wait until {until}."
        )
    else:
        message = f"The {budget} is spent; it starts anew at {until}, and an operator can raise it."
    return errors.QuotaExceeded(message, retry_after_s=max(1.0, refusal.reset_at - now))


def _until(refusal: Refused) -> str:
    return datetime.fromtimestamp(refusal.reset_at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def interrupted(fault: Fault) -> GatewayError:
    """The error frame of a stream that broke after content: what arrived is incomplete and says so."""
    said = fault.safe_message or retry.EFFECT[fault.kind].message or "The connection to the provider broke."
    return StreamInterrupted(f"The answer was cut off after it began: {said}")


class StreamInterrupted(errors.UpstreamError):
    """Only ever inside a stream that already answered 200."""

    type, code = "upstream_error", "stream_interrupted"

"""What a fault means: for the breaker, for the credential, for the next attempt, and for the client when nobody is left. Pure.

`EFFECT` is the whole policy, one row for each kind of fault; the functions below read it.
Rule 1: a client's own mistake is healthy, is told at once and is never tried elsewhere.
Rule 2: an operator's mistake (a bad credential, a retired model) never reaches a client as its own 401 or 403.
Rule 3: retries of the same provider draw on its budget, so that a dead one is not hit harder; going to another one does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from msgspec import Struct, structs

from gateway import errors
from gateway.core.limits import duration
from gateway.errors import Fault, FaultKind, GatewayError, Next

BreakerEffect = Literal["failure", "healthy", "neutral"]


class Cooldown(Struct, frozen=True):
    """How long the credential rests: what the vendor says, else `default_s`, and never longer than `cap_s`.

    least_s: nor shorter than this. The vendor's wait may be that of a rate window, which says nothing about the fault.
    steps_s: at the first, second, … time in a row, whatever the vendor says; the last holds from then on.
    """

    default_s: float
    cap_s: float
    least_s: float = 0.0
    steps_s: tuple[float, ...] = ()


class Effect(Struct, frozen=True):
    """What follows from one kind of fault.

    config: the cause is our configuration, not the provider's health; such a fault never hides an earlier one of another kind.
    message: what the client reads when this fault decides; None where another function writes it.
    other_key: nothing rests, but what this key may not do another of the same provider may.
    """

    breaker: BreakerEffect
    error: type[GatewayError] | None
    message: str = ""
    cooldown: Cooldown | None = None
    config: bool = False
    other_key: bool = False


# How long a refused key rests: vendors refuse good keys for a moment too, and a bad one is asked no more than every five minutes.
REFUSED_S = (1.0, 5.0, 25.0, 125.0, 300.0)

_RATE = Cooldown(5.0, 300.0)
_BAD_KEY = Cooldown(REFUSED_S[0], REFUSED_S[-1], steps_s=REFUSED_S)
# An operator who tops up the account should not wait for a restart, so without a word from the vendor it is tried again soon.
_SPENT = Cooldown(300.0, 3600.0, least_s=300.0)

_UNREACHABLE = "The provider could not be reached. Try again later; the operator can see the cause in the log."
_BROKEN = "The connection to the provider broke before its answer was complete. Try again later."
_SLOW = "The provider did not answer in time. Try again later, or ask for less output in one call."
_INVALID = "The provider answered with something that is not a usable answer. Try again later, or choose another model."

EFFECT: dict[FaultKind, Effect] = {
    "connect": Effect("failure", errors.UpstreamUnreachable, _UNREACHABLE),
    "reset": Effect("failure", errors.UpstreamUnreachable, _BROKEN),
    "first_byte_timeout": Effect("failure", errors.UpstreamTimeout, _SLOW),
    "idle_timeout": Effect(
        "failure", errors.UpstreamTimeout, "The provider stopped in the middle of its answer. Try again later."
    ),
    "total_timeout": Effect("failure", errors.UpstreamTimeout, _SLOW),
    "server_error": Effect(
        "failure", errors.UpstreamError, "The provider failed with an error of its own. Try again later."
    ),
    "overloaded": Effect(
        "failure", errors.UpstreamOverloaded, "The provider is overloaded. Try again later, or choose another model."
    ),
    "rate_limited": Effect("neutral", errors.RateLimitExceeded, cooldown=_RATE),
    "quota_exhausted": Effect("neutral", errors.RateLimitExceeded, cooldown=_SPENT),
    "auth": Effect(
        "neutral",
        errors.UpstreamAuth,
        "The provider refused the gateway's own credential; yours is fine. It is tried again by itself; when it stays "
        "refused, the operator must renew it.",
        _BAD_KEY,
        config=True,
    ),
    # Which key, model or file it was is the operator's to know. Whoever asks for something else is served.
    "forbidden": Effect(
        "neutral",
        errors.UpstreamAuth,
        "The provider does not let the gateway's account do this: use this model, this file or cached content, or use it "
        "from where the gateway is. Ask for something else, or tell the operator, who finds the reason in the log.",
        config=True,
        other_key=True,
    ),
    "model_missing": Effect("healthy", errors.ModelNotFound, config=True),
    "context_overflow": Effect("healthy", errors.ContextLengthExceeded),
    **dict.fromkeys(errors.CLIENTS_OWN, Effect("healthy", errors.InvalidRequest)),
    "bad_reply": Effect("failure", errors.UpstreamInvalidResponse, _INVALID),
    "empty": Effect(
        "failure",
        errors.UpstreamInvalidResponse,
        "The provider's answer was empty. Try again, or choose another model.",
    ),
    "error_event": Effect(
        "failure", errors.UpstreamError, "The provider reported an error inside its answer. Try again later."
    ),
    "truncated": Effect(
        "failure", errors.UpstreamInvalidResponse, "The provider's answer ended before it was complete. Try again."
    ),
    "gone": Effect("neutral", None),
    "deadline": Effect(
        "neutral",
        errors.DeadlineExceeded,
        "The call's own deadline passed before an answer was there. Allow more time (x-gateway-timeout-ms), or ask for less.",
    ),
    "stopping": Effect(
        "neutral", errors.Overloaded, "The gateway is shutting down. Try again at once: another one will answer."
    ),
}

# Of the same wait for the vendor: more than this and the next candidate is the better answer.
MAX_PAUSE_S = 2.0
PAUSE_S = 0.25


def without_body(fault: Fault) -> Fault:
    """The fault without the vendor's own error body, which only a client of the same dialect may read."""
    return structs.replace(fault, body=b"")


def cooldown_s(fault: Fault, before: int = 0) -> float:
    """How long the credential of this attempt shall not be used; 0.0 when it is not to blame. `before`: how often in a row it was
    refused until now."""
    rule = EFFECT[fault.kind].cooldown
    if rule is None:
        return 0.0
    if rule.steps_s:
        return rule.steps_s[min(before, len(rule.steps_s) - 1)]
    asked = fault.retry_after_s
    return max(rule.least_s, min(asked, rule.cap_s)) if asked is not None and asked > 0 else rule.default_s


def pause_s(fault: Fault, jitter: float) -> float | None:
    """How long to wait before the same provider is asked once more, None when it is not to be asked again.

    A provider that only has a key to rest is not asked, nor one that wants a longer wait than MAX_PAUSE_S. Else 125 to 250 ms by
    `jitter` (0 to 1, the caller's dice), so that calls that failed together do not come back together.
    """
    asked = fault.retry_after_s or 0.0
    if fault.next is not Next.SAME or EFFECT[fault.kind].cooldown is not None or asked > MAX_PAUSE_S:
        return None
    return max(asked, PAUSE_S * (0.5 + 0.5 * jitter))


class RetryBudget:
    """How many calls to one provider may be retries: a share of its traffic in a sliding window, and a few in any case.

    With 20 percent and a floor of 3 a dead provider sees at most 1.2 times the calls of a window, or 3 more.
    `now` is monotonic seconds. The window moves in ten steps.
    """

    __slots__ = ("_calls", "_calls_sum", "_floor", "_retries", "_retries_sum", "_share", "_slot", "_step_s")

    _SLOTS = 10

    def __init__(self, percent: float = 20, floor: int = 3, window_s: float = 10) -> None:
        self._share = percent / 100
        # No share at all is the operator's word for "never retry".
        self._floor = floor if percent else 0
        self._step_s = window_s / self._SLOTS
        self._slot = 0
        self._calls = [0] * self._SLOTS
        self._retries = [0] * self._SLOTS
        self._calls_sum = 0
        self._retries_sum = 0

    def note_call(self, now: float) -> None:
        """A call went to this provider for the first time (not a retry)."""
        slot = int(now / self._step_s)
        if slot != self._slot:
            self._move(slot)
        self._calls[slot % self._SLOTS] += 1
        self._calls_sum += 1

    def allow(self, now: float) -> bool:
        """Whether one more retry fits, and if so, count it."""
        slot = int(now / self._step_s)
        if slot != self._slot:
            self._move(slot)
        if self._retries_sum + 1 > max(self._floor, self._share * self._calls_sum):
            return False
        self._retries[slot % self._SLOTS] += 1
        self._retries_sum += 1
        return True

    def _move(self, slot: int) -> None:
        """Forget what left the window. A clock that jumped back only keeps counting in an older slot."""
        for passed in range(max(self._slot + 1, slot - self._SLOTS + 1), slot + 1):
            index = passed % self._SLOTS
            self._calls_sum -= self._calls[index]
            self._retries_sum -= self._retries[index]
            self._calls[index] = self._retries[index] = 0
        self._slot = max(slot, self._slot)


def client_error(
    faults: Sequence[Fault],
    *,
    model: str = "",
    retry_after_s: float | None = None,
    attempts: list[dict[str, Any]] | None = None,
) -> GatewayError:
    """What the client sees when nobody is left to try. `faults` are those of the attempts, oldest first; none when all
    candidates were skipped.

    model: the name the client asked for. retry_after_s: when the soonest skipped candidate is expected back.
    attempts: the trail for the error's body. A client that left (`gone`) sees nothing; for the log it is a 504.
    """
    if not faults:
        error: GatewayError = errors.NoProviderAvailable(
            "No provider can take this call now: each one is resting after failures, rate limited or out of quota. "
            + (f"Try again in {duration(retry_after_s)}." if retry_after_s else "Try again later."),
            retry_after_s=retry_after_s,
        )
    else:
        error = _error_of(deciding(faults), faults, model, retry_after_s)
    error.attempts = attempts
    return error


def deciding(faults: Sequence[Fault]) -> Fault:
    """Which of several faults the client hears of.

    A fault that stopped the walk is the answer itself. Else those of our configuration say least, then rate limits (the client
    shall hear 429 only when every provider said so), and of the rest the last says most. Among equals of configuration the
    first decides: it is that of the provider the client wanted.
    """
    last = faults[-1]
    if last.next is Next.STOP and not EFFECT[last.kind].config:
        return last
    telling = [fault for fault in faults if not EFFECT[fault.kind].config]
    if not telling:
        return faults[0]
    broken = [fault for fault in telling if EFFECT[fault.kind].error is not errors.RateLimitExceeded]
    return (broken or telling)[-1]


def _error_of(fault: Fault, faults: Sequence[Fault], model: str, retry_after_s: float | None) -> GatewayError:
    if fault.kind in errors.CLIENTS_OWN:
        return _bad_request(fault)
    match fault.kind:
        case "context_overflow":
            return _context_overflow(fault)
        case "model_missing":
            return _model_missing(model)
        case "rate_limited" | "quota_exhausted":
            return _limited(faults, retry_after_s)
        case _:
            effect = EFFECT[fault.kind]
            kind = effect.error or errors.DeadlineExceeded
            # No wait brings what is not allowed; what the vendor names then is that of a rate window.
            wait_s = None if fault.kind == "forbidden" else fault.retry_after_s
            return kind(effect.message or "The client closed the connection.", retry_after_s=wait_s)


def _bad_request(fault: Fault) -> GatewayError:
    """The vendor's refusal of the client's request, in its own words where they are safe."""
    status = fault.status if fault.status in (400, 404, 413, 422) else 400
    kind = {404: errors.NotFound, 413: errors.RequestTooLarge}.get(status, errors.InvalidRequest)
    message = fault.safe_message or "The provider refused this request as invalid. Check its parameters and contents."
    return kind(message, status=status, code=fault.code, param=fault.param, body=fault.body)


def _context_overflow(fault: Fault) -> GatewayError:
    message = (
        fault.safe_message
        or "The request is longer than the model's context. Shorten it or choose a model with a larger one."
    )
    return errors.ContextLengthExceeded(message, param=fault.param, body=fault.body)


def _model_missing(model: str) -> GatewayError:
    named = f"The model '{model}'" if model else "This model"
    return errors.ModelNotFound(
        f"{named} does not exist at the provider, or the operator's account has no access to it. "
        "Choose another one; GET /models lists those there are.",
        param="model",
    )


def _limited(faults: Sequence[Fault], retry_after_s: float | None) -> GatewayError:
    """Nobody but rate limits and spent accounts: the soonest of them sets the time. Spent accounts alone are no use to retry."""
    limited = [fault for fault in faults if EFFECT[fault.kind].error is errors.RateLimitExceeded]
    minute = [fault for fault in limited if fault.kind == "rate_limited"]
    waits = [cooldown_s(fault) for fault in minute or limited]
    wait = min(waits if retry_after_s is None else [*waits, retry_after_s])
    if minute:
        message = f"Every provider for this model is rate limited now. Please try again in {duration(wait)}."
        return errors.RateLimitExceeded(message, retry_after_s=wait)
    message = "The operator's accounts at the providers for this model are spent. The operator must top them up."
    if all(fault.status == 402 for fault in limited):
        return errors.UpstreamAuth(message)
    error = errors.RateLimitExceeded(message, retry_after_s=wait)
    error.should_retry = False
    return error

"""Rate limits per tenant: requests and tokens a minute, calls at once. Pure; the time is an argument.

GCRA keeps one number: the time at which the bucket will be full again. A minute's whole allowance may be spent at once, and
comes back evenly. Within any 60 s at most 2N pass (N saved up, N that came back), over a long time N a minute.
Rule 1: a call is admitted by all its limits or charged by none. Rule 2: an absent limit costs nothing.
Source: ITU-T I.371, generic cell rate algorithm (virtual scheduling).
"""

from __future__ import annotations

from math import ceil
from typing import Literal

from msgspec import Struct

from gateway.errors import ConcurrencyExceeded, GatewayError, RateLimitExceeded

WINDOW_S = 60.0

# How soon a client may try again when too many calls run: calls end all the time, nobody can tell when.
CONCURRENCY_RETRY_S = 1.0

# 2 x 0.1 s is not 0.2 s in floats: a bucket that is full but for a rounding error is full.
_EPSILON_S = 1e-6

Header = tuple[str, str]


class Gcra:
    """One bucket of `per_minute` units. `now` is monotonic seconds."""

    __slots__ = ("_full_at", "_unit_s", "_unsaid", "per_minute")

    def __init__(self, per_minute: int) -> None:
        self.per_minute = per_minute
        self._unit_s = WINDOW_S / per_minute
        self._full_at = float("-inf")
        self._unsaid = 0.0  # units that other processes were not told of (core.meters)

    def resize(self, per_minute: int) -> None:
        """Another allowance from now on; what is owed stays owed for as long."""
        self.per_minute = per_minute
        self._unit_s = WINDOW_S / per_minute

    def wait_s(self, now: float, cost: float = 1) -> float:
        """Seconds until `cost` would be admitted; 0.0 means now. Changes nothing.

        More than a whole minute's allowance is admitted when the bucket is full, and those who come next wait for the debt:
        a limit slows a large request down, it never makes it impossible.
        """
        wait = self._full_at + min(cost, self.per_minute) * self._unit_s - WINDOW_S - now
        return wait if wait > _EPSILON_S else 0.0

    def take(self, now: float, cost: float = 1) -> float:
        """Admit and charge `cost` (0.0), or charge nothing and return the seconds to wait."""
        wait = self.wait_s(now, cost)
        if not wait:
            self._full_at = max(self._full_at, now) + cost * self._unit_s
            self._unsaid += cost
        return wait

    def give_back(self, cost: float) -> None:
        """Correct an earlier charge: `cost` units were not used. Negative: so many more were."""
        self._full_at -= cost * self._unit_s
        self._unsaid -= cost

    def say(self, now: float) -> float:
        """By how many seconds what was let in here moves the time at which the bucket is full; it counts as told.

        What came back since then is owed to nobody and not told.
        """
        seconds = min(self._unsaid * self._unit_s, max(0.0, self._full_at - now))
        self._unsaid = 0.0
        return seconds

    def hear(self, now: float, full_in_s: float) -> None:
        """All processes together have the bucket full in so many seconds; what was not told yet comes on top."""
        self._full_at = now + full_in_s + self._unsaid * self._unit_s

    def remaining(self, now: float) -> int:
        """Whole units that would be admitted now."""
        return max(0, int((WINDOW_S - self.reset_s(now) + _EPSILON_S) / self._unit_s))

    def reset_s(self, now: float) -> float:
        """Seconds until the whole allowance is there again, if nobody takes any."""
        return max(0.0, self._full_at - now)


class Refusal(Struct, frozen=True):
    """Which limit stood in the way, and for how long."""

    reason: Literal["requests", "tokens", "concurrency"]
    limit: int
    wait_s: float

    def error(self) -> GatewayError:
        """What the client is told."""
        if self.reason == "concurrency":
            return ConcurrencyExceeded(
                f"Too many calls at once: this tenant may have {self.limit} running. "
                "Wait for one to end, then try again; a pool on your side avoids this.",
                retry_after_s=self.wait_s,
            )
        return RateLimitExceeded(
            f"Rate limit of {self.limit} {self.reason} per minute reached for this tenant. "
            f"Please try again in {duration(self.wait_s)}.",
            retry_after_s=self.wait_s,
        )


class TenantLimits:
    """All limits of one tenant. None means unlimited.

    `admit` before a call and `done` after it. A reload changes the object in place, so that calls in flight are still counted
    and whoever keeps it has the new limits.
    """

    __slots__ = ("_requests", "_tokens", "concurrency", "free", "running")

    def __init__(
        self,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        concurrency: int | None = None,
    ) -> None:
        self._requests: Gcra | None = None
        self._tokens: Gcra | None = None
        self.running = 0
        self.change(requests_per_minute, tokens_per_minute, concurrency)

    def change(self, requests_per_minute: int | None, tokens_per_minute: int | None, concurrency: int | None) -> None:
        """Take other limits, from the next call on."""
        self._requests = _resized(self._requests, requests_per_minute)
        self._tokens = _resized(self._tokens, tokens_per_minute)
        self.free = not (self._requests or self._tokens)
        self.concurrency = concurrency

    def buckets(self) -> list[tuple[str, Gcra]]:
        """The limits that have a rate, by what they count."""
        return [] if self.free else [(u, b) for u, b in (("requests", self._requests), ("tokens", self._tokens)) if b]

    def admit(self, now: float, tokens: int) -> Refusal | None:
        """Let a call in that may use up to `tokens`, or say why not. A refused call is charged nothing."""
        if self.concurrency is not None and self.running >= self.concurrency:
            return Refusal("concurrency", self.concurrency, CONCURRENCY_RETRY_S)
        if not self.free and (refusal := self._admit_rates(now, tokens)):
            return refusal
        self.running += 1
        return None

    def _admit_rates(self, now: float, tokens: int) -> Refusal | None:
        by_requests, by_tokens = self._requests, self._tokens
        if by_requests and (wait := by_requests.wait_s(now)):
            return Refusal("requests", by_requests.per_minute, wait)
        if by_tokens and (wait := by_tokens.take(now, tokens)):
            return Refusal("tokens", by_tokens.per_minute, wait)
        if by_requests:
            by_requests.take(now)
        return None

    def done(self, tokens: int, tokens_actual: int) -> None:
        """A call that was admitted with `tokens` ended and used `tokens_actual`; the difference is settled."""
        self.running -= 1
        if self._tokens:
            self._tokens.give_back(tokens - tokens_actual)

    def lines(self, now: float) -> bytes:
        """`headers` as they stand on the wire."""
        if self.free:
            return b""
        return "".join([f"{name}: {value}\r\n" for name, value in self.headers(now)]).encode()

    def headers(self, now: float) -> list[Header]:
        """The x-ratelimit-* headers of the limits that exist, in OpenAI's format: whole numbers, and durations like 1m30s."""
        if self.free:
            return []
        found: list[Header] = []
        for unit, bucket in (("requests", self._requests), ("tokens", self._tokens)):
            if bucket:
                found.append((f"x-ratelimit-limit-{unit}", str(bucket.per_minute)))
                found.append((f"x-ratelimit-remaining-{unit}", str(bucket.remaining(now))))
                found.append((f"x-ratelimit-reset-{unit}", duration(bucket.reset_s(now))))
        return found


def _resized(bucket: Gcra | None, per_minute: int | None) -> Gcra | None:
    if not per_minute or bucket is None:
        return Gcra(per_minute) if per_minute else None
    bucket.resize(per_minute)
    return bucket


def duration(seconds: float) -> str:
    """A time as OpenAI's rate-limit headers and messages write it: 0s, 340ms, 1.2s, 2m30s. Rounded up, never too early."""
    millis = ceil(seconds * 1000 - 1e-6)
    if millis < 1000:
        return f"{millis}ms" if millis else "0s"
    tenths = -(-millis // 100)
    minutes, rest = divmod(tenths, 600)
    text = f"{rest // 10}s" if rest % 10 == 0 else f"{rest / 10}s"
    return f"{minutes}m{text}" if minutes else text

"""Faults: what a simulator does wrong on purpose, in the order they were set.

Rule 1: a request meets at most one fault, the first that is for its vendor; `times` uses it up.
Rule 2: `after_events` counts events with content (text, reasoning, a tool call). What precedes the first one, a role chunk or
        `message_start`, is sent anyway; what ends an answer is never sent after a fault.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import yaml
from msgspec import Struct

Kind = Literal[
    "status", "slow_first_byte", "stall", "cut", "reset", "empty", "bad_json", "error_event", "html", "pause"
]
Provider = Literal["openai", "anthropic", "gemini"]

DEFAULT_STATUS = {"status": 500, "html": 502, "error_event": 503}
DEFAULT_DELAY_S = {"slow_first_byte": 1.0, "stall": 60.0}
# cut and stall mean "in mid-answer"; error_event and bad_json hurt most when they come first.
DEFAULT_AFTER_EVENTS = {"cut": 1, "stall": 1, "error_event": 0, "bad_json": 0}


class Fault(Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One fault. `provider` None: any of them. `times` None: until cleared.

    `code`: the vendor's own word for the reason where one status has several (OpenAI's `error.code`, Anthropic's
    `error.details.error_code`, "PerDay" for Gemini's quota).
    """

    kind: Kind
    provider: Provider | None = None
    status: int | None = None
    retry_after_s: float | None = None
    after_events: int | None = None
    delay_s: float | None = None
    times: int | None = None
    code: str | None = None

    @property
    def answer_status(self) -> int:
        return self.status or DEFAULT_STATUS.get(self.kind, 200)

    @property
    def pause_s(self) -> float:
        return self.delay_s if self.delay_s is not None else DEFAULT_DELAY_S.get(self.kind, 0.0)

    @property
    def break_after(self) -> int | None:
        """Content events before the break; None for `reset` without a number (before any byte) and for what breaks nothing."""
        if self.kind == "pause":
            return None
        return self.after_events if self.after_events is not None else DEFAULT_AFTER_EVENTS.get(self.kind)


class BadFault(ValueError):
    """A fault that is none; the message says why."""


class FaultBook:
    """The faults set at present."""

    def __init__(self, faults: list[Fault] | None = None) -> None:
        self.faults = list(faults or [])

    def take(self, provider: str) -> Fault | None:
        """The fault that the next request to `provider` meets, used up by one."""
        for fault in self.faults:
            if fault.provider is None or fault.provider == provider:
                self._use(fault)
                return fault
        return None

    def _use(self, fault: Fault) -> None:
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self.faults = [other for other in self.faults if other is not fault]


def parse(value: Any) -> list[Fault]:
    """A fault object or a list of them. Raises BadFault naming the field."""
    items = value if isinstance(value, list) else [value]
    try:
        faults = msgspec.convert(items, list[Fault])
    except msgspec.ValidationError as wrong:
        raise BadFault(str(wrong)) from None
    for fault in faults:
        if fault.times is not None and fault.times < 1:
            raise BadFault("times must be at least 1")
        if fault.status is not None and not 200 <= fault.status <= 599:
            raise BadFault("status must be between 200 and 599")
    return faults


def load_script(text: str) -> list[Fault]:
    """A fault script: a YAML list of fault objects. Raises BadFault."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as wrong:
        raise BadFault(f"not YAML: {wrong}") from None
    return parse(value if value is not None else [])

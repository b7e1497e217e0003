"""Calls that only fill a vendor's cache, when somebody else would answer: nobody is asked, and nothing is charged.

An Anthropic client says so with max_tokens 0. Another vendor's cache would be of no use to it, and most of them would write an
answer and bill it. Source: anthropic types message_create_params.py, max_tokens.
"""

from __future__ import annotations

from gateway.call import Outlet, Trail
from gateway.types import Choice, Ended, Event, Finished, Reply, Start, Usage, UsageSeen


class _Still:
    """The transfer of an answer that nobody sends."""

    def pause(self) -> None:
        """Nothing comes that could wait."""

    def resume(self) -> None:
        """As little."""


def warmed() -> Reply:
    """An answer that says nothing, because it was not to."""
    return Reply("", "", [Choice([], "length")], Usage())


def warmed_events() -> list[Event]:
    """The same as a stream."""
    return [Start("", ""), UsageSeen(Usage()), Finished("length"), Ended()]


def answer(outlet: Outlet, trail: Trail) -> None:
    """Give it to the client, whole or as a stream."""
    trail.status, trail.outcome, trail.usage = 200, "warmed", Usage()
    if not trail.stream:
        outlet.reply(trail, warmed())
        return
    outlet.begin(trail, _Still())
    outlet.events(warmed_events())
    outlet.end()

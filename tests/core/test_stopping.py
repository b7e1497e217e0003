"""Stop sequences that are found in an answer instead of being sent: whatever the pieces, as if the text had come whole."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core.stopping import StopMatcher, StoppedEvents, first_stop, stopped, stopped_reply
from gateway.types import (
    Annotated,
    Choice,
    Continue,
    Ended,
    Event,
    Failed,
    Finished,
    Paused,
    ReasoningDelta,
    Reply,
    Start,
    Text,
    TextDelta,
    ToolCall,
    ToolDelta,
    ToolStart,
    Usage,
    UsageSeen,
)

LETTERS = st.text("abE\n", max_size=12)


@example(["E", "a", "E"], ["a", "EaE"])
@given(st.lists(LETTERS, max_size=8), st.lists(LETTERS, max_size=3))
def test_pieces_give_what_the_whole_text_gives(pieces: list[str], stops: list[str]) -> None:
    matcher = StopMatcher(stops)
    said = "".join([matcher.feed(piece) for piece in pieces]) + matcher.end()

    whole = "".join(pieces)
    at, stop = first_stop(whole, stops)
    assert said == (whole if stop is None else whole[:at])
    assert (matcher.found is None) == (stop is None)


@given(st.lists(LETTERS, max_size=8), st.lists(LETTERS, min_size=1, max_size=3))
def test_never_more_waits_than_the_longest_stop_less_a_character(pieces: list[str], stops: list[str]) -> None:
    matcher, given_so_far, said = StopMatcher(stops), 0, 0
    for piece in pieces:
        given_so_far += len(piece)
        said += len(matcher.feed(piece))
        assert matcher.found is not None or given_so_far - said <= max(len(max(stops, key=len)) - 1, 0)


def test_the_earliest_stop_wins_not_the_first_of_the_list() -> None:
    assert first_stop("a END b STOP", ["STOP", "END"]) == (2, "END")
    assert first_stop("none", ["x", ""]) == (-1, None)


def test_the_stop_that_is_complete_first_wins() -> None:
    """A model writes on until one is complete: it never gets to the end of the one that began earlier."""
    assert first_stop("EaE", ["a", "EaE"]) == (1, "a")
    assert first_stop("say END", ["END", "y END"]) == (2, "y END")


def events_of(*events: Event, stops: tuple[str, ...] = ("END",)) -> list[Event]:
    filter_, out = StoppedEvents(stops), []
    for event in events:
        out += filter_.feed([event])
    return out


def test_after_a_match_the_client_has_its_answer_and_the_usage_is_still_read() -> None:
    usage = UsageSeen(Usage(1, 2))
    seen = events_of(Start("r", "m"), TextDelta("One E"), TextDelta("ND two"), TextDelta("x"), ReasoningDelta("y"),
                     Finished("length"), usage, Ended())  # fmt: skip

    assert seen == [Start("r", "m"), TextDelta("One "), Finished("stop", stop_sequence="END"), usage, Ended()]


def test_what_is_held_goes_out_before_anything_else() -> None:
    seen = events_of(TextDelta("One E"), UsageSeen(Usage()), ToolStart(0, "c", "f"), ToolDelta(0, "END"), Finished("tool_calls"), Ended())  # fmt: skip

    assert seen == [TextDelta("One "), UsageSeen(Usage()), TextDelta("E"), ToolStart(0, "c", "f"), ToolDelta(0, "END"),
                    Finished("tool_calls"), Ended()]  # fmt: skip


def test_what_is_said_beside_the_answer_does_not_part_a_stop() -> None:
    beside: list[Event] = [Annotated([], searches=("weather",)), UsageSeen(Usage(1, 1))]

    assert StoppedEvents(["END"]).feed([TextDelta("aE"), *beside, TextDelta("ND")]) == [
        *(TextDelta("a"), *beside, Finished("stop", stop_sequence="END")),
    ]


def test_a_failure_before_the_match_is_one_and_after_it_is_none() -> None:
    assert events_of(TextDelta("E"), Failed("truncated")) == [TextDelta("E"), Failed("truncated")]
    assert events_of(TextDelta("END"), Failed("truncated")) == [Finished("stop", stop_sequence="END"), Ended()]


def test_an_answer_that_was_to_go_on_is_over_at_a_stop() -> None:
    again = Continue(b"{}", [], None)
    events: list[Event] = [TextDelta("a END"), UsageSeen(Usage(1, 1)), Paused(again)]
    reply = Reply("", "m", [Choice([Text("a END")], "length")], None, again=again)

    assert StoppedEvents(["END"]).feed(events)[-2:] == [UsageSeen(Usage(1, 1)), Ended()]
    assert StoppedEvents(["STOP"]).feed(events)[-1:] == [Paused(again)]
    assert stopped_reply(reply, ["END"]) == Reply("", "m", [Choice([Text("a ")], "stop", stop_sequence="END")], None)
    assert stopped_reply(reply, ["STOP"]) == reply


def test_a_stop_after_a_call_leaves_the_call_to_be_answered() -> None:
    seen = events_of(ToolStart(0, "c", "f"), TextDelta("END"), Ended())

    assert seen[1] == Finished("tool_calls", stop_sequence="END")


def test_a_whole_choice_ends_before_the_stop() -> None:
    call = ToolCall("c", "f", "{}")
    cut = stopped(Choice([Text("a"), call, Text("b END c"), ToolCall("d", "g", "{}")], "stop"), ["END"])

    assert cut == Choice([Text("a"), call, Text("b ")], "tool_calls", stop_sequence="END")
    assert stopped(Choice([Text("END")], "length"), ["END"]) == Choice([], "stop", stop_sequence="END")
    assert stopped(Choice([Text("fine")], "length"), ["END"]) == Choice([Text("fine")], "length")

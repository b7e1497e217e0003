"""What clients drop is put back where it was; never to another tenant, never for longer than a day, never without end."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.stash import TTL_S, Observer, Stash
from gateway.types import (
    BlockDone,
    Event,
    Finished,
    Message,
    Opaque,
    Part,
    Reasoning,
    ReasoningDelta,
    ReasoningDone,
    Request,
    Start,
    Text,
    TextDelta,
    ToolCall,
    ToolDelta,
    ToolResult,
    ToolStart,
    VendorBlock,
)


def thought(text: str = "hm") -> Reasoning:
    return Reasoning(text, Opaque("anthropic", "thinking", {"type": "thinking", "thinking": text, "signature": "s"}))


def block(text: str = "q") -> VendorBlock:
    return VendorBlock(Opaque("anthropic", "server_block", {"type": "server_tool_use", "input": {"query": text}}))


def signed(call_id: str, signature: str = "AA==") -> ToolCall:
    return ToolCall(call_id, "f", '{"a":1}', opaque=Opaque("google", "thought_signature", signature))


TURN: list[Part] = [
    thought("one"),
    Text("Let me "),
    block(),
    Text("see."),
    thought("two"),
    signed("a"),
    ToolCall("b", "f", "{}"),
]
PLAIN: list[Part] = [Text("Let me see."), ToolCall("a", "f", '{"a":1}'), ToolCall("b", "f", "{}")]


def ask(*answers: list[Part], question: str = "?") -> Request:
    messages = [Message("system", [Text("be kind")])]
    for parts in answers:
        messages += [Message("user", [Text(question)]), Message("assistant", list(parts))]
        calls = [part.id for part in parts if isinstance(part, ToolCall)]
        messages += [Message("tool", [ToolResult(call_id, [Text("ok")])]) for call_id in calls]
    return Request(model="m", messages=messages)


def restored(stash: Stash, request: Request, tenant: str = "acme", now: float = 1.0) -> Request:
    before = copy.deepcopy(request)
    made = stash.restored(tenant, request, now)
    assert request == before, "a request is restored in a copy"
    return made


def answer(stash: Stash, *parts: Part, tenant: str = "acme", now: float = 1.0) -> list[Part]:
    return restored(stash, ask(list(parts)), tenant, now).messages[2].parts


def stash_of(*turns: list[Part], now: float = 0.0) -> Stash:
    stash = Stash()
    for turn in turns:
        stash.remember("acme", turn, now)
    return stash


def test_a_turn_comes_back_part_for_part() -> None:
    assert answer(stash_of(TURN), *PLAIN) == TURN


def test_text_that_the_client_cut_otherwise_is_the_same_text() -> None:
    assert answer(stash_of(TURN), Text("Let"), Text(" me see."), Reasoning("one two"), *PLAIN[1:]) == TURN


def test_a_changed_text_keeps_the_clients_words_behind_the_thoughts() -> None:
    assert answer(stash_of(TURN), Text("Edited."), *PLAIN[1:]) == [
        thought("one"),
        block(),
        thought("two"),
        Text("Edited."),
        signed("a"),
        PLAIN[2],
    ]


def test_the_rest_of_a_split_turn_has_no_thoughts_of_its_own() -> None:
    assert answer(stash_of(TURN), PLAIN[2]) == [PLAIN[2]]
    assert answer(stash_of(TURN), PLAIN[1]) == [thought("one"), block(), thought("two"), signed("a")]


def test_a_turn_without_calls_is_known_by_its_text() -> None:
    said = [thought(), Text("Paris.")]

    assert answer(stash_of(said), Text("Paris.")) == said
    assert answer(stash_of(said), Text("Rome.")) == [Text("Rome.")]


def test_equal_texts_of_different_conversations_stay_apart() -> None:
    stash, mine, theirs = Stash(), [thought("mine"), Text("Yes.")], [thought("theirs"), Text("Yes.")]
    stash.remember("acme", mine, 0.0, ask(mine, question="mine?").messages[:2])
    stash.remember("acme", theirs, 0.0, ask(theirs, question="theirs?").messages[:2])

    for question, parts in (("mine?", mine), ("theirs?", theirs), ("whose?", [Text("Yes.")])):
        assert restored(stash, ask([Text("Yes.")], question=question)).messages[2].parts == parts


def test_a_conversation_is_recognised_with_what_it_had_lost() -> None:
    stash, first, second = Stash(), TURN, [thought("end"), Text("Done.")]
    stash.remember("acme", first, 0.0, ask().messages)
    stash.remember("acme", second, 0.0, [*ask(PLAIN).messages, Message("user", [Text("?")])])

    made = restored(stash, ask(PLAIN, [Text("Done.")]))
    assert [message.parts for message in made.messages if message.role == "assistant"] == [first, second]


def test_what_the_client_kept_is_never_replaced_by_less() -> None:
    request = ask([thought("its own"), thought("another"), Text("Let me see."), *PLAIN[1:]])

    assert restored(stash_of([thought(), *PLAIN]), request) is request


def test_a_client_that_kept_a_part_gets_the_whole_when_its_words_are_the_same() -> None:
    assert answer(stash_of(TURN), thought("one"), *PLAIN) == TURN
    edited: list[Part] = [thought("one"), Text("Edited."), *PLAIN[1:]]
    assert answer(stash_of(TURN), *edited) == edited


def test_blocks_that_came_back_stand_among_the_texts_again() -> None:
    turn: list[Part] = [Text("Let me look. "), block(), Text("It is 21.")]

    assert answer(stash_of(turn), block(), Text("Let me look. It is 21.")) == turn
    assert answer(stash_of(turn), block(), Text("Something else.")) == [block(), Text("Something else.")]


def test_no_tenant_meets_anothers() -> None:
    assert answer(stash_of(TURN), *PLAIN, tenant="globex") == PLAIN


def test_a_day_later_it_is_gone() -> None:
    stash = stash_of(TURN)

    assert answer(stash, *PLAIN, now=TTL_S) == TURN
    assert answer(stash, *PLAIN, now=TTL_S + 1) == PLAIN
    assert answer(stash, PLAIN[2], now=TTL_S + 1) == [PLAIN[2]]
    assert (len(stash), stash.bytes) == (0, 0)


def test_the_least_recently_used_goes_first_and_the_bytes_are_bounded() -> None:
    stash = Stash(max_bytes=4000)
    for number in range(100):
        stash.remember("acme", [thought("x" * 100), signed(f"call_{number}")], float(number))
        assert stash.bytes <= 4000
        assert len(answer(stash, ToolCall("call_0", "f", "{}"), now=float(number))) == 2, "used every time"

    assert answer(stash, ToolCall("call_1", "f", "{}")) == [ToolCall("call_1", "f", "{}")]
    assert 1 < len(stash) < 20


def test_the_same_turn_again_takes_no_more_room() -> None:
    stash = stash_of(TURN, TURN, TURN)

    assert (len(stash), stash.bytes) == (2, stash_of(TURN).bytes)


@pytest.mark.parametrize(
    "parts",
    [
        [Text("nothing to replay"), ToolCall("a", "f", "{}"), Reasoning("shown only")],
        [],
        [Reasoning("", Opaque("anthropic", "thinking", "\ud800")), ToolCall("a", "f", "{}")],
        [Reasoning("", Opaque("anthropic", "thinking", "x" * 5_000_000)), ToolCall("a", "f", "{}")],
        [thought()],
    ],
)
def test_what_cannot_be_kept_or_found_again_takes_no_room(parts: list[Part]) -> None:
    assert stash_of(parts).bytes == 0


def test_a_request_without_losses_is_the_very_same_object() -> None:
    request = ask([Text("Hello.")])

    assert restored(stash_of(TURN), request) is request
    assert restored(Stash(), ask(PLAIN)) == ask(PLAIN)


def test_a_cache_mark_stays_on_the_last_text() -> None:
    marked = Text("Let me see.", cache={"type": "ephemeral"})

    made = answer(stash_of(TURN), marked, *PLAIN[1:])
    assert [part.cache for part in made if isinstance(part, Text)] == [None, {"type": "ephemeral"}]


# ---------------------------------------------------------------- streams

STREAM: list[Event] = [
    Start("msg_1", "m"),
    ReasoningDelta("one"),
    ReasoningDone(thought("one")),
    TextDelta("Let "),
    TextDelta("elsewhere", 1),
    TextDelta("me "),
    BlockDone(block()),
    TextDelta("see."),
    ReasoningDone(thought("two")),
    ToolStart(0, "a", "f", opaque=signed("a").opaque),
    ToolDelta(0, '{"a":1}'),
    ToolStart(0, "z", "f", 1),
    ToolStart(1, "b", "f"),
    Finished("tool_calls"),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=6).map(sorted))
def test_a_stream_is_remembered_like_the_whole_answer(cuts: list[int]) -> None:
    observer = Observer()
    for start, end in zip([0, *cuts], [*cuts, len(STREAM)], strict=True):
        observer.see(STREAM[start:end])

    assert answer(stash_of(observer.parts()), *PLAIN) == TURN


def test_a_text_with_its_vendors_own_words_beside_it_bears_them() -> None:
    cited = Opaque("anthropic", "text", {"type": "text", "text": "cited", "citations": [{}]})
    observer = Observer()
    observer.see(
        [TextDelta("plain "), BlockDone(block()), TextDelta("cited"), BlockDone(VendorBlock(cited)), TextDelta("!")]
    )

    assert observer.parts() == [Text("plain "), block(), Text("cited", opaque=cited), Text("!")]
    assert answer(stash_of(observer.parts()), Text("plain cited!")) == observer.parts()

"""Envelopes: the same inside is the same text, and nobody but the tenant's own gateway opens them."""

from __future__ import annotations

import base64
import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.envelope import PREFIX, Sealer, unsealed
from gateway.types import Message, Opaque, Part, Reasoning, Request, Text, ToolCall, VendorBlock

SECRET, OLDER = b"a secret of enough bytes", b"an older secret, long enough"
BLOCK = {"type": "thinking", "thinking": "hm \U0001f600", "signature": "Es=="}
OPAQUES = [Opaque("anthropic", "thinking", BLOCK), Opaque("google", "thought_signature", "AA==")]
SEALER = Sealer(SECRET)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=8,
)


def sealed(*opaques: Opaque, tenant: str = "acme") -> Opaque:
    return Opaque("gateway", "sealed", SEALER.seal(tenant, opaques))


def ask(*parts: Part) -> Request:
    return Request(model="m", messages=[Message("user", [Text("hi")]), Message("assistant", list(parts))])


def opened(*parts: Part, tenant: str = "acme") -> list[Part]:
    request = ask(*parts)
    before = copy.deepcopy(request)
    made = unsealed(request, lambda text: SEALER.open(tenant, text))
    assert request == before, "a request is unsealed in a copy"
    return made.messages[1].parts


def test_what_was_sealed_comes_back_and_the_text_is_fit_for_any_field() -> None:
    text = SEALER.seal("acme", OPAQUES)

    assert SEALER.open("acme", text) == OPAQUES
    assert text.startswith(PREFIX)
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
    assert "thinking" not in base64.urlsafe_b64decode(text.rpartition(".")[2] + "==").decode("latin-1")


@given(st.text(max_size=9), st.lists(st.builds(Opaque, st.text("abc"), st.text("abc"), JSON), max_size=3))
def test_the_same_seals_to_the_same_bytes_in_every_process(tenant: str, opaques: list[Opaque]) -> None:
    text = Sealer(SECRET).seal(tenant, opaques)

    assert text == Sealer(SECRET, OLDER).seal(tenant, opaques)
    assert Sealer(SECRET).open(tenant, text) == opaques


def test_another_tenant_or_another_gateway_finds_nothing() -> None:
    text = SEALER.seal("acme", OPAQUES)

    assert SEALER.open("globex", text) == []
    assert Sealer(OLDER).open("acme", text) == []


def test_a_new_secret_seals_and_the_old_one_still_opens() -> None:
    before, after = Sealer(OLDER), Sealer(SECRET, OLDER)

    assert after.open("acme", before.seal("acme", OPAQUES)) == OPAQUES
    assert after.seal("acme", OPAQUES) == SEALER.seal("acme", OPAQUES)
    assert before.open("acme", after.seal("acme", OPAQUES)) == []


def test_no_changed_character_is_overlooked() -> None:
    text = SEALER.seal("acme", OPAQUES[1:])

    for place in range(len(text)):
        other = "A" if text[place] != "A" else "B"
        assert SEALER.open("acme", text[:place] + other + text[place + 1 :]) == []
        assert SEALER.open("acme", text[:place]) == []
    assert SEALER.open("acme", text + "=") == SEALER.open("acme", text + "A") == []


@given(st.text(max_size=40))
def test_garbage_is_nothing(text: str) -> None:
    kid = SEALER.seal("acme", []).split(".")[1]

    assert SEALER.open("acme", text) == SEALER.open("acme", f"gw1.{kid}.{text}") == []


@pytest.mark.parametrize("secrets", [(), (b"",), (b"too short",), (SECRET, b"x")])
def test_a_weak_secret_is_refused(secrets: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError, match="at least 16 bytes"):
        Sealer(*secrets)


# ---------------------------------------------------------------- in a request


def test_a_thought_gets_back_what_it_was_made_of() -> None:
    assert opened(Reasoning("hm", sealed(OPAQUES[0])), Text("a")) == [Reasoning("hm", OPAQUES[0]), Text("a")]
    assert opened(Reasoning("", sealed(*OPAQUES))) == [Reasoning("", OPAQUES[0]), Reasoning("", OPAQUES[1])]


def test_a_signature_goes_on_the_call_and_thoughts_before_it() -> None:
    call = ToolCall("a", "f", "{}", opaque=sealed(*OPAQUES))

    assert opened(call) == [Reasoning("", OPAQUES[0]), ToolCall("a", "f", "{}", opaque=OPAQUES[1])]
    assert opened(Text("x", opaque=sealed(OPAQUES[1]))) == [Text("x", opaque=OPAQUES[1])]


def test_blocks_of_a_vendor_come_back_as_blocks() -> None:
    block = Opaque("anthropic", "server_block", {"type": "compaction", "content": "c"})

    assert opened(VendorBlock(sealed(block))) == [VendorBlock(block)]
    assert opened(Reasoning("", sealed(block))) == [VendorBlock(block)]
    assert opened(Reasoning("t", sealed(block))) == [VendorBlock(block), Reasoning("t")]


def test_what_cannot_be_opened_leaves_what_can_be_shown() -> None:
    parts = [Reasoning("t", sealed(*OPAQUES)), Reasoning("", sealed(*OPAQUES)), VendorBlock(sealed(*OPAQUES))]
    call = ToolCall("a", "f", "{}", opaque=Opaque("gateway", "sealed", 7))

    assert opened(*parts, call, tenant="globex") == [Reasoning("t"), ToolCall("a", "f", "{}")]


def test_an_envelope_in_an_envelope_is_not_opened_twice() -> None:
    assert opened(Reasoning("", sealed(sealed(*OPAQUES)))) == []


def test_a_request_without_envelopes_is_the_very_same_object() -> None:
    request = ask(Reasoning("t", OPAQUES[0]))

    assert unsealed(request, lambda text: []) is request

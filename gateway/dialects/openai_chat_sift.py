"""Which messages of Chat Completions are plain text (core.sifting)."""

from __future__ import annotations

from msgspec import Raw

from gateway.core.sifting import LIST, NULL, UNREADABLE, Plain, Sifted, are, decoder, first_byte

_EXTRA = b'"extra_content"'  # of a call of a tool


class _ChatMessage(Plain):
    role: Raw
    content: Raw = NULL
    name: Raw = NULL
    refusal: Raw = NULL
    tool_call_id: Raw = NULL
    tool_calls: Raw = Raw()
    function_call: Raw = NULL
    annotations: Raw = NULL
    reasoning_content: Raw = Raw()


class _ChatPart(Plain):
    type: Raw
    text: Raw = NULL
    refusal: Raw = NULL
    cache_control: Raw = NULL
    prompt_cache_breakpoint: Raw = NULL


_chat_messages, _chat_parts = decoder(_ChatMessage), decoder(_ChatPart)


def sift_chat(messages: Raw) -> Sifted | None:
    """`messages` of Chat Completions."""
    rest: list[Raw] = []
    foreign = False
    try:
        for message in _chat_messages(messages):
            if first_byte(message.content) == LIST and not are(_chat_parts, message.content):
                rest.append(message.content)
            if message.reasoning_content or (message.tool_calls and _EXTRA in bytes(message.tool_calls)):
                foreign = True
    except UNREADABLE:
        return None
    return Sifted(rest, foreign)

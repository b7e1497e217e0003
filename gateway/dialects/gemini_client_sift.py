"""Which contents of generateContent are plain text, and calls and results of functions (core.sifting)."""

from __future__ import annotations

from msgspec import Raw

from gateway.core.sifting import NULL, UNREADABLE, Plain, Sifted, decoder
from gateway.dialects.gemini_foreign import has_foreign


class _Content(Plain):
    parts: Raw
    role: Raw = NULL


class _GeminiResult(Plain):
    name: Raw = NULL
    id: Raw = NULL
    response: Raw = NULL


class _GeminiPart(Plain):
    text: Raw = NULL
    thought: Raw = NULL
    thoughtSignature: Raw = Raw()
    thought_signature: Raw = Raw()
    functionCall: Raw = NULL
    function_call: Raw = NULL
    functionResponse: _GeminiResult | None = None
    function_response: _GeminiResult | None = None


class _PlainContent(Plain):
    """A turn of plain parts, read in one go."""

    parts: list[_GeminiPart]
    role: Raw = NULL


_contents, _plain_contents, _gemini_parts = decoder(_Content), decoder(_PlainContent), decoder(_GeminiPart)


def sift_gemini(contents: Raw) -> Sifted | None:
    """`contents` of generateContent."""
    try:
        plain = _plain_contents(contents)
    except UNREADABLE:
        return _sift_contents(contents)
    return Sifted([], any([_is_sealed(part) for content in plain for part in content.parts]))


def _sift_contents(contents: Raw) -> Sifted | None:
    """The same, where the parts of some turn are not plain."""
    rest: list[Raw] = []
    foreign = False
    try:
        for content in _contents(contents):
            try:
                foreign = any([_is_sealed(part) for part in _gemini_parts(content.parts)]) or foreign
            except UNREADABLE:
                rest.append(content.parts)
                foreign = foreign or has_foreign(bytes(content.parts))
    except UNREADABLE:
        return None
    return Sifted(rest, foreign)


def _is_sealed(part: _GeminiPart) -> bool:
    return any([raw and has_foreign(bytes(raw)) for raw in (part.thoughtSignature, part.thought_signature)])

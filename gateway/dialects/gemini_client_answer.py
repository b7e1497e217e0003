"""The pieces that whole and streamed answers share, as a Gemini client reads them.

Rule 1: what another vendor wants back of its thoughts waits for the next text or call and goes out on it, sealed, as its
thoughtSignature: those parts clients send back, the thoughts themselves many of them drop. What is left at the end gets an
empty text of its own, as Google does it. Rule 2: arguments stay the model's own JSON text, on one line.
Source: https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse, …/gemini-api/docs/thought-signatures
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgspec

from gateway.core import jsontext
from gateway.dialects.gemini_client_media import write_signature
from gateway.dialects.gemini_parts import GOOGLE, SIGNATURE
from gateway.types import (
    Audio,
    Document,
    Echo,
    FinishReason,
    Image,
    Opaque,
    Part,
    Reasoning,
    Text,
    ToolCall,
    Usage,
    VendorBlock,
)

Wire = dict[str, Any]

FINISHES: dict[FinishReason, str] = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
}
EMPTY: Wire = {"text": ""}  # clients look at parts[0] unasked


class Envelope:
    """Other vendors' opaque things that wait for the next part that a client will send back."""

    __slots__ = ("_echo", "waiting")

    def __init__(self, echo: Echo) -> None:
        self._echo = echo
        self.waiting: list[Opaque] = []

    def add(self, opaque: Opaque | None) -> None:
        """Keep it for the next part. A text that its vendor wants back once more is left out: opened, it would stand twice."""
        if opaque is not None and opaque.kind != "text" and self._echo.seal is not None:
            self.waiting.append(opaque)

    def sign(self, part: Wire, own: Opaque | None = None) -> Wire:
        """`part` with Google's own signature, else with all that waits."""
        if own is not None and is_native(own):
            part["thoughtSignature"] = own.data
            return part
        self.add(own)
        if self.waiting and self._echo.seal is not None:
            part["thoughtSignature"] = write_signature(self._echo.seal(self.waiting))
            self.waiting = []
        return part

    def rest(self) -> list[Wire]:
        """A part for what nobody took."""
        return [self.sign(dict(EMPTY))] if self.waiting else []


def is_native(opaque: Opaque | None) -> bool:
    return opaque is not None and opaque.vendor == GOOGLE and opaque.kind == SIGNATURE


def write_part(part: Part, envelope: Envelope, show: bool) -> Wire | None:
    """`part` on the wire, None when a client sees nothing of it. `show`: thoughts are shown. Refusals are not for here."""
    match part:
        case Text():
            return envelope.sign({"text": part.text}, part.opaque) if part.text or is_native(part.opaque) else None
        case Reasoning():
            return _thought(part, envelope, show)
        case ToolCall():
            return envelope.sign(call_part(part), part.opaque)
        case Image(data=data, media_type=mime) | Document(data=data, media_type=mime) if data:
            return {"inlineData": {"mimeType": mime, "data": data}}
        case Image(url=url, media_type=mime) | Document(url=url, media_type=mime) if url:
            return {"fileData": {"fileUri": url, **({"mimeType": mime} if mime else {})}}
        case Audio():
            return {"inlineData": {"mimeType": f"audio/{part.format}", "data": part.data}}
        case VendorBlock() if part.opaque.vendor == GOOGLE and isinstance(part.opaque.data, dict):
            return part.opaque.data
        case VendorBlock():
            envelope.add(part.opaque)
    return None


def _thought(part: Reasoning, envelope: Envelope, show: bool) -> Wire | None:
    if is_native(part.opaque):
        if not part.text:
            return envelope.sign(dict(EMPTY), part.opaque)
        return envelope.sign({"text": part.text, "thought": True}, part.opaque) if show else None
    envelope.add(part.opaque)
    return {"text": part.text, "thought": True} if part.text and show else None


def call_part(call: ToolCall) -> Wire:
    """A functionCall, complete, with the id that its result will name; not signed yet."""
    return {"functionCall": {"id": call.id, "name": call.name, "args": _args(call)}}


def is_complete(arguments: str) -> bool:
    """Whether the arguments of a call have all come."""
    if not arguments.rstrip().endswith("}"):
        return False
    try:
        jsontext.decode(arguments.encode())
    except jsontext.NotJson:
        return False
    return True


def _args(call: ToolCall) -> msgspec.Raw | Wire:
    """The arguments as the object that a client wants; text that is none is kept under a key, as Gemini's own half does."""
    if call.custom:
        return {"input": call.arguments}
    if not call.arguments.strip():
        return {}
    given = call.arguments.encode()
    try:
        value = jsontext.decode(given)
    except jsontext.NotJson:
        return {"_raw_arguments": call.arguments}
    if b"\n" in given or b"\r" in given:
        with suppress(ValueError):
            given = msgspec.json.format(given, indent=-1)
    return msgspec.Raw(given) if isinstance(value, dict) else {"value": msgspec.Raw(given)}


def finish_word(finish: FinishReason | None, refusal: str) -> str:
    """Google's word. A refusal is what Google calls SAFETY, whatever the vendor's own word for its end."""
    return "SAFETY" if refusal else FINISHES[finish or "stop"]


def usage_metadata(usage: Usage) -> Wire:
    """The counts as Google divides them: thoughts beside the candidates' tokens, cached tokens within the prompt's."""
    counts: Wire = {
        "promptTokenCount": usage.input,
        "candidatesTokenCount": max(usage.output - usage.reasoning, 0),
        "totalTokenCount": usage.total or usage.input + usage.output,
    }
    if usage.reasoning:
        counts["thoughtsTokenCount"] = usage.reasoning
    if usage.cache_read:
        counts["cachedContentTokenCount"] = usage.cache_read
    return counts


def logprobs_result(logprobs: Any) -> Wire:
    """{"logprobsResult": …} of OpenAI's `logprobs` object, {} when there is none."""
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list):
        return {}
    tokens = [token for token in content if isinstance(token, dict)]
    tops = [[top for top in token.get("top_logprobs") or [] if isinstance(top, dict)] for token in tokens]
    chosen = {"chosenCandidates": [_token(token) for token in tokens]}
    return {"logprobsResult": {**chosen, "topCandidates": [{"candidates": list(map(_token, top))} for top in tops]}}


def _token(token: Wire) -> Wire:
    return {"token": token.get("token"), "logProbability": token.get("logprob")}

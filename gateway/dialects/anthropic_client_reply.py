"""A whole answer, and an error, as the Messages API spells them; and the words that whole and streamed answers share.

Rule 1: what Anthropic's own clients send back on the next turn must be legal there: no empty text, `input` is an object,
`signature` is always given. Rule 2: what another vendor wants back travels sealed (`echo.seal`) where clients keep such things
for Anthropic: in a thought's `signature`, else as `redacted_thinking`, before the call it belongs to and behind a text, never last.
Sources: anthropic types message.py, usage.py, stop_reason.py, refusal_stop_details.py, error_type.py.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from gateway.dialects.anthropic_blocks import arguments_object, legal_id
from gateway.dialects.anthropic_client_foreign import CITED
from gateway.types import (
    Choice,
    ClientError,
    Echo,
    FinishReason,
    Image,
    Notes,
    Opaque,
    Reasoning,
    Refusal,
    Reply,
    Text,
    ToolCall,
    Usage,
    VendorBlock,
)

Block = dict[str, Any]

_ID_PREFIX = re.compile(r"^(?:chatcmpl|msg|resp|gen|cmpl)[-_]")
_STOPS = {"length": "max_tokens", "content_filter": "refusal"}
_TIERS = {"priority": "priority", "fast": "priority", "batch": "batch"}
_ERROR_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
# Claude Code shortens its conversation when a refusal begins so.
_TOO_LONG = "prompt is too long"


def write_reply(reply: Reply, echo: Echo) -> bytes:
    """The body of a 200. Of several choices the first is written: Anthropic's answers have one."""
    choice = reply.choices[0] if reply.choices else Choice([], None)
    calls = any(isinstance(part, ToolCall) for part in choice.parts)
    refusal = "".join(part.text for part in choice.parts if isinstance(part, Refusal))
    reason = stop_reason(choice.finish, calls, choice.stop_sequence, bool(refusal))
    message = message_object(reply.id, echo)
    message["content"] = _content(choice, message["id"], echo)
    message["stop_reason"] = reason
    message["stop_sequence"] = choice.stop_sequence if reason == "stop_sequence" else None
    message["stop_details"] = stop_details(reason, refusal)
    message["usage"] = usage_object(reply.usage, _TIERS.get(reply.service_tier or "", "standard"))
    return msgspec.json.encode(message)


def message_object(upstream_id: str, echo: Echo) -> Block:
    """A message with nothing said yet, as message_start has it."""
    return {
        "id": message_id(upstream_id, echo),
        "type": "message",
        "role": "assistant",
        "model": echo.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
    }


def message_id(upstream_id: str, echo: Echo) -> str:
    """`msg_` and the upstream's id without its own prefix, or our id where the upstream gives none."""
    return "msg_" + (_ID_PREFIX.sub("", upstream_id) or echo.id)


def call_id(given: str, message: str, index: int) -> str:
    """A call's id as it came, where it is legal; one made of the message's id where there is none."""
    if given:
        return legal_id(given)
    return "toolu_" + hashlib.sha256(f"{message}/{index}".encode("utf-8", "replace")).hexdigest()[:24]


def stop_reason(finish: FinishReason | None, calls: bool, stop_sequence: str | None, refused: bool) -> str:
    """Being cut wins over everything: arguments may be incomplete then. A call is a call, whatever the vendor said."""
    if finish in _STOPS:
        return _STOPS[finish]
    if refused:
        return "refusal"
    if calls:
        return "tool_use"
    return "end_turn" if stop_sequence is None else "stop_sequence"


def stop_details(reason: str, refusal: str) -> Block | None:
    if reason != "refusal":
        return None
    return {"type": "refusal", "category": None, "explanation": refusal or None}


def usage_object(usage: Usage | None, tier: str) -> Block:
    """Anthropic counts cached input apart. Clients want both counts in every place, so what is not known is 0."""
    counted = usage or Usage()
    written: Block = {
        "input_tokens": max(counted.input - counted.cache_read - counted.cache_write, 0),
        "cache_creation_input_tokens": counted.cache_write,
        "cache_read_input_tokens": counted.cache_read,
        "output_tokens": counted.output,
    }
    if counted.reasoning:
        written["output_tokens_details"] = {"thinking_tokens": counted.reasoning}
    return {**written, "service_tier": tier} if tier else written


def call_input(arguments: str, custom: bool) -> Any:
    """Arguments as the object that `input` must be, in their own spelling."""
    return {"input": arguments} if custom else arguments_object(arguments, Notes())


def sealed(opaque: Opaque | None, echo: Echo) -> str:
    """What only `opaque`'s vendor can read, in our envelope; "" when there is none."""
    if opaque is None or echo.seal is None:
        return ""
    return opaque.data if opaque.vendor == "gateway" else echo.seal([opaque])


def native(opaque: Opaque | None) -> Block | None:
    """The block that Anthropic itself gave; None for what others gave."""
    if opaque is not None and opaque.vendor == "anthropic" and isinstance(opaque.data, dict):
        return opaque.data
    return None


def kept(opaque: Opaque | None, echo: Echo) -> list[Block]:
    """A thing to send back that stands alone: as redacted_thinking, or nothing when it cannot be sealed."""
    text = sealed(opaque, echo)
    return [{"type": "redacted_thinking", "data": text}] if text else []


def _content(choice: Choice, message: str, echo: Echo) -> list[Block]:
    content: list[Block] = []
    calls = 0
    for part in choice.parts:
        match part:
            case Text(text=text) | Refusal(text=text):
                _say(text, content)
                if isinstance(part, Text) and part.annotations and text:
                    _cite(part, content)
                content += kept(part.opaque, echo) if isinstance(part, Text) else []
            case ToolCall():
                content += kept(part.opaque, echo)
                content.append(
                    {
                        "type": "tool_use",
                        "id": call_id(part.id, message, calls),
                        "name": part.name,
                        "input": call_input(part.arguments, part.custom),
                    }
                )
                calls += 1
            case Image():
                _say(unshown(part), content)
            case Reasoning():
                content += thought_blocks(part, echo)
            case VendorBlock(opaque=opaque):
                content += [block] if (block := native(opaque)) else kept(opaque, echo)
    if _trails(content, choice, echo):
        content.pop()
    return content


def unshown(image: Image) -> str:
    """What is said in place of a picture: no block of Anthropic's answers holds one, and nothing goes in silence."""
    return f"[{image.media_type or 'image'}: a picture, which answers of this API cannot carry]"


def citations(annotations: list[Any]) -> list[Block]:
    """Web citations as Anthropic's, each page once: they belong to the whole block that they stand in.

    Other vendors say which part of the answer a page is behind, not which words of the page, and have no `encrypted_index`: ours
    marks what must not go to Anthropic (anthropic_client_foreign).
    """
    pages: dict[str, Block] = {}
    for note in annotations:
        cited = note.get("url_citation") if isinstance(note, dict) else None
        url = cited.get("url") if isinstance(cited, dict) else None
        if isinstance(cited, dict) and isinstance(url, str) and url not in pages:
            title = cited.get("title")
            pages[url] = {
                "type": "web_search_result_location",
                "url": url,
                "title": title if isinstance(title, str) else None,
                "cited_text": "",
                "encrypted_index": CITED,
            }
    return list(pages.values())


def _cite(part: Text, content: list[Block]) -> None:
    """The citations of a text that was said last."""
    found = citations(part.annotations or [])
    if found and content and content[-1]["type"] == "text":
        content[-1].setdefault("citations", []).extend(found)


def _trails(content: list[Block], choice: Choice, echo: Echo) -> bool:
    """Whether the last block is nothing but what is kept behind a text: Claude Code takes the last block for the answer."""
    if [block["type"] for block in content[-2:]] != ["text", "redacted_thinking"]:
        return False
    return content[-1:] == kept(getattr(choice.parts[-1], "opaque", None), echo)


def _say(text: str, content: list[Block]) -> None:
    """Neighbouring texts become one, as they do in a stream; empty ones are refused when they are sent back."""
    if text and content and content[-1]["type"] == "text":
        content[-1]["text"] += text
    elif text:
        content.append({"type": "text", "text": text})


def thought_blocks(part: Reasoning, echo: Echo) -> list[Block]:
    """A thought with its signature; one without text, or that is not to be shown, is only kept."""
    block = native(part.opaque)
    if not echo.expose_reasoning:
        return kept(part.opaque, echo)
    if block is not None:
        return [block]
    if not part.text:
        return kept(part.opaque, echo)
    return [{"type": "thinking", "thinking": part.text, "signature": sealed(part.opaque, echo)}]


def write_error(error: ClientError) -> bytes:
    """The body of an error answer."""
    return msgspec.json.encode(error_object(error))


def error_object(error: ClientError) -> Block:
    """Types are Anthropic's own, by status; our code and the attempts are details."""
    message = error.message
    if error.code == "context_length_exceeded" and not message.lower().startswith(_TOO_LONG):
        message = f"{_TOO_LONG}: {message}"
    details: Block = {"error_code": error.code} if error.code else {}
    if error.attempts is not None:
        details["attempts"] = error.attempts
    kind = _ERROR_TYPES.get(error.status) or ("api_error" if error.status >= 500 else "invalid_request_error")
    inner: Block = {"type": kind, "message": message}
    if details:
        inner["details"] = details
    return {"type": "error", "error": inner, "request_id": error.request_id or None}

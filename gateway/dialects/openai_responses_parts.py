"""Output items of an answer into parts: what whole answers and the end of streamed ones share."""

from __future__ import annotations

from typing import Any

from gateway.dialects.openai_undo import Undo
from gateway.types import FinishReason, Image, Opaque, Part, Reasoning, Refusal, Text, ToolCall

CALLS = ("function_call", "custom_tool_call")


def read_parts(output: object, undo: Undo) -> list[Part]:
    """All items, in order; those of hosted tools are not for the client."""
    parts: list[Part] = []
    said = 0
    for item in output if isinstance(output, list) else []:
        if not isinstance(item, dict):
            continue
        kind = item.get("type")
        if kind == "message":
            for part in _said(item, said):
                parts.append(part)
                said += len(part.text)
        elif kind == "reasoning":
            thought = read_thought(item)
            parts += [thought] if thought is not None else []
        elif kind in CALLS:
            parts.append(read_call(item, undo))
        elif kind == "image_generation_call" and words(item.get("result")):
            parts.append(Image(f"image/{words(item.get('output_format')) or 'png'}", item["result"]))
    return parts


def read_call(item: dict[str, Any], undo: Undo) -> ToolCall:
    custom = item.get("type") == "custom_tool_call"
    arguments = words(item.get("input" if custom else "arguments")) or ("" if custom else "{}")
    call_id = words(item.get("call_id")) or words(item.get("id"))
    return ToolCall(call_id, undo.name(words(item.get("name"))), arguments, custom)


def read_thought(item: dict[str, Any]) -> Reasoning | None:
    """A thought with what OpenAI wants back of it: the item as it came. None when there is neither."""
    shown = "\n\n".join(texts_of(item.get("summary"))) or "\n\n".join(texts_of(item.get("content")))
    kept = words(item.get("encrypted_content"))
    if not shown and not kept:
        return None
    return Reasoning(shown, Opaque("openai", "encrypted_content", item) if kept else None)


def texts_of(parts: object) -> list[str]:
    """The texts of an array of {type, text}."""
    found = parts if isinstance(parts, list) else []
    return [text for part in found if isinstance(part, dict) and (text := words(part.get("text")))]


def nested_annotations(notes: object, before: int) -> list[Any]:
    """Flat annotations as Chat nests them; offsets count all text of the answer, `before` characters of it came earlier."""
    return [_nested(note, before) for note in notes if isinstance(note, dict)] if isinstance(notes, list) else []


def finish_of(response: dict[str, Any], called: bool) -> FinishReason:
    """Why an answer ended. What is not whole, for whatever reason, never looks whole."""
    if response.get("status") != "incomplete":
        return "tool_calls" if called else "stop"
    details = response.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    return "content_filter" if reason == "content_filter" else "length"


def logprobs_of(found: object) -> Any:
    """Log probabilities as Chat wraps them, None when there are none."""
    return {"content": found, "refusal": None} if isinstance(found, list) and found else None


def words(value: object) -> str:
    return value if isinstance(value, str) else ""


def _said(item: dict[str, Any], before: int) -> list[Text | Refusal]:
    content = item.get("content")
    parts: list[Text | Refusal] = []
    for part in content if isinstance(content, list) else []:
        if not isinstance(part, dict):
            continue
        if part.get("type") == "refusal" and words(part.get("refusal")):
            parts.append(Refusal(part["refusal"]))
        elif words(part.get("text")):
            notes = nested_annotations(part.get("annotations"), before)
            parts.append(Text(part["text"], annotations=notes or None))
            before += len(part["text"])
    return parts


def _nested(note: dict[str, Any], before: int) -> dict[str, Any]:
    if note.get("type") != "url_citation" or "url_citation" in note:
        return note
    cited = {key: value for key, value in note.items() if key != "type"}
    for key in ("start_index", "end_index"):
        if type(cited.get(key)) is int:
            cited[key] += before
    return {"type": "url_citation", "url_citation": cited}

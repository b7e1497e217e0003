"""Content blocks of a client's Messages request into parts, one at a time.

Rule 1: nothing that was sent to be read is lost: a block with no counterpart elsewhere becomes text, or a VendorBlock with a
summary. Rule 2: what only a vendor can read stays as it came; a text that begins with `gw1.` is an envelope of our own.
Sources: anthropic types *_block_param.py, *_source_param.py.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from gateway.dialects.anthropic_client_checks import (
    MAX_SHOWN,
    bad,
    name,
    object_,
    objects,
    one_of,
    optional_bool,
    optional_object,
    optional_text,
    text,
)
from gateway.types import Document, Image, Opaque, Part, Reasoning, Text, ToolCall, ToolResult, VendorBlock

Block = dict[str, Any]
Losses = list[tuple[str, str]]  # see types.Request.left_out

ENVELOPE = "gw1."
SPOKEN = ("text", "image", "document", "search_result")
_SPACE = re.compile(r"\s+")
_IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")


def read_cache(block: Block, param: str) -> dict[str, Any] | None:
    return optional_object(block.get("cache_control"), f"{param}.cache_control")


def spoken(value: object, param: str, losses: Losses) -> list[Part]:
    """What a user or a tool shows: a string, or an array of blocks that are text, images, documents or search results."""
    if isinstance(value, str):
        return [Text(value)]
    return [part for block, place in _placed(value, param) for part in spoken_block(block, place, losses)]


def texts(value: object, param: str) -> list[Text]:
    """A string, or an array of text blocks and nothing else (the system's words)."""
    if isinstance(value, str):
        return [Text(value)]
    found = []
    for block, place in _placed(value, param):
        one_of(block.get("type"), f"{place}.type", ("text",))
        found.append(_text(block, place))
    return found


def _placed(value: object, param: str) -> list[tuple[Block, str]]:
    return [(block, f"{param}.{place}") for place, block in enumerate(objects(value, param))]


def spoken_block(block: Block, param: str, losses: Losses) -> Sequence[Part]:
    """Raises BadRequest for a block that nobody but an assistant may give, or of an unknown type."""
    kind = text(block.get("type"), f"{param}.type")
    reader = _SPOKEN.get(kind)
    if reader is None:
        expected = ", ".join(f"'{known}'" for known in _SPOKEN)
        found = f"Input tag '{kind[:MAX_SHOWN]}' found using 'type' does not match any of the expected tags: {expected}"
        raise bad(param, found)
    return reader(block, param, losses)


def _text(block: Block, param: str) -> Text:
    return Text(text(block.get("text"), f"{param}.text"), read_cache(block, param))


def _texts(block: Block, param: str, losses: Losses) -> Sequence[Part]:
    return [_text(block, param)]


def _image(block: Block, param: str, losses: Losses) -> Sequence[Part]:
    source = object_(block.get("source"), f"{param}.source")
    place, cache = f"{param}.source", read_cache(block, param)
    match one_of(source.get("type"), f"{place}.type", ("base64", "url", "file")):
        case "base64":
            media_type = one_of(source.get("media_type"), f"{place}.media_type", _IMAGE_TYPES)
            return [Image(media_type, _base64(source.get("data"), f"{place}.data"), cache=cache)]
        case "url":
            return [Image(url=name(source.get("url"), f"{place}.url"), cache=cache)]
    # A picture behind an id: only its vendor can look at it, and says by the id whether it is one of its own.
    return [Document("image/*", file_id=name(source.get("file_id"), f"{place}.file_id"), cache=cache)]


def _document(block: Block, param: str, losses: Losses) -> Sequence[Part]:
    source, place = object_(block.get("source"), f"{param}.source"), f"{param}.source"
    cited = optional_object(block.get("citations"), f"{param}.citations")
    if cited is not None and cited.get("enabled") is True:
        losses.append(("citations", "citations_unsupported"))
    title = optional_text(block.get("title"), f"{param}.title") or ""
    context = optional_text(block.get("context"), f"{param}.context")
    before = [Text(context)] if context else []
    kind = one_of(source.get("type"), f"{place}.type", ("base64", "text", "url", "file", "content"))
    cache = read_cache(block, param)
    if kind == "content":
        heading = [Text(title)] if title else []
        return [*before, *heading, *_marked(spoken(source.get("content"), f"{place}.content", losses), cache)]
    document = Document(title=title, cache=cache)
    if kind == "url":
        document.url = name(source.get("url"), f"{place}.url")
    elif kind == "file":
        document.file_id = name(source.get("file_id"), f"{place}.file_id")
    elif kind == "text":
        document.media_type = "text/plain"
        document.text = name(source.get("data"), f"{place}.data")
    else:
        document.media_type = one_of(source.get("media_type"), f"{place}.media_type", ("application/pdf",))
        document.data = _base64(source.get("data"), f"{place}.data")
    return [*before, document]


def _base64(value: object, param: str) -> str:
    """`value` without white space, proven to be base64 that is not empty."""
    compact = _SPACE.sub("", name(value, param))
    try:
        binascii.a2b_base64(compact.encode("ascii"), strict_mode=True)
    except ValueError:
        raise bad(param, "Input should be valid base64") from None
    return compact or name("", param)


def _marked(parts: list[Part], cache: dict[str, Any] | None) -> list[Part]:
    """The cache mark of what became several parts stands on the last of them."""
    last = parts[-1] if parts else None
    if isinstance(last, Text | Image | Document):
        last.cache = last.cache or cache
    return parts


def _search_result(block: Block, param: str, losses: Losses) -> Sequence[Part]:
    title, source = text(block.get("title"), f"{param}.title"), text(block.get("source"), f"{param}.source")
    found = "\n".join(part.text for part in texts(block.get("content"), f"{param}.content"))
    losses.append(("", "search_result_as_text"))
    return [Text(f"[{title}]({source})\n{found}", read_cache(block, param))]


def _upload(block: Block, param: str, losses: Losses) -> Sequence[Part]:
    name(block.get("file_id"), f"{param}.file_id")
    return [VendorBlock(Opaque("anthropic", "server_block", block))]


def _tool_result(block: Block, param: str, losses: Losses) -> Sequence[Part]:
    content, place = block.get("content"), f"{param}.content"
    parts: list[Part] = []
    if isinstance(content, str):
        parts = [Text(content)] if content else []
    elif content is not None:
        parts = [part for inner, at in _placed(content, place) for part in _result_block(inner, at, losses)]
    return [
        ToolResult(
            name(block.get("tool_use_id"), f"{param}.tool_use_id"),
            parts,
            is_error=optional_bool(block.get("is_error"), f"{param}.is_error") or False,
            cache=read_cache(block, param),
        )
    ]


def _result_block(block: Block, param: str, losses: Losses) -> Sequence[Part]:
    kind = text(block.get("type"), f"{param}.type")
    if kind == "tool_reference":  # of a tool search: what was found is offered in `tools` anyway
        return [Text(name(block.get("tool_name"), f"{param}.tool_name"))]
    if kind == "browser_state":
        return [Text(msgspec.json.encode(block).decode())]
    return spoken_block(block, param, losses) if kind in SPOKEN else _misplaced(kind, param)


def _misplaced(kind: str, param: str) -> Sequence[Part]:
    raise bad(param, f"`{kind[:MAX_SHOWN]}` blocks are not allowed inside `tool_result`")


_SPOKEN: dict[str, Callable[[Block, str, Losses], Sequence[Part]]] = {
    "text": _texts,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
    "tool_result": _tool_result,
    "container_upload": _upload,
}


def assistant_block(block: Block, arguments: str, param: str, losses: Losses) -> Sequence[Part]:
    """What an assistant said, thought, called, or did on its vendor's side. `arguments`: the JSON text of a call's input."""
    match text(block.get("type"), f"{param}.type"):
        case "text":
            return _texts(block, param, losses)
        case "tool_use":
            object_(block.get("input"), f"{param}.input")
            return [ToolCall(name(block.get("id"), f"{param}.id"), name(block.get("name"), f"{param}.name"), arguments)]
        case "thinking":
            return [_thought(block, param)]
        case "redacted_thinking":
            return [Reasoning(opaque=_opaque("redacted_thinking", block, text(block.get("data"), f"{param}.data")))]
        case "image" | "document" | "search_result":
            return spoken_block(block, param, losses)
        case "tool_result":
            raise bad(param, "`tool_result` blocks can only be in `user` messages")
    losses.append(("", "server_block_hidden"))
    return [VendorBlock(Opaque("anthropic", "server_block", block), _summary(block))]


def _thought(block: Block, param: str) -> Reasoning:
    said = text(block.get("thinking"), f"{param}.thinking")
    signature = optional_text(block.get("signature"), f"{param}.signature") or ""
    return Reasoning(said, _opaque("thinking", block, signature) if signature else None)


def _opaque(kind: str, block: Block, text_: str) -> Opaque:
    if text_.startswith(ENVELOPE):
        return Opaque("gateway", "sealed", text_)
    return Opaque("anthropic", kind, block)


def _summary(block: Block) -> str:
    """What others are told of a server's work: the pages a search found, the text that stands for a compacted history."""
    content = block.get("content")
    if block.get("type") == "compaction":
        return content if isinstance(content, str) else ""
    if block.get("type") != "web_search_tool_result" or not isinstance(content, list):
        return ""
    pages = [page for page in content if isinstance(page, dict) and isinstance(page.get("url"), str)]
    return "\n".join(f"[{page.get('title') or ''}]({page['url']})" for page in pages)

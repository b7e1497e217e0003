"""The messages of a Messages request as Anthropic reads them: roles, blocks, pairing of tool_use and tool_result, media."""

from __future__ import annotations

import re
from typing import Any

import orjson
from msgspec import Struct, field

from gateway.simulator import media
from gateway.simulator.anthropic_errors import refused
from gateway.simulator.anthropic_fields import missing, only, typed
from gateway.simulator.anthropic_models import NEW_VERSION, Rules
from gateway.simulator.anthropic_thinking import Checker
from gateway.simulator.model import Result
from gateway.simulator.tokens import count, image

ID = re.compile(r"[a-zA-Z0-9_-]+\Z")
IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
KEYS: dict[str, frozenset[str]] = {
    "text": frozenset({"type", "text", "cache_control", "citations"}),
    "image": frozenset({"type", "source", "cache_control", "transformations"}),
    "document": frozenset({"type", "source", "title", "context", "citations", "cache_control"}),
    "search_result": frozenset({"type", "source", "title", "content", "citations", "cache_control"}),
    "tool_use": frozenset({"type", "id", "name", "input", "cache_control", "caller", "toolset_name"}),
    "tool_result": frozenset({"type", "tool_use_id", "content", "is_error", "cache_control", "toolset_name"}),
    "thinking": frozenset({"type", "thinking", "signature"}),
    "redacted_thinking": frozenset({"type", "data"}),
}
ALLOWED: dict[str, frozenset[str]] = {
    "user": frozenset({"text", "image", "document", "search_result", "tool_result"}),
    "assistant": frozenset({"text", "thinking", "redacted_thinking", "tool_use", "document"}),
    "system": frozenset({"text"}),
    "tool_result": frozenset({"text", "image", "document", "search_result"}),
}
MAX_CACHE_MARKS = 4


class Talk(Struct):
    """What was read: the last thing the user said, media in words, the results at the end, the tokens of everything."""

    prompt: str = ""
    follow: str = ""
    seen: list[str] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    tokens: int = 0
    marks: int = 0


class Reader:
    """Walks the messages; `open` are the tool_use ids that the very next message must answer."""

    def __init__(self, rules: Rules, version: str, checker: Checker) -> None:
        self.rules, self.version, self.checker = rules, version, checker
        self.talk = Talk()
        self._open: dict[str, str] = {}
        self._ids: set[str] = set()

    def read(self, messages: list[Any], paused: bool = False) -> Talk:
        """Check and read a conversation; `paused`: its end is a turn to go on with. Raises Refused."""
        for place, message in enumerate(messages):
            self._message(message, place, messages)
        self._check_open(len(messages))
        if not paused:
            self._check_end(messages[-1])
        if self.talk.marks > MAX_CACHE_MARKS:
            raise refused(f"A maximum of 4 blocks with cache_control may be provided. Found {self.talk.marks}.")
        return self.talk

    def system(self, system: Any) -> None:
        """The top-level system prompt: a text, or text blocks."""
        if isinstance(system, str):
            self.talk.tokens += count(system)
        for place, block in enumerate(system if isinstance(system, list) else []):
            self._block(block, "system", f"system.{place}", 0)

    # ------------------------------------------------------------ turns

    def _message(self, message: Any, place: int, messages: list[Any]) -> None:
        path = f"messages.{place}"
        typed(message, dict, path)
        only(message, frozenset({"role", "content"}), path)
        for name in ("role", "content"):
            if name not in message:
                raise missing(f"{path}.{name}")
        role = message["role"]
        self._check_role(role, place, messages)
        content = message["content"]
        if not isinstance(content, (str, list)):
            raise refused(f"{path}.content: Input should be a valid list")
        if not content and not (role == "assistant" and place == len(messages) - 1):
            raise refused(
                f"{path}: all messages must have non-empty content except for the optional final assistant message"
            )
        self._turn(role, [{"type": "text", "text": content}] if isinstance(content, str) else content, place)

    def _check_role(self, role: Any, place: int, messages: list[Any]) -> None:
        if role not in ("user", "assistant", "system"):
            raise refused(f"messages.{place}.role: Input should be 'user', 'assistant' or 'system'")
        if role == "system":
            if not self.rules.mid_system:
                raise refused(f"messages.{place}.role: role 'system' is not supported on this model")
            if place == 0 or messages[place - 1].get("role") not in ("user", "system"):
                raise refused(f"messages.{place}: a 'system' message must directly follow a 'user' message")
        elif place == 0 and role != "user":
            raise refused('messages: first message must use the "user" role')

    def _turn(self, role: str, blocks: list[Any], place: int) -> None:
        if role == "user":
            self._user(blocks, place)
        else:
            self._check_open(place)
            for number, block in enumerate(blocks):
                self._block(block, role, f"messages.{place}.content.{number}", place)
        if role == "assistant":
            self.talk.results, self.talk.seen, self.talk.follow = [], [], ""

    def _user(self, blocks: list[Any], place: int) -> None:
        texts: list[str] = []
        results: list[Result] = []
        self.talk.seen = []
        for number, block in enumerate(blocks):
            path = f"messages.{place}.content.{number}"
            if isinstance(block, dict) and block.get("type") == "tool_result":
                if texts or self.talk.seen:
                    # Results come first; with text before them Anthropic does not find them.
                    self._check_open(place)
                results.append(self._result(block, path, place))
            else:
                texts.append(self._block(block, "user", path, place))
        self._check_open(place)
        said = " ".join(filter(None, texts))
        self.talk.results, self.talk.follow = results, said if results else ""
        self.talk.prompt = said or (self.talk.prompt if results else "")

    def _check_open(self, place: int) -> None:
        if self._open:
            ids = ", ".join(self._open)
            raise refused(
                f"messages.{place - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: {ids}. "
                "Each `tool_use` block must have a corresponding `tool_result` block in the next message."
            )

    def _check_end(self, last: dict[str, Any]) -> None:
        if last["role"] != "assistant":
            return
        if not self.rules.prefill:
            raise refused(
                "This model does not support assistant message prefill. The conversation must end with a user message."
            )
        content = last["content"]
        text = content if isinstance(content, str) else content[-1].get("text", "") if content else ""
        if text != text.rstrip():
            raise refused("messages: final assistant content cannot end with trailing whitespace")

    # ------------------------------------------------------------ blocks

    def _block(self, block: Any, where: str, path: str, place: int) -> str:
        """Check one block and return the text it says."""
        typed(block, dict, path)
        kind = block.get("type")
        if kind is None:
            raise missing(f"{path}.type")
        typed(kind, str, f"{path}.type")
        if where == "assistant" and (kind == "server_tool_use" or kind.endswith("_tool_result")):
            self.talk.tokens += count(orjson.dumps(block).decode())
            return ""
        if kind not in ALLOWED[where]:
            listed = ", ".join(f"'{name}'" for name in sorted(ALLOWED[where]))
            raise refused(
                f"{path}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {listed}"
            )
        only(block, KEYS[kind], f"{path}.{kind}")
        self.talk.marks += block.get("cache_control") is not None
        match kind:
            case "text":
                return self._text(block, where, path)
            case "thinking" | "redacted_thinking":
                self._thinking(block, kind, path, place)
            case "tool_use":
                self._call(block, f"{path}.tool_use")
            case "image":
                self.talk.seen.append(self._image(block, f"{path}.image"))
            case _:
                self._document(block, where, path)
        return ""

    def _text(self, block: dict[str, Any], where: str, path: str) -> str:
        if "text" not in block:
            raise missing(f"{path}.text.text")
        text: str = typed(block["text"], str, f"{path}.text.text")
        if where != "tool_result" and not text:
            raise refused(f"{path.partition('.')[0]}: text content blocks must be non-empty")
        if where != "tool_result" and not text.strip():
            raise refused(f"{path.partition('.')[0]}: text content blocks must contain non-whitespace text")
        if where == "user" and block.get("citations") and self.version == NEW_VERSION:
            raise refused(f"{path}.text.citations: citations are not permitted in user messages")
        self.talk.tokens += count(text)
        return text

    def _thinking(self, block: dict[str, Any], kind: str, path: str, place: int) -> None:
        for name in ("thinking", "signature") if kind == "thinking" else ("data",):
            if name not in block:
                raise missing(f"{path}.{kind}.{name}")
            typed(block[name], str, f"{path}.{kind}.{name}")
        if kind == "redacted_thinking":
            # The simulator never redacts, so no such block can be one of its own.
            raise refused(f"{path}: Invalid `data` in `redacted_thinking` block")
        if self.checker.check(block, place, path):
            self.talk.tokens += count(block["thinking"])

    def _call(self, block: dict[str, Any], path: str) -> None:
        for name in ("id", "name", "input"):
            if name not in block:
                raise missing(f"{path}.{name}")
        if not isinstance(block["id"], str) or not ID.match(block["id"]):
            raise refused(f"{path}.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
        if not isinstance(block["name"], str) or not 1 <= len(block["name"]) <= 200:
            raise refused(f"{path}.name: String should have between 1 and 200 characters")
        if not isinstance(block["input"], dict):
            raise refused(f"{path}.input: Input should be a valid dictionary")
        if block["id"] in self._ids:
            raise refused("messages: `tool_use` ids must be unique")
        self._ids.add(block["id"])
        self._open[block["id"]] = block["name"]
        self.talk.tokens += count(block["name"]) + count(orjson.dumps(block["input"]).decode())

    def _result(self, block: dict[str, Any], path: str, place: int) -> Result:
        only(block, KEYS["tool_result"], f"{path}.tool_result")
        id = block.get("tool_use_id")
        if not isinstance(id, str):
            raise missing(f"{path}.tool_result.tool_use_id")
        if id not in self._open:
            raise refused(
                f"{path}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have a "
                "corresponding `tool_use` block in the previous message."
            )
        self.talk.marks += block.get("cache_control") is not None
        content = block.get("content") or []
        if isinstance(content, str):
            self.talk.tokens += count(content)
            text = content
        else:
            inner = f"{path}.tool_result.content"
            parts = [
                self._block(part, "tool_result", f"{inner}.{number}", place)
                for number, part in enumerate(typed(content, list, inner))
            ]
            text = " ".join(filter(None, [*parts, *self.talk.seen]))
            self.talk.seen = []
        return Result(self._open.pop(id), text, failed=block.get("is_error") is True)

    # ------------------------------------------------------------ media

    def _image(self, block: dict[str, Any], path: str) -> str:
        source = self._source(block, path)
        match source.get("type"):
            case "base64":
                return self._base64_image(source, f"{path}.source.base64")
            case "url":
                self.talk.tokens += image(str(source.get("url", "")))
                return "I see an image by its URL."
            case "file":
                return f"I see the image {source.get('file_id')}."
        raise refused(
            f"{path}.source: Input tag '{source.get('type')}' found using 'type' does not match any of the expected tags: 'base64', 'url', 'file'"
        )

    def _source(self, block: dict[str, Any], path: str) -> dict[str, Any]:
        if "source" not in block:
            raise missing(f"{path}.source")
        source: dict[str, Any] = typed(block["source"], dict, f"{path}.source")
        return source

    def _base64_image(self, source: dict[str, Any], path: str) -> str:
        only(source, frozenset({"type", "media_type", "data"}), path)
        if source.get("media_type") not in IMAGE_TYPES:
            raise refused(f"{path}.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'")
        data = typed(source.get("data"), str, f"{path}.data")
        self.talk.tokens += image(data)
        try:
            return media.look(media.decode(data), source["media_type"]).said
        except media.BadMedia as bad:
            said = {
                "base64": f"{path}.data: Invalid base64 data",
                "image": "Could not process image",
                "mime": f"{path}: The image was specified using the {source['media_type']} media type, but the image appears to be a {bad.found} image",
            }
            raise refused(said[bad.reason]) from None

    def _document(self, block: dict[str, Any], where: str, path: str) -> None:
        if where == "assistant" and self.version == NEW_VERSION:
            raise refused(f"{path}: `document` blocks are not permitted in assistant messages")
        if block["type"] == "search_result":
            self.talk.tokens += count(orjson.dumps(block).decode())
            return
        source = self._source(block, f"{path}.document")
        match source.get("type"):
            case "base64":
                self._pdf(source, f"{path}.document.source.base64")
            case "text":
                self.talk.tokens += count(typed(source.get("data"), str, f"{path}.document.source.text.data"))
                self.talk.seen.append(f"I read a text document of {len(source['data'])} characters.")
            case "url" | "file" | "content":
                self.talk.seen.append("I see a document.")
            case other:
                raise refused(
                    f"{path}.document.source: Input tag '{other}' found using 'type' does not match any of the expected tags"
                )

    def _pdf(self, source: dict[str, Any], path: str) -> None:
        if source.get("media_type") != "application/pdf":
            raise refused(f"{path}.media_type: Input should be 'application/pdf'")
        try:
            raw = media.decode(typed(source.get("data"), str, f"{path}.data"))
        except media.BadMedia:
            raise refused(f"{path}.data: Invalid base64 data") from None
        if not raw.startswith(b"%PDF"):
            raise refused("The PDF specified was not valid.")
        self.talk.tokens += len(raw) // 64
        self.talk.seen.append(f"I see a PDF document of {len(raw)} bytes.")

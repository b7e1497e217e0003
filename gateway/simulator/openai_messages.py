"""The messages of a chat completion as OpenAI reads them: shapes, pairing of tool calls and results, media."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from gateway.simulator.model import Result
from gateway.simulator.openai_errors import refused
from gateway.simulator.openai_fields import missing, wrong_type, wrong_value
from gateway.simulator.openai_media import decoded, picture
from gateway.simulator.tokens import count, image

ROLES = ("system", "assistant", "user", "function", "tool", "developer")
KEYS: dict[str, frozenset[str]] = {
    "system": frozenset({"role", "content", "name"}),
    "developer": frozenset({"role", "content", "name"}),
    "user": frozenset({"role", "content", "name"}),
    "tool": frozenset({"role", "content", "tool_call_id"}),
    "function": frozenset({"role", "content", "name"}),
    # annotations come with an answer, and clients send answers back as they are.
    "assistant": frozenset(
        {"role", "content", "name", "refusal", "audio", "tool_calls", "function_call", "annotations"}
    ),
}
PARTS: dict[str, tuple[str, ...]] = {
    "system": ("text",),
    "developer": ("text",),
    "tool": ("text",),
    "function": ("text",),
    "assistant": ("text", "refusal"),
    "user": ("text", "image_url", "input_audio", "file"),
}


class Talk(Struct):
    """What was read: the last user message's text, its media in words, results at the end, all texts' tokens."""

    prompt: str = ""
    seen: list[str] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    tokens: int = 0
    words: list[str] = field(default_factory=list)

    def said(self, word: str) -> bool:
        """Whether any message contains a word, in any case."""
        return any(word in text.lower() for text in self.words)


def read_messages(messages: list[Any]) -> Talk:
    """Check and read a conversation. Raises Refused."""
    if not messages:
        raise refused(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            "messages",
            "empty_array",
        )
    reader = Reader()
    for place, message in enumerate(messages):
        reader.read(message, place)
    reader.answered(len(messages))
    return reader.talk


class Reader:
    """Walks the messages; knows which tool calls still wait for their results."""

    def __init__(self) -> None:
        self.talk = Talk()
        self._waiting: list[str] = []
        self._names: dict[str, str] = {}
        self._calls_at = 0

    def read(self, message: Any, place: int) -> None:
        at = f"messages[{place}]"
        if not isinstance(message, dict):
            raise wrong_type(at, message, dict)
        role = message.get("role")
        if role is None:
            raise refused(f"Missing required parameter: '{at}.role'.", f"{at}.role", "missing_required_parameter")
        if role not in ROLES:
            raise wrong_value(f"{at}.role", role, ROLES)
        for name in message:
            if name not in KEYS[role]:
                raise refused(f"Unknown parameter: '{at}.{name}'.", f"{at}.{name}", "unknown_parameter")
        if role in ("tool", "function"):
            self._result(message, role, place)
            return
        self.answered(place)
        self._message(message, role, place)

    def answered(self, place: int) -> None:
        """Every call must have had its result before anything else is said."""
        if self._waiting:
            ids = ", ".join(self._waiting)
            raise refused(
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
                f"The following tool_call_ids did not have response messages: {ids}",
                f"messages.[{self._calls_at}].role" if place else "messages",
            )

    def _message(self, message: dict[str, Any], role: str, place: int) -> None:
        calling = bool(
            message.get("tool_calls") or message.get("function_call") or message.get("refusal") or message.get("audio")
        )
        self._check_given(message, place, optional=role == "assistant" and calling)
        if role == "user":
            self.talk.prompt, self.talk.seen, self.talk.results = "", [], []
        text = self._content(message.get("content"), role, place)
        if role == "user":
            self.talk.prompt = text
        if role == "assistant":
            self.talk.results = []
            self._calls(message, place)

    def _check_given(self, message: dict[str, Any], place: int, optional: bool) -> None:
        if message.get("content") is None and not optional:
            raise refused("Invalid value for 'content': expected a string, got null.", f"messages.[{place}].content")

    def _calls(self, message: dict[str, Any], place: int) -> None:
        calls = message.get("tool_calls")
        self._calls_at = place
        if calls is not None and not isinstance(calls, list):
            raise wrong_type(f"messages[{place}].tool_calls", calls, list)
        if calls == []:
            raise refused(
                f"Invalid 'messages[{place}].tool_calls': empty array. Expected an array with minimum length 1, but got an empty array instead.",
                f"messages[{place}].tool_calls",
                "empty_array",
            )
        for number, call in enumerate(calls or []):
            self._call(call, f"messages[{place}].tool_calls[{number}]")
        legacy = message.get("function_call")
        if isinstance(legacy, dict):
            self._count(str(legacy.get("name", "")), str(legacy.get("arguments", "")))

    def _call(self, call: Any, at: str) -> None:
        if not isinstance(call, dict):
            raise wrong_type(at, call, dict)
        for name in ("id", "type"):
            if not isinstance(call.get(name), str):
                raise (
                    missing(f"{at}.{name}") if call.get(name) is None else wrong_type(f"{at}.{name}", call[name], str)
                )
        kind = call["type"]
        if kind not in ("function", "custom"):
            raise wrong_value(f"{at}.type", kind, ("function", "custom"))
        inner, content = call.get(kind), "arguments" if kind == "function" else "input"
        if not isinstance(inner, dict):
            raise missing(f"{at}.{kind}")
        for name in ("name", content):
            if not isinstance(inner.get(name), str):
                raise (
                    missing(f"{at}.{kind}.{name}")
                    if inner.get(name) is None
                    else wrong_type(f"{at}.{kind}.{name}", inner[name], str)
                )
        if len(call["id"]) > 40:
            raise refused(
                f"Invalid '{at}.id': string too long. Expected a string with maximum length 40, but got a string with length {len(call['id'])} instead.",
                f"{at}.id",
                "string_above_max_length",
            )
        self._waiting.append(call["id"])
        self._names[call["id"]] = inner["name"]
        self._count(inner["name"], inner[content])

    def _result(self, message: dict[str, Any], role: str, place: int) -> None:
        text = self._content(message.get("content") or "", role, place)
        if role == "function":
            self.talk.results.append(Result(str(message.get("name", "")), text))
            return
        id = message.get("tool_call_id")
        if not isinstance(id, str):
            raise missing(f"messages[{place}].tool_call_id")
        if id not in self._waiting:
            raise refused(
                "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
                f"messages.[{place}].role",
            )
        self._waiting.remove(id)
        self.talk.results.append(Result(self._names[id], text))

    # ------------------------------------------------------------ content

    def _content(self, content: Any, role: str, place: int) -> str:
        if content is None:
            return ""
        if isinstance(content, str):
            self._count(content)
            return content
        if not isinstance(content, list):
            raise refused(
                f"Invalid type for 'messages[{place}].content': expected one of a string or array of objects, but got {type(content).__name__} instead.",
                f"messages[{place}].content",
                "invalid_type",
            )
        if not content:
            at = f"messages[{place}].content"
            raise refused(
                f"Invalid '{at}': empty array. Expected an array with minimum length 1, but got an empty array instead.",
                at,
                "empty_array",
            )
        return " ".join(
            filter(
                None,
                (self._part(part, role, f"messages[{place}].content[{number}]") for number, part in enumerate(content)),
            )
        )

    def _part(self, part: Any, role: str, at: str) -> str:
        if not isinstance(part, dict):
            raise wrong_type(at, part, dict)
        kind = part.get("type")
        if kind not in PARTS[role]:
            raise refused(
                f"Invalid value: '{kind}'. Supported values are: {', '.join(repr(name) for name in PARTS[role])}.",
                at,
                "invalid_value",
            )
        value = part.get(kind)
        if not isinstance(value, str if kind in ("text", "refusal") else dict):
            raise (
                missing(f"{at}.{kind}")
                if value is None
                else wrong_type(f"{at}.{kind}", value, str if kind in ("text", "refusal") else dict)
            )
        if isinstance(value, str):
            self._count(value)
            return value
        self.talk.seen.append(self._medium(kind, value, at))
        return ""

    def _medium(self, kind: str, value: dict[str, Any], at: str) -> str:
        if kind == "image_url":
            return self._image(value.get("url"), at)
        data = str(value.get("data") or value.get("file_data") or "")
        self.talk.tokens += count(data) // 16
        if kind == "input_audio":
            if value.get("format") not in ("wav", "mp3"):
                raise wrong_value(f"{at}.input_audio.format", value.get("format"), ("wav", "mp3"))
            return f"I hear {value['format']} audio of {len(decoded(data, at))} bytes."
        if not data and not value.get("file_id"):
            raise missing(f"{at}.file.file_id")
        size = f"of {len(decoded(data.rpartition(',')[2], at))} bytes" if data else str(value["file_id"])
        return f"I see a file {size}."

    def _image(self, url: Any, at: str) -> str:
        if not isinstance(url, str):
            raise missing(f"{at}.image_url.url") if url is None else wrong_type(f"{at}.image_url.url", url, str)
        self.talk.tokens += image(url)
        return picture(url, f"{at}.image_url.url")

    def _count(self, *texts: str) -> None:
        self.talk.tokens += sum(count(text) for text in texts)
        self.talk.words += texts

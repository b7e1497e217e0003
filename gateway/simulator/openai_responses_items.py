"""The input of a response as OpenAI reads it: items of every kind, calls with their outputs, thoughts with what they led to."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.simulator.model import Result
from gateway.simulator.openai_errors import refused
from gateway.simulator.openai_fields import missing, wrong_type, wrong_value
from gateway.simulator.openai_media import decoded, picture
from gateway.simulator.openai_messages import Talk
from gateway.simulator.openai_responses_thoughts import check_thought, not_kept
from gateway.simulator.openai_schema import only
from gateway.simulator.replies import Refused
from gateway.simulator.shelf import Shelf
from gateway.simulator.tokens import count, image

ROLES = ("assistant", "system", "developer", "user")
KEYS: dict[str, frozenset[str]] = {
    "message": frozenset({"type", "role", "content", "id", "status", "phase"}),
    "reasoning": frozenset({"type", "id", "summary", "content", "encrypted_content", "status"}),
    "function_call": frozenset(
        {"type", "id", "call_id", "name", "arguments", "status", "namespace", "async", "caller"}
    ),
    "function_call_output": frozenset({"type", "id", "call_id", "output", "status", "name", "namespace", "caller"}),
    "custom_tool_call": frozenset({"type", "id", "call_id", "name", "input", "status", "namespace", "async", "caller"}),
    "custom_tool_call_output": frozenset({"type", "id", "call_id", "output", "status", "caller"}),
    "item_reference": frozenset({"type", "id"}),
}
# Items of tools that OpenAI runs itself, and of what is not simulated: taken as they are.
OTHERS = frozenset(
    {
        *("file_search_call", "computer_call", "computer_call_output", "web_search_call", "tool_search_call"),
        *("tool_search_output", "additional_tools", "configuration_update", "compaction", "image_generation_call"),
        *("code_interpreter_call", "local_shell_call", "local_shell_call_output", "shell_call", "shell_call_output"),
        *("apply_patch_call", "apply_patch_call_output", "mcp_list_tools", "mcp_approval_request", "program"),
        *("mcp_approval_response", "mcp_call", "program_output"),
    }
)
PREFIXES = {"message": "msg", "reasoning": "rs", "function_call": "fc", "custom_tool_call": "ctc"}
STATUSES = ("in_progress", "completed", "incomplete")
PARTS = {"user": ("input_text", "input_image", "input_file"), "assistant": ("output_text", "refusal")}
MAX_CALL_ID = 64


def read_items(items: list[Any], model: str, shelf: Shelf) -> Reader:
    """Check and read an input. Raises Refused."""
    reader = Reader(model, shelf)
    for place, item in enumerate(items):
        reader.read(item, f"input[{place}]")
    reader.end()
    return reader


class Reader:
    """Walks the items. `talk`: what was said; `transformations`: thoughts that were left out."""

    def __init__(self, model: str, shelf: Shelf) -> None:
        self.talk = Talk()
        self.transformations: list[dict[str, Any]] = []
        self._model, self._shelf = model, shelf
        self._names: dict[tuple[str, str], str] = {}
        self._waiting: list[tuple[str, str]] = []
        self._thought: str | None = None  # a reasoning item that must be followed by what it led to

    def read(self, item: Any, at: str) -> None:
        if not isinstance(item, dict):
            raise wrong_type(at, item, dict)
        kind = _kind(item, at)
        if kind in OTHERS:
            self._count(orjson.dumps(item).decode())
            self._thought = None
            return
        only(item, KEYS[kind], at)
        _check_id(item, kind, at)
        if "status" in item and item["status"] not in STATUSES:
            raise wrong_value(f"{at}.status", item["status"], STATUSES)
        match kind:
            case "message":
                self._message(item, at)
            case "reasoning":
                self._reasoning(item, at)
            case "item_reference":
                self._reference(item, at)
            case "function_call" | "custom_tool_call":
                self._call(item, kind, at)
            case _:
                self._output(item, kind.removesuffix("_output"), at)

    def end(self) -> None:
        """Nothing may be left waiting."""
        self._led_to(None)
        for kind, call_id in self._waiting:
            said = "function call" if kind == "function_call" else "custom tool call"
            raise refused(f"No tool output found for {said} {call_id}.", "input")

    # ------------------------------------------------------------ items

    def _message(self, item: dict[str, Any], at: str) -> None:
        role = item.get("role")
        if role is None:
            raise missing(f"{at}.role")
        if role not in ROLES:
            raise wrong_value(f"{at}.role", role, ROLES)
        self._led_to(role)
        if role in ("user", "assistant"):
            self.talk.results = []
        if role == "user":
            self.talk.prompt, self.talk.seen = "", []
        content = item.get("content")
        if content is None:
            raise missing(f"{at}.content")
        text = self._content(content, role, f"{at}.content")
        if role == "user":
            self.talk.prompt = text

    def _reasoning(self, item: dict[str, Any], at: str) -> None:
        left_out = check_thought(item, at, self._model, self._shelf)
        if left_out is not None:
            self.transformations.append(left_out)
        else:
            self._count(*(str(part.get("text", "")) for part in item["summary"] if isinstance(part, dict)))
        self._thought = str(item.get("id") or at)

    def _reference(self, item: dict[str, Any], at: str) -> None:
        id = item.get("id")
        if not isinstance(id, str):
            raise missing(f"{at}.id") if id is None else wrong_type(f"{at}.id", id, str)
        kept = self._shelf.item(id)
        if kept is None:
            raise not_kept(id)
        self.read(kept, at)

    def _call(self, item: dict[str, Any], kind: str, at: str) -> None:
        self._led_to("assistant")
        content = "arguments" if kind == "function_call" else "input"
        for name in ("call_id", "name", content):
            if not isinstance(item.get(name), str):
                raise missing(f"{at}.{name}") if item.get(name) is None else wrong_type(f"{at}.{name}", item[name], str)
        if len(item["call_id"]) > MAX_CALL_ID:
            raise refused(
                f"Invalid '{at}.call_id': string too long. Expected a string with maximum length {MAX_CALL_ID}, but got a string with length {len(item['call_id'])} instead.",
                f"{at}.call_id",
                "string_above_max_length",
            )
        key = (kind, item["call_id"])
        self.talk.results = []
        self._names[key] = item["name"]
        self._waiting.append(key)
        self._count(item["name"], item[content])

    def _output(self, item: dict[str, Any], kind: str, at: str) -> None:
        self._led_to("tool")
        call_id = item.get("call_id")
        if not isinstance(call_id, str):
            raise missing(f"{at}.call_id") if call_id is None else wrong_type(f"{at}.call_id", call_id, str)
        key = (kind, call_id)
        if key not in self._names:
            said = "function call output" if kind == "function_call" else "custom tool call output"
            raise refused(f"No tool call found for {said} with call_id {call_id}.", "input")
        if key in self._waiting:
            self._waiting.remove(key)
        if item.get("output") is None:
            raise missing(f"{at}.output")
        text = self._content(item["output"], "user", f"{at}.output")
        self.talk.results.append(Result(self._names[key], text))

    def _led_to(self, role: str | None) -> None:
        """A thought must stand right before what came of it: something that the assistant said or called."""
        if self._thought is not None and role != "assistant":
            raise refused(
                f"Item '{self._thought}' of type 'reasoning' was provided without its required following item.", "input"
            )
        self._thought = None

    # ------------------------------------------------------------ content

    def _content(self, content: Any, role: str, at: str) -> str:
        if isinstance(content, str):
            self._count(content)
            return content
        if not isinstance(content, list):
            raise refused(
                f"Invalid type for '{at}': expected one of an array of objects or string, but got {type(content).__name__} instead.",
                at,
                "invalid_type",
            )
        said = [self._part(part, role, f"{at}[{place}]") for place, part in enumerate(content)]
        return " ".join(filter(None, said))

    def _part(self, part: Any, role: str, at: str) -> str:
        if not isinstance(part, dict):
            raise wrong_type(at, part, dict)
        allowed = PARTS.get(role, PARTS["user"])
        kind = part.get("type")
        if kind is None:
            raise missing(f"{at}.type")
        if kind not in allowed:
            raise wrong_value(at, kind, allowed)
        if kind in ("input_text", "output_text", "refusal"):
            name = "refusal" if kind == "refusal" else "text"
            if not isinstance(part.get(name), str):
                raise missing(f"{at}.{name}") if part.get(name) is None else wrong_type(f"{at}.{name}", part[name], str)
            self._count(part[name])
            return str(part[name])
        self.talk.seen.append(self._image(part, at) if kind == "input_image" else self._file(part, at))
        return ""

    def _image(self, part: dict[str, Any], at: str) -> str:
        url = part.get("image_url")
        if url is None and isinstance(part.get("file_id"), str):
            return f"I see an image {part['file_id']}."
        if not isinstance(url, str):
            raise missing(f"{at}.image_url") if url is None else wrong_type(f"{at}.image_url", url, str)
        self.talk.tokens += image(url)
        return picture(url, f"{at}.image_url")

    def _file(self, part: dict[str, Any], at: str) -> str:
        data = part.get("file_data")
        if data is None:
            found = part.get("file_url") or part.get("file_id")
            if not isinstance(found, str):
                raise missing(f"{at}.file_id")
            return f"I see a file {found}."
        if not isinstance(data, str):
            raise wrong_type(f"{at}.file_data", data, str)
        if not data.startswith("data:"):
            raise refused(
                f"Invalid '{at}.file_data'. Expected a base64-encoded data URL with an application/pdf MIME type (e.g. "
                "'data:application/pdf;base64,aGVsbG8='), but got a value without the 'data:' prefix.",
                f"{at}.file_data",
                "invalid_value",
            )
        self.talk.tokens += count(data) // 16
        return f"I see a file of {len(decoded(data.rpartition(',')[2], at))} bytes."

    def _count(self, *texts: str) -> None:
        self.talk.tokens += sum(count(text) for text in texts)
        self.talk.words += texts


def _kind(item: dict[str, Any], at: str) -> str:
    """The type of an item; a message and a reference need not say theirs."""
    kind = item.get("type")
    if kind is None:
        return "item_reference" if set(item) <= {"type", "id"} and "id" in item else "message"
    if isinstance(kind, str) and (kind in KEYS or kind in OTHERS):
        return kind
    raise wrong_value(f"{at}.type", kind, tuple(KEYS))


def _check_id(item: dict[str, Any], kind: str, at: str) -> None:
    id, prefix = item.get("id"), PREFIXES.get(kind)
    if id is None or prefix is None:
        return
    if not isinstance(id, str):
        raise wrong_type(f"{at}.id", id, str)
    if not id.startswith(prefix):
        raise _wrong_id(id, prefix, at)


def _wrong_id(id: str, prefix: str, at: str) -> Refused:
    return refused(
        f"Invalid '{at}.id': '{id}'. Expected an ID that begins with '{prefix}'.", f"{at}.id", "invalid_value"
    )

"""A conversation as Anthropic's system and messages: who speaks when, and in which order the blocks of a turn stand.

Rule 1: only the leading run of system messages goes to the top. A later one stays where it is: hoisting it would change the
prefix of every following request, which costs the cache and breaks replayed thinking.
Rule 2: turns alternate. A user turn begins with the results of the calls before it, in the order of the calls, and only then
comes what the user says; Anthropic refuses any other order.
Rule 3: nothing depends on what follows, except the white space at the end of an answer to be continued.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct, field

from gateway.dialects.anthropic_blocks import (
    Block,
    assistant_block,
    content_block,
    legal_id,
    own,
    result_block,
    text_block,
)
from gateway.dialects.anthropic_tools import Toolbox
from gateway.types import (
    Audio,
    Document,
    Image,
    Message,
    Notes,
    Part,
    Reasoning,
    Target,
    Text,
    ToolCall,
    ToolResult,
    Unsupported,
    VendorBlock,
)

EMPTY = "(empty)"
CONTINUED = "(continued)"
NO_RESULT = "[no result]"
_INSTRUCTING = ("system", "developer")
THOUGHTS = ("thinking", "redacted_thinking")


class Conversation(Struct):
    """`replayed`: Anthropic's own thoughts are among the blocks."""

    system: list[Block] = field(default_factory=list)
    messages: list[Block] = field(default_factory=list)
    replayed: bool = False

    def thoughtless_tool_loop(self) -> bool:
        """Whether the last answer called tools without a thought before: models with manual thinking refuse to go on so."""
        answers = [message for message in self.messages if message["role"] == "assistant"]
        kinds = [block["type"] for block in answers[-1]["content"]] if answers else []
        return "tool_use" in kinds and not any(kind in THOUGHTS for kind in kinds)


def torn(messages: list[Message]) -> bool:
    """Whether some answers came back with their thoughts and others with nothing but the text of theirs.

    A model that checks thoughts against everything before them misses the ones between: then none are sent.
    """
    answers = [[part for part in message.parts if isinstance(part, Reasoning)] for message in messages]
    kept = [any(own(thought.opaque) for thought in thoughts) for thoughts in answers if thoughts]
    lost = [all(thought.opaque is None for thought in thoughts) for thoughts in answers if thoughts]
    return any(kept) and any(lost)


def converse(messages: list[Message], box: Toolbox, target: Target, notes: Notes, *, replay: bool) -> Conversation:
    """Translate all messages; `replay` says whether thoughts are sent back. Raises Unsupported naming messages[i]."""
    turns = _Turns(box, target, notes, replay)
    system: list[Block] = []
    leading = True
    for index, message in enumerate(messages):
        if leading and message.role in _INSTRUCTING:
            system += _instructions(message, index)
            continue
        leading = False
        turns.add(message, index)
    turns.finish(len(messages) - 1)
    if turns.messages:
        return Conversation(system, turns.messages, turns.replayed)
    # Anthropic wants at least one message: instructions alone are what the user says.
    return Conversation([], [{"role": "user", "content": system or [_must(EMPTY)]}])


def plain_talk(messages: list[Message]) -> Conversation | None:
    """What `converse` makes of people and models who only write to each other, which is most of what is said; None for anything else."""
    system: list[Block] = []
    turns: list[Block] = []
    open_ = ""
    for message in messages:
        role, parts = message.role, message.parts
        if len(parts) != 1 or type(parts[0]) is not Text or message.name:
            return None
        said = parts[0]
        if not said.text or said.text.isspace() or said.cache is not None or said.opaque is not None:
            return None
        block = {"type": "text", "text": said.text}
        if role == open_:
            turns[-1]["content"].append(block)
        elif role == "user" or (role == "assistant" and open_):
            turns.append({"role": role, "content": [block]})
            open_ = role
        elif role in _INSTRUCTING and not open_:
            system.append(block)
        else:
            return None
    return Conversation(system, turns) if open_ == "user" else None


def _must(text: str) -> Block:
    return {"type": "text", "text": text}


def _spoken(message: Message, index: int) -> list[Block]:
    """The blocks of what a user or the system says; a speaker's name goes before the first text."""
    parts, name = message.parts, message.name
    if len(parts) == 1 and type(parts[0]) is Text and not name:  # nearly always
        said = text_block(parts[0].text, parts[0].cache)
        return [] if said is None else [said]
    blocks: list[Block] = []
    for j, part in enumerate(parts):
        block = content_block(part, f"messages[{index}].content[{j}]")
        if block is None:
            continue
        if name and block["type"] == "text":
            block["text"], name = f"{name}: {block['text']}", ""
        blocks.append(block)
    return blocks


def _instructions(message: Message, index: int) -> list[Block]:
    blocks = _spoken(message, index)
    for block in blocks:
        if block["type"] != "text":
            problem = "system messages can only hold text with this provider"
            raise Unsupported(f"messages[{index}]", problem, "unsupported_content")
    return blocks


class _Turns:
    """Builds alternating turns. `_calls` are the last answer's calls by id, each with its result once there is one."""

    def __init__(self, box: Toolbox, target: Target, notes: Notes, replay: bool) -> None:
        self.messages: list[Block] = []
        self.replayed = False
        self._box, self._notes, self._replay = box, notes, replay
        self._mid_system = target.abilities.mid_system
        self._prefill = target.abilities.prefill
        self._repair = target.translation.repair_history
        self._open = ""  # whose turn is being built: user, assistant, system
        self._blocks: list[Block] = []
        self._calls: dict[str, Block | None] = {}
        self._carried: list[Block] = []  # what an assistant showed and only a user may: goes to the next user turn

    def add(self, message: Message, index: int) -> None:
        role = message.role
        if role == "assistant":
            self._assistant(message, index)
        elif role in _INSTRUCTING:
            self._system(message, index)
        else:
            self._user(message, index)

    def finish(self, last: int) -> None:
        """Close the last turn. An answer at the end is to be continued, where the model does that."""
        if self._open == "assistant":
            self._settle_calls(last)
        if self._open == "assistant":
            self._continued(last)
        self._turn("", last)

    def _continued(self, index: int) -> None:
        place = f"messages[{index}]"
        if not self._prefill:
            message = "this model does not continue an answer: the last message must not be the assistant's"
            raise Unsupported(place, message, "prefill_not_supported")
        if self._carried:
            raise Unsupported(place, "an answer to be continued can only hold text", "unsupported_content")
        last = self._blocks[-1]
        if last["type"] == "text":
            self._blocks[-1] = {**last, "text": last["text"].rstrip()}

    def _user(self, message: Message, index: int) -> None:
        if self._open != "user":
            self._turn("user", index)
        for j, part in enumerate(message.parts):
            if type(part) is ToolResult:
                self._result(part, f"messages[{index}].content[{j}]")
        self._blocks += _spoken(message, index)

    def _result(self, result: ToolResult, place: str) -> None:
        id_ = legal_id(result.call_id)
        if id_ in self._calls and self._calls[id_] is None:
            self._calls[id_] = result_block(result, place)
        elif self._repair:
            self._notes.warn("tool_result_dropped")
        else:
            message = "messages with role 'tool' must be a response to a preceding message with 'tool_calls'"
            raise Unsupported(f"{place}.tool_call_id", f"{message}: {result.call_id!r}", "invalid_request")

    def _system(self, message: Message, index: int) -> None:
        blocks = _instructions(message, index)
        unanswered = None in self._calls.values()
        if not blocks:
            return
        if self._mid_system and self._open in ("user", "system") and not unanswered:
            self._turn("system", index)
            self._blocks += blocks
            return
        self._turn("user", index)
        self._notes.warn("system_message_inlined")
        for block in blocks:
            self._blocks.append({**block, "text": f"<system-message>{block['text']}</system-message>"})

    def _assistant(self, message: Message, index: int) -> None:
        parts = message.parts
        blocks = [
            block for j, part in enumerate(parts) for block in self._said(part, f"messages[{index}].content[{j}]")
        ]
        if blocks:
            if self._open == "assistant":
                self._settle_calls(index)
            self._turn("assistant", index)
            self._blocks += blocks
            calls = [legal_id(part.id) for part in parts if isinstance(part, ToolCall)]
            self._calls.update(dict.fromkeys(calls))
        for j, part in enumerate(parts):
            if isinstance(part, Image | Document | Audio):
                self._show(part, f"messages[{index}].content[{j}]", alone=not blocks)

    def _said(self, part: Part, place: str) -> Iterator[Block]:
        if isinstance(part, Reasoning) and not self._replay:
            return
        if isinstance(part, VendorBlock) and part.opaque.kind == "audio":
            raise Unsupported(place, "an earlier spoken answer cannot be sent to this provider", "unsupported_content")
        block = assistant_block(part, self._box, self._notes)
        if block is not None:
            self.replayed = self.replayed or block["type"] in THOUGHTS
            yield block

    def _show(self, part: Part, place: str, alone: bool) -> None:
        """What only a user may show: it goes to the next user turn, which is this one when there is no turn between them."""
        block = content_block(part, place)
        if block is not None:
            self._notes.warn("assistant_content_moved")
            (self._blocks if alone and self._open == "user" else self._carried).append(block)

    def _settle_calls(self, index: int) -> None:
        """An answer's calls must be answered before anybody else speaks."""
        if None not in self._calls.values():
            return
        place = f"messages[{index}]"
        if not self._repair:
            missing = ", ".join(id_ for id_, result in self._calls.items() if result is None)
            message = "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'."
            raise Unsupported(place, f"{message} Without a response: {missing}", "invalid_request")
        if self._open == "assistant":
            self._turn("user", index)
        self._notes.warn("tool_result_missing")
        for id_, result in self._calls.items():
            if result is None:
                lost = ToolResult(id_, [Text(NO_RESULT)], is_error=True)
                self._calls[id_] = result_block(lost, place)

    def _turn(self, role: str, index: int) -> None:
        """Go on with `role`: the same turn, or close the one before and begin a new one."""
        if role == self._open:
            return
        if self._open == "user" and (self._calls or self._carried):
            self._settle_calls(index)
            results = [result for result in self._calls.values() if result is not None]
            self._blocks = results + self._carried + self._blocks
            self._calls, self._carried = {}, []
        if self._open:
            self.messages.append({"role": self._open, "content": self._blocks or [_must(EMPTY)]})
        elif role == "assistant":
            self.messages.append({"role": "user", "content": [_must(CONTINUED)]})
            self._notes.warn("user_turn_prepended")
        self._open, self._blocks = role, []

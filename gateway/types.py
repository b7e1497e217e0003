"""The vocabulary: what the rooms say to each other.

Pure values without behaviour of their own. A request of any dialect becomes a `Request`, an answer of any dialect a `Reply`,
a piece of a stream an `Event`; what a vendor gave us to keep and hand back (signatures, encrypted reasoning) is `Opaque`.

Rule 1: tokens are whole numbers. `Usage.input` contains cached tokens, `Usage.output` contains reasoning tokens.
Rule 2: tool arguments are JSON *text*, byte for byte as the model wrote it; nobody parses and writes them again without need.
Rule 3: lists keep the order of the wire. Translation only appends, so that turn N is a prefix of turn N+1.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from msgspec import Meta, Struct, field, structs

from gateway.errors import Fault, FaultKind

Role = Literal["system", "developer", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


# ---------------------------------------------------------------- content


class Opaque(Struct, frozen=True):
    """Something only its maker can read, to be replayed verbatim to the same vendor and to nobody else.

    vendor: "anthropic" | "google" | "openai". kind: "thinking", "redacted_thinking", "thought_signature",
    "encrypted_content", "server_block", "text" (a text block with its citations). data: the vendor's own JSON value; for
    Anthropic's kinds the whole content block.
    """

    vendor: str
    kind: str
    data: Any


class Text(Struct):
    text: str
    cache: dict[str, Any] | None = None  # Anthropic's cache_control, kept as it came
    annotations: list[Any] | None = None  # OpenAI's annotation objects
    opaque: Opaque | None = None


class Image(Struct):
    """Either `data` (base64 without white space, with `media_type`) or `url`."""

    media_type: str = ""
    data: str = ""
    url: str = ""
    detail: str = ""
    cache: dict[str, Any] | None = None


class Document(Struct):
    """One of `data` (base64), `text` (plain text), `url`, `file_id`."""

    media_type: str = ""
    data: str = ""
    text: str = ""
    url: str = ""
    file_id: str = ""
    title: str = ""
    cache: dict[str, Any] | None = None


class Audio(Struct):
    format: str
    data: str


class Reasoning(Struct):
    """What the model thought: `text` to show, `opaque` to replay. Without `opaque` it cannot be replayed."""

    text: str = ""
    opaque: Opaque | None = None


class Refusal(Struct):
    text: str


class ToolCall(Struct):
    """`arguments` is JSON text; for a custom (free-form) tool it is the raw input string."""

    id: str
    name: str
    arguments: str
    custom: bool = False
    opaque: Opaque | None = None


class ToolResult(Struct):
    call_id: str
    parts: list[Part]
    name: str = ""
    is_error: bool = False
    cache: dict[str, Any] | None = None


class VendorBlock(Struct):
    """A content block without a counterpart elsewhere (server tools, compaction): replayed to its vendor, hidden from others.

    `summary`: what of it others are told, as text; "" when nothing.
    """

    opaque: Opaque
    summary: str = ""


Part = Text | Image | Document | Audio | Reasoning | Refusal | ToolCall | ToolResult | VendorBlock


class Message(Struct):
    role: Role
    parts: list[Part]
    name: str = ""


# ---------------------------------------------------------------- request


class Tool(Struct):
    """`parameters` is a JSON Schema, or None when the client gave none. `native` is a vendor's own tool object, verbatim;
    where it comes with `parameters`, the client runs it, and other vendors can offer it as a function.
    """

    name: str
    description: str = ""
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    custom: bool = False
    grammar: dict[str, Any] | None = None
    native: dict[str, Any] | None = None
    cache: dict[str, Any] | None = None
    optional: bool = False  # a `native` tool that may be left out, with a note, where it has no counterpart


class ToolChoice(Struct):
    """mode named: exactly `names[0]`. mode allowed_auto / allowed_required: only `names`."""

    mode: Literal["auto", "none", "required", "named", "allowed_auto", "allowed_required"]
    names: list[str] = field(default_factory=list)


class ResponseFormat(Struct):
    kind: Literal["text", "json_object", "json_schema"]
    schema: dict[str, Any] | None = None
    name: str = ""
    description: str = ""
    strict: bool | None = None


class Request(Struct, kw_only=True):
    """One chat request, of whatever dialect it came in. None or empty means: the client did not say."""

    model: str
    messages: list[Message]
    max_tokens: int | None = None
    stream: bool = False
    include_usage: bool = False
    echo: Any = None  # what the client's own dialect wants back when it writes the answer (Echo.request)
    # From here on: what makes a request more than plain.
    tools: list[Tool] = field(default_factory=list)
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    legacy_functions: bool = False  # the client used the deprecated `functions` and wants that shape back
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: list[str] = field(default_factory=list)
    seed: int | None = None
    n: int = 1
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    format: ResponseFormat | None = None
    effort: str | None = None
    thinking: dict[str, Any] | None = None  # Anthropic's own `thinking` object given on any surface: wins over `effort`
    verbosity: str | None = None
    user: str | None = None
    safety_identifier: str | None = None
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)  # top-level fields without a place here, by wire name
    unportable: list[str] = field(default_factory=list)  # fields that mean something at the client's own vendor only
    left_out: list[tuple[str, str]] = field(default_factory=list)  # (parameter or "", code): what reading lost already
    show_thoughts: bool | None = None  # whether the client wants to see thoughts (Gemini's includeThoughts)

    @property
    def plain(self) -> bool:
        """Whether nothing is said but the model, the messages, a limit, and how to answer. Most requests are plain."""
        return structs.astuple(self)[_PLAIN:] == _UNSAID


_PLAIN = Request.__struct_fields__.index("tools")
_UNSAID = structs.astuple(Request(model="", messages=[]))[_PLAIN:]


class Notes(Struct):
    """What a translation left out or changed. `dropped`: parameters by their Chat names, or the client's own; `warnings`: codes (docs/api.md).

    With `strict` a translator raises `UnsupportedParameter` instead of adding to `dropped`; call `drop()` and it does so.
    """

    strict: bool = False
    dropped: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def drop(self, name: str, code: str = "") -> None:
        """Record that parameter `name` is not sent; raises UnsupportedParameter when the client asked for strictness."""
        if self.strict:
            from_strict(name)
        if name not in self.dropped:
            self.dropped.append(name)
        if code:
            self.warn(code)

    def warn(self, code: str) -> None:
        """Record that something was emulated or changed, by its code."""
        if code not in self.warnings:
            self.warnings.append(code)

    def take_over(self, request: Request) -> None:
        """Note what was lost when `request` was read, before it is written for another vendor.

        Raises Unsupported for fields that only the client's own vendor can follow.
        """
        for name in request.unportable:
            raise Unsupported(name)
        for name, code in request.left_out:
            if name:
                self.drop(name, code)
            else:
                self.warn(code)


OutputCap = Literal["max_completion_tokens", "max_tokens"]


class Abilities(Struct, frozen=True, kw_only=True):
    """What an upstream model takes. Data from config/models.yaml; an unknown model has those of the newest of its family."""

    max_output: int | None = None
    context: int | None = None
    sampling: Literal["ok", "default_only", "ignored", "reject"] = "ok"
    sampling_at_effort_none: bool = False  # sampling is "ok" when, and only when, the effort is none (OpenAI)
    penalties: bool = True
    thinking_types: tuple[str, ...] = ()  # of adaptive, enabled, disabled, between_tools (Anthropic)
    effort_levels: tuple[str, ...] = ()
    default_thinking: bool = False
    forced_tool_choice: bool = True
    prefill: bool = True
    mid_system: bool = False
    structured_outputs: bool = True
    preserved_thinking: bool = False
    thinking_levels: tuple[str, ...] = ()  # Gemini 3: minimal, low, medium, high
    thinking_budget: bool = False  # Gemini 2.5: an integer budget instead of levels
    requires_signature: bool = False
    candidate_count: bool = True
    logprobs: bool = True  # tells log probabilities (Gemini)
    tools_with_schema: bool = True  # JSON schema output together with tools
    json_schema_fields: bool = True  # takes JSON Schema as it is (Gemini before 2.5: only a subset of OpenAPI's)
    reasoning: bool = False  # takes reasoning_effort (OpenAI)
    reasoning_summaries: bool = True  # shows its thoughts (OpenAI: to organizations that it has verified)
    output_cap: OutputCap = "max_completion_tokens"  # how a Chat body spells its output cap for this model
    custom_tools: bool = True  # takes free-form tools; without them they are functions of one string
    requires_responses: bool = False  # takes tools on /v1/responses only (OpenAI)
    cache_breakpoints: bool = False  # takes marks of what to cache on parts of messages (OpenAI)
    chat_tools_effort_none: bool = False  # takes tools on /v1/chat/completions only with the effort none (OpenAI)
    default_effort: str | None = None  # the effort when none is asked for
    image_input: bool = True
    pdf_input: bool = True
    audio_input: bool = True
    embedding_dimensions: int | None = None  # the model embeds, and this is the size of its vectors
    embedding_sizes: bool = True  # gives shorter vectors when asked for them


class Translation(Struct, frozen=True, kw_only=True):
    """The operator's choices in translating (gateway.yaml: translation)."""

    anthropic_sampling: Literal["legacy", "drop"] = "legacy"
    repair_history: bool = False
    fanout_n: bool = False
    forced_tool: Literal["emulate", "auto", "reject"] = "emulate"
    auto_cache: bool = False
    expose_reasoning: bool = True
    expose_opaque: bool = False
    model_echo: Literal["requested", "upstream"] = "requested"


class Target(Struct, frozen=True):
    """To whom a request is written: the upstream's name of the model, what it can do, and the operator's choices."""

    model: str
    abilities: Abilities
    translation: Translation = Translation()


class Written(Struct):
    """A request in a provider's dialect: the body, and headers that this very body needs (for example anthropic-version).

    `undo` is what the same dialect needs to turn the answer back into the client's terms (renamed or emulated tools); it is
    handed to `read_reply` and `reader` as it is, and None when the answer needs nothing.
    """

    body: bytes
    headers: list[tuple[str, str]] = field(default_factory=list)
    undo: Any = None


# ---------------------------------------------------------------- answer

MAX_COUNT = 2**53  # the largest whole number that every reader of JSON reads alike
Count = typing.Annotated[
    int, Meta(ge=-MAX_COUNT, le=MAX_COUNT)
]  # of tokens, as a vendor reports it; what is beyond is no count


class Modalities(Struct, frozen=True):
    """Tokens by what they stand for; 0 where the vendor says nothing of a kind."""

    text: int = 0
    image: int = 0
    audio: int = 0

    def plus(self, other: Modalities) -> Modalities:
        return Modalities(self.text + other.text, self.image + other.image, self.audio + other.audio)


class Usage(Struct, frozen=True):
    """Tokens. `input` includes cache_read and cache_write; `output` includes reasoning. `total` as reported, else the sum.

    cache_write_1h: of cache_write, what is kept for an hour. input_by, read_by, output_by: `input`, `cache_read` and `output` by
    modality, None where the vendor does not tell. own: the vendor's own usage object under its name, as values for JSON, for
    clients that reckon with what has no place here.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0
    total: int = 0
    cache_write_1h: int = 0
    input_by: Modalities | None = None
    read_by: Modalities | None = None
    output_by: Modalities | None = None
    own: dict[str, Any] | None = None


class Continue(Struct, frozen=True):
    """An answer that its vendor broke off, to be asked at once for the rest: same vendor, same credential, same path.

    body, headers: of the next request (headers are those of Written). undo: for `read_reply` or `reader` of the next answer,
    once; it carries what was said so far. The last answer of the chain is whole: its parts and events go on where the one before
    stopped, its usage is the sum. The dialects end a chain by themselves after their vendor's number of hops, with "length".
    """

    body: bytes
    headers: list[tuple[str, str]]
    undo: Any


class Choice(Struct):
    parts: list[Part]
    finish: FinishReason | None
    index: int = 0
    stop_sequence: str | None = None
    logprobs: Any = None
    searches: list[str] = field(default_factory=list)  # what the vendor searched the web for, and says in no block


class Reply(Struct):
    """One whole answer. `created` is unix seconds, 0 when the vendor gives none. `usage` None when the vendor reported none."""

    id: str
    model: str
    choices: list[Choice]
    usage: Usage | None
    created: int = 0
    service_tier: str | None = None
    again: Continue | None = None  # not the end yet: as long as it is not continued, the answer says that it was cut


# ---------------------------------------------------------------- stream events


class Start(Struct):
    """The upstream's stream began. Not content: commits nothing."""

    content: ClassVar[bool] = False
    id: str
    model: str
    created: int = 0


class TextDelta(Struct):
    content: ClassVar[bool] = True
    text: str
    choice: int = 0
    logprobs: Any = None


class ReasoningDelta(Struct):
    content: ClassVar[bool] = True
    text: str
    choice: int = 0


class ReasoningDone(Struct):
    """A finished thought with what is needed to replay it; `part.text` repeats the deltas since the last one."""

    content: ClassVar[bool] = True
    part: Reasoning
    choice: int = 0


class RefusalDelta(Struct):
    content: ClassVar[bool] = True
    text: str
    choice: int = 0


class ToolStart(Struct):
    """`index` counts the tool calls of a choice densely from 0 in order of appearance."""

    content: ClassVar[bool] = True
    index: int
    id: str
    name: str
    choice: int = 0
    custom: bool = False
    opaque: Opaque | None = None


class ToolDelta(Struct):
    content: ClassVar[bool] = True
    index: int
    arguments: str
    choice: int = 0


class ImageDone(Struct):
    """A picture the model made, whole."""

    content: ClassVar[bool] = True
    image: Image
    choice: int = 0


class BlockDone(Struct):
    """A finished block that only its vendor reads (server tools, compaction): clients do not see it, it is kept for replay.

    Of kind "text" it is the last text once more, with what its vendor wants back beside it (citations).
    """

    content: ClassVar[bool] = False
    block: VendorBlock
    choice: int = 0


class Annotated(Struct):
    content: ClassVar[bool] = False
    annotations: list[Any]
    choice: int = 0
    searches: tuple[str, ...] = ()  # see Choice


class Finished(Struct):
    """A choice came to its end. Content only when the reason tells the client something an empty answer would not."""

    content: ClassVar[bool] = False
    reason: FinishReason
    choice: int = 0
    stop_sequence: str | None = None


class UsageSeen(Struct):
    """Usage so far; later ones replace earlier ones."""

    content: ClassVar[bool] = False
    usage: Usage


class Paused(Struct):
    """The vendor's own end of this stream, but not of the answer, which goes on in another one. The last event of its reader."""

    content: ClassVar[bool] = False
    again: Continue


class Failed(Struct):
    """The upstream broke its own stream: an error event, or bytes that end without the vendor's clean ending.

    kind is one of the words of `errors.FaultKind`; `message` is the vendor's text, may be empty.
    """

    content: ClassVar[bool] = False
    kind: str
    message: str = ""
    status: int | None = None


class Ended(Struct):
    """The vendor's own clean end of the stream. Always the last event; never after Failed."""

    content: ClassVar[bool] = False


Event = (
    Start
    | TextDelta
    | ReasoningDelta
    | ReasoningDone
    | RefusalDelta
    | ToolStart
    | ToolDelta
    | ImageDone
    | BlockDone
    | Annotated
    | Finished
    | UsageSeen
    | Paused
    | Failed
    | Ended
)


class Echo(Struct):
    """What an answer must repeat of its request: ids, the model's name as the client shall see it, the shapes it asked for."""

    id: str  # our own id for this answer, for vendors that give none: 24 hex characters
    model: str
    created: int
    include_usage: bool = False
    legacy_functions: bool = False
    expose_reasoning: bool = True
    expose_opaque: bool = False  # blocks of tools that a vendor ran are shown, where the dialect has a place for them
    named_tool: bool = False  # a named tool was forced: OpenAI then finishes with "stop"
    seal: Callable[[list[Opaque]], str] | None = (
        None  # another vendor's opaque things as one text; None: leave them out
    )
    request: Any = None  # Request.echo
    previous: str = ""  # the id of the answer that this one continues (Responses)
    array: bool = False  # stream as one JSON array instead of events (Gemini without alt=sse)


class Glance(Struct):
    """What is read from a whole answer that passes through untouched."""

    usage: Usage | None
    empty: bool  # a 200 with nothing in it
    finish: str | None = None


# ---------------------------------------------------------------- the two halves of a dialect


class StreamReader(Protocol):
    """Upstream bytes to events. The same events however the bytes are cut."""

    def feed(self, data: bytes) -> list[Event]: ...

    def eof(self) -> list[Event]:
        """The upstream closed: Ended was given before, or is given now where the wire has no end mark, else Failed."""
        ...


class StreamWriter(Protocol):
    """Events to the client's bytes. May return b"". After Ended, all is said; `error` replaces the clean ending."""

    def write(self, events: list[Event]) -> bytes: ...

    def error(self, error: ClientError) -> bytes: ...


class Tap(Protocol):
    """Stands beside a stream whose bytes pass through untouched, and reads what the gateway must know.

    feed() returns the bytes to forward: the very same object unless something must be swallowed.
    """

    content: bool  # a content event has passed
    usage: Usage | None
    finish: str | None
    failed: Failed | None
    ended: bool
    output_bytes: int  # bytes of generated content so far, an upper bound; for streams that never report usage

    def feed(self, data: bytes) -> bytes: ...

    def eof(self) -> bytes:
        """The upstream closed: what is still to be forwarded. Where the wire has no end mark, `ended` or `failed` is set now."""
        ...


class ClientError(Protocol):
    """What a dialect needs of an error to write it (see errors.GatewayError)."""

    status: int
    type: str
    code: str | None
    param: str | None
    message: str
    request_id: str
    attempts: list[dict[str, Any]] | None
    retry_after_s: float | None


class Peek(Struct):
    """What admission needs of a request body, read from its top level only. `model` "" means the client named none."""

    model: str
    stream: bool
    max_tokens: int | None = None  # the client's output cap, whichever spelling
    n: int = 1
    include_usage: bool = False
    has_temperature: bool = False
    preferred: str = ""  # a provider that the body prefers (native API)
    session: str = ""  # a conversation's name in the body (native API)
    old_cap: bool = False  # the cap is spelled max_tokens, which newer models of OpenAI refuse
    foreign: bool = False  # another vendor's thoughts may be in it, which `Passthrough.change` takes out
    around: bytes = b""  # of a long body what stands around its messages; b"": look at all of it
    media: bytes = b""  # of a long body all that may hold media, files or tools; b"": look at all of it
    warms: bool = False  # nothing is to be said: the cache of the client's own vendor is to be filled


class Change(Struct, frozen=True):
    """What the gateway changes in a body that otherwise passes through untouched. None means: leave as it is."""

    model: str | None = None
    max_tokens: int | None = None  # add an output cap (the client gave none)
    temperature: float | None = None  # add a default (the client gave none)
    include_usage: bool = False  # ask for usage in a stream although the client did not
    output_cap: OutputCap = "max_completion_tokens"  # the spelling that the model takes


class EmbeddingRequest(Struct):
    model: str
    inputs: list[str]
    token_inputs: list[list[int]] | None = None
    dimensions: int | None = None
    base64: bool = False
    task_type: str | None = None
    title: str | None = None
    user: str | None = None


class EmbeddingReply(Struct):
    model: str
    vectors: list[list[float]]
    usage: Usage | None
    again: Continue | None = None  # not all inputs yet: the rest goes out in another request


SAME: Mapping[str, str] = MappingProxyType({})  # the words of Chat itself
COMMENT = b": ping\n\n"  # of server-sent events: heard by nobody, and keeps a connection open


class ClientHalf(Protocol):
    """A dialect as a client speaks it. Implemented by the same object as ProviderHalf where both exist."""

    name: str
    ping: bytes  # what a stream says between two frames while nothing else is said
    words: Mapping[str, str]  # its own for the fields that have others in Chat, by their Chat names

    def peek(self, body: bytes) -> Peek:
        """Read the top level. Raises BadRequest (code invalid_json when it is no JSON object)."""
        ...

    def read_request(self, body: bytes) -> Any:
        """Read all of it: a Request, or an EmbeddingRequest where vectors are asked for. Raises BadRequest naming the place;
        never anything else, whatever the bytes."""
        ...

    def write_reply(self, reply: Any, echo: Echo) -> bytes:
        """A Reply, or an EmbeddingReply, as the client has it."""
        ...

    def writer(self, echo: Echo) -> StreamWriter: ...

    def write_error(self, error: ClientError) -> bytes: ...

    def retold(self, refused: Unsupported, body: bytes) -> Unsupported:
        """A provider's refusal of the request that `body` is, its place spelled as the client spelled it."""
        ...


class ProviderHalf(Protocol):
    """A dialect as a provider speaks it. What its client half reads (Request, EmbeddingRequest) it writes."""

    name: str

    def write_request(self, request: Any, target: Target, notes: Notes) -> Written:
        """Raises Unsupported when the target cannot take something that must not be dropped. Never changes `request`."""
        ...

    def read_reply(self, body: bytes, undo: Any = None) -> Any:
        """Read a whole answer: a Reply or an EmbeddingReply; `undo` is that of the Written it answers. Raises BadReply, never anything else."""
        ...

    def reader(self, undo: Any = None) -> StreamReader:
        """A reader for one stream; `undo` is that of the Written it answers."""
        ...


@runtime_checkable
class Passthrough(Protocol):
    """What a dialect offers when client and provider both speak it: bytes stay bytes."""

    name: str

    def change(self, body: bytes, peek: Peek, change: Change) -> bytes:
        """The body with only the named places changed: key order, number spelling and white space stay."""
        ...

    def glance(self, body: bytes) -> Glance:
        """Read usage and emptiness of a whole answer. Raises BadReply."""
        ...

    def tap(self, swallow_usage: bool) -> Tap:
        """A reader beside a stream; with `swallow_usage` the client did not ask for the usage frame and does not get it."""
        ...


class SameWords:
    """Of a dialect whose fields have the names that refusals use, and no places inside messages."""

    words = SAME

    def retold(self, refused: Unsupported, body: bytes) -> Unsupported:
        return refused


class NoStreams(SameWords):
    """The stream side of a dialect that has none. Its `peek` never says stream, so nobody asks for these."""

    ping = b""

    def writer(self, echo: Echo) -> StreamWriter:
        raise TypeError("this dialect has no streams")

    def reader(self, undo: Any = None) -> StreamReader:
        raise TypeError("this dialect has no streams")

    def tap(self, swallow_usage: bool) -> Tap:
        raise TypeError("this dialect has no streams")


class OnlyPassed(NoStreams):
    """The translating side of a dialect whose bytes only ever pass through: no other dialect has anything like it."""

    def read_request(self, body: bytes) -> Any:
        raise TypeError("this dialect is not translated")

    def write_request(self, request: Any, target: Target, notes: Notes) -> Written:
        raise TypeError("this dialect is not translated")

    def read_reply(self, body: bytes, undo: Any = None) -> Any:
        raise TypeError("this dialect is not translated")

    def write_reply(self, reply: Any, echo: Echo) -> bytes:
        raise TypeError("this dialect is not translated")


class Vendor(Protocol):
    """How to reach a vendor and what its failures mean (providers/). Stateless; the settings are arguments."""

    type: str
    base_url: str  # the vendor's own

    def half(self, client: str) -> ProviderHalf | None:
        """The dialect to speak with it on behalf of a client of the dialect named `client`: the client's own where it can be.

        None: it has nothing of that kind (embeddings, say).
        """
        ...

    def looks(self, client: str, abilities: Abilities) -> tuple[bytes, ...]:
        """When `pick` has to see the request, because the vendor takes it in one dialect or another by what it holds: if one of
        these stands in the body. Empty: never."""
        ...

    def pick(self, client: str, request: Request, abilities: Abilities) -> ProviderHalf:
        """The dialect for this very request of such a client, where it `looks`."""
        ...

    def count(self, request: Request, target: Target) -> tuple[str, Written] | None:
        """The path and body of a question how many tokens a request has; None: this vendor does not tell. Raises Unsupported."""
        ...

    def read_count(self, body: bytes) -> int:
        """The tokens in the answer to it. Raises BadReply."""
        ...

    def path(self, model: str, stream: bool, dialect: str) -> str:
        """What is appended to the base URL for a call in the dialect of that name; the model's name is percent-encoded where it is part of it."""
        ...

    def headers(self, api_key: str) -> list[tuple[str, str]]:
        """The credential and the fixed headers, lower-case names, built anew for each deployment."""
        ...

    def family(self, model: str) -> bool:
        """Whether an unlisted model name belongs to this vendor by its spelling (gpt-*, claude-*, gemini-*)."""
        ...

    def fault(self, status: int, headers: dict[str, str], body: bytes) -> Fault:
        """What an error answer means. Header names are lower-case. `body` may be anything.

        With a status of 2xx `body` is an error inside an answer that said all was well: what it says itself decides.
        """
        ...

    def stream_fault(self, failed: Failed) -> Fault:
        """What an error event inside a 200 stream means."""
        ...


def from_strict(name: str) -> None:
    """Raise the refusal that `x-gateway-strict: 1` asks for."""
    raise Unsupported(name)


class Unsupported(Exception):
    """A parameter or content that the chosen upstream cannot take. `param` is its place in the request (core/places.py).

    The pipeline turns it into 400 `unsupported_parameter` (or `code`).
    """

    def __init__(self, param: str, message: str = "", code: str = "unsupported_parameter") -> None:
        super().__init__(message or f"{param} is not supported by the provider chosen for this request")
        self.param = param
        self.code = code
        self.message = str(self)


class BadRequest(Exception):
    """A client's body that cannot be understood. `param` names the place (for example messages[2].content)."""

    def __init__(self, message: str, param: str | None = None, code: str = "invalid_request") -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code


class BadReply(Exception):
    """An upstream's body that cannot be understood; the message is for the log, never for the client.

    kind: one of the words of `errors.FaultKind`, where the body says more than that it is no answer.
    """

    def __init__(self, message: str, kind: FaultKind = "bad_reply") -> None:
        super().__init__(message)
        self.kind: FaultKind = kind

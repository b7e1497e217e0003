"""Tools towards Gemini: function declarations, names it accepts, the choice among them; and how to undo all that in an answer.

All functions go into one `tools` entry; several entries with declarations break some models.
Source: https://ai.google.dev/api/caching#Tool, google-genai's types.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec
from msgspec import Struct

from gateway.core import jsontext
from gateway.dialects.gemini_schema import object_root, to_openapi
from gateway.types import Abilities, Notes, Request, Tool, ToolCall, ToolChoice, Unsupported, Usage

LEGAL = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,127}")
DATED = re.compile(r"_20\d{6}$")
MAX_NAME = 128
MODES = {
    "auto": "AUTO",
    "none": "NONE",
    "required": "ANY",
    "named": "ANY",
    "allowed_auto": "VALIDATED",
    "allowed_required": "ANY",
}
BUILT_IN = {
    "google_search": "googleSearch",
    "google_search_retrieval": "googleSearchRetrieval",
    "url_context": "urlContext",
    "code_execution": "codeExecution",
    "google_maps": "googleMaps",
    "file_search": "fileSearch",
    "computer_use": "computerUse",
    "enterprise_web_search": "enterpriseWebSearch",
}
_NONE: frozenset[str] = frozenset()
CUSTOM_PARAMETERS = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}


class SoFar(Struct, frozen=True):
    """An answer that was paused: how often, with which token at last, and what it used.

    state: what the reader of whole answers, or of streams, goes on with; it is used once.
    """

    hops: int
    token: str
    usage: Usage | None
    state: Any


class Undo(Struct, frozen=True):
    """What was changed about tools, by the names that the model sees.

    names: alias to the client's name. custom: free-form tools, whose only argument is `input`. wrapped: functions whose
    parameters are no object and stand under `value`. sent: the request's body, to be asked once more when the answer pauses.
    so_far: what the answer is the rest of. stops: what ends its text.
    """

    names: dict[str, str]
    custom: frozenset[str]
    wrapped: frozenset[str]
    sent: bytes = b""
    so_far: SoFar | None = None
    stops: tuple[str, ...] = ()


class Toolbox:
    """The request's tools under names that Gemini takes. Names are a function of the request alone, never of chance."""

    def __init__(self, request: Request, abilities: Abilities, notes: Notes) -> None:
        self._abilities = abilities
        self._notes = notes
        self._aliases: dict[str, str] = {}
        self._custom: set[str] = set()
        self._wrapped: set[str] = set()
        self._reserve_legal_names(request)
        self.declarations: list[dict[str, Any]] = []
        self._declared: set[str] = set()
        if not request.tools:
            return
        functions = [tool for tool in request.tools if _is_function(tool)]
        if any(tool.native is not None for tool in functions):
            notes.warn("builtin_tool_emulated")
        _refuse_duplicates(functions)
        self.declarations = [self._declaration(tool) for tool in functions]
        self._declared = {tool.name for tool in functions}

    def alias(self, name: str) -> str:
        """The name that Gemini sees: `name` itself when it is legal, else one that no other tool has."""
        if name not in self._aliases:
            taken = self._aliases.values()
            plain = re.sub(r"[^A-Za-z0-9_.:-]", "_", name)
            plain = (plain if re.match(r"[A-Za-z_]", plain) else f"_{plain}")[:MAX_NAME]
            if plain in taken:
                plain = f"{plain[: MAX_NAME - 9]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
            self._aliases[name] = plain
        return self._aliases[name]

    def undo(self, sent: bytes, stops: tuple[str, ...]) -> Undo:
        """What the answer to the request `sent` needs."""
        if not self._aliases:
            return Undo({}, _NONE, _NONE, sent, stops=stops)
        names = {alias: name for name, alias in self._aliases.items() if alias != name}
        return Undo(names, frozenset(self._custom), frozenset(self._wrapped), sent, stops=stops)

    def arguments(self, call: ToolCall) -> msgspec.Raw | dict[str, Any]:
        """A call of the history as `args`: the client's own JSON object, byte for byte, wherever it is one."""
        alias = self.alias(call.name)
        if call.custom or alias in self._custom:
            return {"input": call.arguments}
        if not call.arguments.strip():
            return {}
        try:
            value = jsontext.decode(call.arguments.encode())
        except jsontext.NotJson:
            # A client may store any text; refusing it would make the conversation unusable for ever.
            self._notes.warn("tool_arguments_unparsable")
            return {"_raw_arguments": call.arguments}
        raw = msgspec.Raw(call.arguments.encode())
        return raw if isinstance(value, dict) and alias not in self._wrapped else {"value": raw}

    def entries(self, request: Request) -> list[dict[str, Any]]:
        """The `tools` of the request: one entry for all functions, then Gemini's own tools."""
        if not (request.tools or request.extra):
            return []
        own = self._own(request, freely=not self.declarations or bool(self._abilities.thinking_levels))
        if request.extra.get("web_search_options") is not None and {"googleSearch": {}} not in own:
            own.append({"googleSearch": {}})
        if own and self.declarations and not self._abilities.thinking_levels:
            raise Unsupported("tools", "This model takes either functions or its own tools (such as search), not both.")
        return ([{"functionDeclarations": self.declarations}] if self.declarations else []) + own

    def _own(self, request: Request, freely: bool) -> list[dict[str, Any]]:
        """Gemini's own tools. Another vendor's without a counterpart goes unless the model must call one; so does what need not
        be there where the model takes functions or its own tools, not both (not `freely`)."""
        choice = request.tool_choice
        forced = choice is not None and choice.mode not in ("auto", "none")
        own: list[dict[str, Any]] = []
        for tool in request.tools:
            if _is_function(tool):
                continue
            if tool.optional and not freely:
                self._notes.drop(f"tools.{tool.name[:64]}", "server_tool_unsupported")
                continue
            try:
                own.append(self._native(tool.native))
            except Unsupported:
                if not tool.optional and (forced or not _is_anthropics(tool.native)):
                    raise
                self._notes.drop(f"tools.{tool.name[:64]}", "server_tool_unsupported")
        return own

    def config(self, request: Request, entries: list[dict[str, Any]]) -> dict[str, Any]:
        """`toolConfig`, {} when nothing is to be said."""
        config: dict[str, Any] = {}
        if not request.tools and request.tool_choice is None:
            return config
        calling = self._calling(request.tool_choice, any(tool.strict for tool in request.tools))
        if calling:
            config["functionCallingConfig"] = calling
        if self.declarations and len(entries) > 1:
            config["includeServerSideToolInvocations"] = True
        if request.parallel_tool_calls is False and self.declarations:
            self._notes.drop("parallel_tool_calls", "parallel_tool_calls_ignored")
        return config

    def _calling(self, choice: ToolChoice | None, strict: bool) -> dict[str, Any]:
        mode = choice.mode if choice else "auto"
        names = choice.names if choice else []
        missing = next((name for name in names if name not in self._declared), None)
        if missing is not None:
            raise Unsupported("tool_choice", f"Tool '{missing}' is not in tools.", "invalid_request")
        if not self.declarations:
            if mode in ("auto", "none"):
                return {}
            raise Unsupported("tool_choice", "tool_choice needs tools.", "invalid_request")
        if mode == "auto" and strict and self._abilities.json_schema_fields:
            return {
                "mode": "VALIDATED"
            }  # free to answer in text, but arguments follow the schema: what strict asks for
        if choice is None:
            return {}
        return {
            "mode": MODES[mode],
            **({"allowedFunctionNames": [self.alias(name) for name in names]} if names else {}),
        }

    def _reserve_legal_names(self, request: Request) -> None:
        """Legal names first, so that an alias never takes the name of another tool; then the rest in the request's order."""
        names = [tool.name for tool in request.tools if _is_function(tool)] if request.tools else []
        for message in request.messages:
            if message.role == "assistant":
                names += [part.name for part in message.parts if isinstance(part, ToolCall)]
        if not names:
            return
        self._aliases.update((name, name) for name in names if LEGAL.fullmatch(name))
        for name in names:
            self.alias(name)

    def _declaration(self, tool: Tool) -> dict[str, Any]:
        name = self.alias(tool.name)
        parameters, wrapped = object_root(CUSTOM_PARAMETERS if tool.custom else tool.parameters)
        if wrapped:
            self._wrapped.add(name)
        description = tool.description
        if tool.custom:
            self._custom.add(name)
            description = _with_grammar(tool)
        made: dict[str, Any] = {"name": name, **({"description": description} if description else {})}
        if parameters is None:
            return made
        if self._abilities.json_schema_fields:
            return {**made, "parametersJsonSchema": {key: parameters[key] for key in parameters if key != "$schema"}}
        subset = to_openapi(parameters, self._notes, param="tools", defaults=False)
        return {**made, **({"parameters": subset} if subset else {})}

    def _native(self, native: dict[str, Any] | None) -> dict[str, Any]:
        """Gemini's own tool in its own spelling. Another vendor's web search becomes Google's; the rest has no counterpart."""
        native = native or {}
        live = native.get("external_web_access") is not False  # else a search that must not reach the web as it is now
        if live and str(native.get("type", "")).startswith("web_search"):
            self._notes.warn("web_search_emulated")
            return {"googleSearch": {}}
        known = {BUILT_IN.get(key, key): value for key, value in native.items()}
        if not known or not set(known) <= set(BUILT_IN.values()):
            raise Unsupported("tools", "This tool belongs to another provider than the one chosen for this request.")
        return known


def _is_function(tool: Tool) -> bool:
    """Whether a tool can be declared as a function: the client's own, or a vendor's that the client runs."""
    return tool.native is None or tool.parameters is not None


def _is_anthropics(native: dict[str, Any] | None) -> bool:
    """A tool with a dated type, as Anthropic names those that it runs itself."""
    return DATED.search(str((native or {}).get("type"))) is not None


def read_call(name: str, arguments: str, undo: Undo | None) -> tuple[str, str, bool]:
    """The client's name, arguments as JSON text (or the raw input of a free-form tool), and whether it is free-form."""
    if undo is None:
        return name, arguments, False
    if name in undo.custom:
        return undo.names.get(name, name), _free_form(_property(arguments, "input")), True
    if name in undo.wrapped:
        arguments = (_property(arguments, "value") or b"null").decode(errors="replace")
    return undo.names.get(name, name), arguments, False


def _property(arguments: str, key: str) -> bytes:
    """One property of a JSON object, as it stands there; b"" when there is none."""
    try:
        return bytes(msgspec.json.decode(arguments, type=dict[str, msgspec.Raw]).get(key, b""))
    except (ValueError, RecursionError):
        return b""


def _free_form(value: bytes) -> str:
    """The text of a JSON string; anything else as it stands."""
    try:
        return msgspec.json.decode(value, type=str)
    except ValueError:
        return value.decode(errors="replace")


def _with_grammar(tool: Tool) -> str:
    grammar = tool.grammar or {}
    definition = grammar.get("definition")
    if not isinstance(definition, str):
        return tool.description
    rule = f"The input must match this {grammar.get('syntax', 'text')} grammar:\n{definition}"
    return f"{tool.description}\n\n{rule}" if tool.description else rule


def _refuse_duplicates(tools: list[Tool]) -> None:
    seen: set[str] = set()
    for index, tool in enumerate(tools):
        if tool.name in seen:
            raise Unsupported(
                f"tools[{index}]", f"Tool names must be unique; '{tool.name}' comes twice.", "invalid_request"
            )
        seen.add(tool.name)

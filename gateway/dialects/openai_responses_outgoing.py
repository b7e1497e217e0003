"""`types.Request` into a Responses body, for clients of another dialect: the models that take tools nowhere else.

Rule 1: the gateway owns the history: `store` is false, and thoughts come back encrypted, to be replayed. Rule 2: `strict` is
always said, because its default differs from Chat's. Rule 3: stop sequences, which the API does not take, are matched in the
answer. Source: openai-python, types/responses/response_create_params.py; the model's limits are data (config/models.yaml).
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.dialects.openai_cache import Marks
from gateway.dialects.openai_effort import effort_of, takes_sampling
from gateway.dialects.openai_responses_turns import write_input
from gateway.dialects.openai_undo import Undo, legal_name
from gateway.types import Abilities, Notes, Request, ResponseFormat, Target, Tool, ToolChoice, Unsupported, Written

Wire = dict[str, Any]

MIN_OUTPUT_TOKENS = 16
_PASSED = ("prompt_cache_key", "prompt_cache_retention", "prompt_cache_options", "moderation", "max_tool_calls")
_SILENT = (
    "store",
    "prediction",
    "modalities",
    "audio",
    "web_search_options",
    "cache_control",
)  # OpenAI caches by itself
_OWN_TOOLS = (
    "web_search", "web_search_preview", "file_search", "code_interpreter", "image_generation", "mcp", "computer",
    "computer_use_preview", "tool_search", "programmatic_tool_calling",
)  # fmt: skip


def write_request(request: Request, target: Target, notes: Notes) -> Written:
    """The body for POST /responses. Raises Unsupported for what must not be dropped."""
    _refuse(request)
    marks = Marks() if target.abilities.cache_breakpoints else None
    instructions, items = write_input(request.messages, target.translation.repair_history, notes, marks)
    wire: Wire = {"model": target.model}
    if instructions:
        wire["instructions"] = instructions
    wire["input"] = items
    names = _write_tools(wire, request, notes)
    effort = effort_of(request, target.abilities, notes)
    _write_limits(wire, request, target.abilities, notes)
    _write_sampling(wire, request, target.abilities, effort, notes)
    _write_thinking(wire, request, target, effort)
    _write_output(wire, request)
    _write_extra(wire, request, notes)
    wire["store"] = False
    if request.stream:
        wire["stream"] = True
        wire["stream_options"] = {"include_obfuscation": False}
    stops = tuple(stop for stop in request.stop if stop)
    if stops:
        notes.warn("stop_emulated")
    return Written(_encoded(wire), undo=Undo(names, stops) if names or stops else None)


def _encoded(wire: Wire) -> bytes:
    try:
        return msgspec.json.encode(wire)
    except (UnicodeError, RecursionError) as error:
        raise Unsupported("messages", f"the request cannot be written as JSON: {error}", "invalid_request") from None


def _refuse(request: Request) -> None:
    """What a caller counts on getting and the API cannot give."""
    if request.n != 1:
        raise Unsupported("n", "This model answers through an API that gives one choice.")
    if request.logit_bias:
        raise Unsupported("logit_bias")
    if request.max_tokens is not None and request.max_tokens < 1:
        raise Unsupported("max_tokens", "This model writes at least one token.")
    modalities = request.extra.get("modalities")
    if request.extra.get("audio") is not None or (isinstance(modalities, list) and "audio" in modalities):
        raise Unsupported("modalities", "Spoken answers are not supported by this model.", "unsupported_content")


def _write_tools(wire: Wire, request: Request, notes: Notes) -> dict[str, str]:
    """The tools and the choice among them. Gives the client's names by those that were changed."""
    forced = request.tool_choice is not None and request.tool_choice.mode not in ("auto", "none")
    written = [_tool(tool, f"tools[{place}]", forced, notes) for place, tool in enumerate(request.tools)]
    tools = [tool for tool in written if tool is not None]
    search = request.extra.get("web_search_options")
    if isinstance(search, dict) and all(tool["type"] != "web_search" for tool in tools):
        tools.append(_search(search))
    if not tools:
        return {}
    wire["tools"] = tools
    if request.tool_choice is not None:
        wire["tool_choice"] = _choice(request.tool_choice, request.tools)
    if request.parallel_tool_calls is not None:
        wire["parallel_tool_calls"] = request.parallel_tool_calls
    return {legal_name(tool.name): tool.name for tool in request.tools if legal_name(tool.name) != tool.name}


def _tool(tool: Tool, param: str, forced: bool, notes: Notes) -> Wire | None:
    if tool.native is not None and not _is_function(tool):
        return _native(tool, param, forced, notes)
    if tool.native is not None:
        notes.warn("builtin_tool_emulated")
    made: Wire = {"type": "custom" if tool.custom else "function", "name": legal_name(tool.name)}
    if tool.description:
        made["description"] = tool.description
    if tool.custom:
        grammar = tool.grammar or {}
        if isinstance(grammar.get("definition"), str):
            made["format"] = {
                "type": "grammar",
                "syntax": grammar.get("syntax", "lark"),
                "definition": grammar["definition"],
            }
        return made
    parameters = tool.parameters or {}
    made["parameters"] = parameters if "type" in parameters else {"type": "object", "properties": {}, **parameters}
    made["strict"] = tool.strict is True
    return made


def _is_function(tool: Tool) -> bool:
    """Whether the model calls it as a function: any but OpenAI's own and searches, also one that another vendor defines."""
    return tool.native is None or (tool.parameters is not None and tool.native.get("type") not in _OWN_TOOLS)


def _native(tool: Tool, param: str, forced: bool, notes: Notes) -> Wire | None:
    """OpenAI's own tool as it is, another vendor's search as OpenAI's. Others are left out: the model is free to do without."""
    native = tool.native or {}
    kind = str(native.get("type", ""))
    if kind in _OWN_TOOLS:
        return native
    if kind.startswith("web_search") or "google_search" in native or "googleSearch" in native:
        notes.warn("web_search_emulated")
        return {"type": "web_search"}
    if tool.optional or not forced:
        notes.drop(f"tools.{kind or tool.name[:64]}", "server_tool_unsupported")
        return None
    raise Unsupported(param, f"the tool '{tool.name[:64]}' belongs to another provider")


def _search(options: Wire) -> Wire:
    made: Wire = {"type": "web_search"}
    if isinstance(options.get("search_context_size"), str):
        made["search_context_size"] = options["search_context_size"]
    place = options.get("user_location")
    if isinstance(place, dict) and isinstance(place.get("approximate"), dict):
        made["user_location"] = {"type": "approximate", **place["approximate"]}
    return made


def _choice(choice: ToolChoice, tools: list[Tool]) -> str | Wire:
    if choice.mode in ("auto", "none", "required"):
        return choice.mode
    by_name = {tool.name: tool for tool in tools}
    named = [_reference(name, by_name.get(name)) for name in choice.names]
    if choice.mode == "named":
        return named[0]
    return {
        "type": "allowed_tools",
        "mode": "auto" if choice.mode == "allowed_auto" else "required",
        "tools": named,
    }


def _reference(name: str, tool: Tool | None) -> Wire:
    if tool is not None and not _is_function(tool):
        return {"type": "web_search_preview" if tool.name.startswith("web_search") else tool.name}
    return {"type": "custom" if tool is not None and tool.custom else "function", "name": legal_name(name)}


def _write_limits(wire: Wire, request: Request, abilities: Abilities, notes: Notes) -> None:
    wanted = request.max_tokens
    if wanted is None:
        return
    if wanted < MIN_OUTPUT_TOKENS:
        notes.warn("max_tokens_raised")
    elif abilities.max_output is not None and wanted > abilities.max_output:
        notes.warn("max_tokens_clamped")
        wanted = abilities.max_output
    wire["max_output_tokens"] = max(wanted, MIN_OUTPUT_TOKENS)


def _write_sampling(wire: Wire, request: Request, abilities: Abilities, effort: str | None, notes: Notes) -> None:
    takes = takes_sampling(abilities, effort)
    for name, value in (("temperature", request.temperature), ("top_p", request.top_p)):
        if value is None:
            continue
        if takes:
            wire[name] = value
        elif value != 1:  # the default says nothing: it is left out without a note
            notes.drop(name, "sampling_unsupported")
    others = {
        "top_k": request.top_k,
        "seed": request.seed,
        "presence_penalty": request.presence_penalty or None,
        "frequency_penalty": request.frequency_penalty or None,
    }
    for name, given in others.items():
        if given is not None:
            notes.drop(name, "sampling_unsupported")
    if request.logprobs or request.top_logprobs:
        if not takes:
            raise Unsupported("logprobs", "logprobs is not supported by the model chosen for this request")
        wire["include"] = ["message.output_text.logprobs"]
        if request.top_logprobs is not None:
            wire["top_logprobs"] = request.top_logprobs


def _write_thinking(wire: Wire, request: Request, target: Target, effort: str | None) -> None:
    # A model that does not reason refuses to hand its reasoning over.
    if target.abilities.reasoning:
        wire["include"] = [*wire.get("include", []), "reasoning.encrypted_content"]
    reasoning = {} if effort is None else {"effort": effort}
    shown = target.translation.expose_reasoning and _shows_thoughts(request, effort)
    if shown and target.abilities.reasoning and target.abilities.reasoning_summaries:
        reasoning["summary"] = "auto"
    if reasoning:
        wire["reasoning"] = reasoning


def _shows_thoughts(request: Request, effort: str | None) -> bool:
    """Whether the client is to see them: not where it asked for none, though the model cannot do without."""
    thinking = request.thinking
    if request.show_thoughts is False or request.effort == "none":
        return False
    if thinking is not None:
        return thinking.get("type") in ("adaptive", "enabled") and thinking.get("display") != "omitted"
    return request.show_thoughts is True or effort not in (None, "none")


def _write_output(wire: Wire, request: Request) -> None:
    text: Wire = {}
    if request.format is not None:
        text["format"] = _format(request.format)
    if request.verbosity is not None:
        text["verbosity"] = request.verbosity
    if text:
        wire["text"] = text
    fields = {
        "user": request.user,
        "safety_identifier": request.safety_identifier,
        "metadata": request.metadata,
        "service_tier": request.service_tier,
    }
    wire.update({name: value for name, value in fields.items() if value is not None})


def _format(wanted: ResponseFormat) -> Wire:
    if wanted.kind != "json_schema":
        return {"type": wanted.kind}
    schema = wanted.schema or {"type": "object", "properties": {}}
    made: Wire = {"type": "json_schema", "name": wanted.name or "output", "schema": schema}
    if wanted.description:
        made["description"] = wanted.description
    made["strict"] = wanted.strict if wanted.strict is not None else _is_closed(schema)
    return made


def _is_closed(schema: Any) -> bool:
    """Whether OpenAI takes the schema as strict: every object closed, every property required."""
    if isinstance(schema, list):
        return all(map(_is_closed, schema))
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if schema.get("type") == "object" or properties is not None:
        if schema.get("additionalProperties") is not False or not isinstance(properties, dict):
            return False
        required = schema.get("required", [])
        if not isinstance(required, list) or any(name not in required for name in properties):
            return False
        return all(map(_is_closed, properties.values())) and all(
            _is_closed(value) for key, value in schema.items() if key != "properties"
        )
    return all(map(_is_closed, schema.values()))


def _write_extra(wire: Wire, request: Request, notes: Notes) -> None:
    for name in _PASSED:
        if name in request.extra:
            wire[name] = request.extra[name]
    for name in request.extra:
        if name not in _PASSED and name not in _SILENT:
            notes.drop(name, "unknown_field")

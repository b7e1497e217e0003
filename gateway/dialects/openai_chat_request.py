"""A client's whole Chat request into `types.Request`, every field checked and named in OpenAI's words when it is wrong.

Fields without a place in `Request` go to `extra` under their wire names. Source: openai-python,
types/chat/completion_create_params.py; extensions `thinking`, `top_k` and `cache_control`.
"""

from __future__ import annotations

from typing import Any, Literal, cast

from gateway.dialects.openai_body import read_object
from gateway.dialects.openai_chat_messages import read_messages
from gateway.dialects.openai_checks import (
    array,
    missing,
    name,
    not_among,
    object_,
    objects,
    one_of,
    optional_bool,
    optional_int,
    optional_number,
    optional_object,
    optional_text,
    wrong_type,
)
from gateway.dialects.openai_media import read_cache
from gateway.types import BadRequest, Request, ResponseFormat, Tool, ToolChoice

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
MAX_CAP = 2**53
_VERBOSITIES = ("low", "medium", "high")
_KNOWN = frozenset(
    {
        "model", "messages", "tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "max_tokens",
        "max_completion_tokens", "temperature", "top_p", "top_k", "stop", "seed", "n", "presence_penalty",
        "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "response_format", "reasoning_effort", "thinking",
        "verbosity", "user", "safety_identifier", "metadata", "service_tier", "stream", "stream_options",
    }
)  # fmt: skip
# Most requests have none of the others: what is not there need not be read one by one.
_PLAIN = frozenset({"model", "messages", "max_tokens", "max_completion_tokens"})
_TOOLS = frozenset({"tools", "functions", "tool_choice", "function_call"})
_SAMPLING = frozenset(
    {
        "temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty", "seed", "n", "logit_bias", "logprobs",
        "top_logprobs",
    }
)  # fmt: skip
_OUTPUT = frozenset(
    {"stop", "response_format", "reasoning_effort", "thinking", "verbosity", "stream", "stream_options"}
)
_REST = frozenset({"parallel_tool_calls", "user", "safety_identifier", "metadata", "service_tier"})
# Gemini's own tools as clients of several gateways put them among the others, without a type: {"google_search": {}}
_GOOGLES = {
    **dict.fromkeys(("google_search", "googleSearch"), "googleSearch"),
    **dict.fromkeys(("url_context", "urlContext"), "urlContext"),
    **dict.fromkeys(("code_execution", "codeExecution"), "codeExecution"),
}


def read_request(body: bytes, repair_history: bool = False) -> Request:
    """Read all of it. Raises BadRequest, never anything else. With `repair_history` tool calls may stay without answers."""
    fields = read_object(body)
    messages = fields.get("messages")
    if type(messages) is not list:
        messages = array(messages, "messages")
    if not messages:
        raise BadRequest("Invalid 'messages': empty array. Expected an array with minimum length 1.", "messages")
    given = fields.keys()
    if given <= _PLAIN:
        request = Request(
            model=optional_text(fields.get("model"), "model") or "",
            messages=read_messages(messages, answers_required=not repair_history),
        )
    else:
        request = _read_more(fields, messages, answers_required=not repair_history)
    cap = fields.get("max_tokens")
    if type(cap) is int and 1 <= cap <= MAX_CAP and "max_completion_tokens" not in given:
        request.max_tokens = cap
    else:
        _read_cap(fields, request)
    return request


def _read_more(fields: dict[str, Any], messages: list[Any], answers_required: bool) -> Request:
    given = fields.keys()
    tools, legacy = ([], False) if given.isdisjoint(_TOOLS) else _tools(fields)
    request = Request(
        model=optional_text(fields.get("model"), "model") or "",
        messages=read_messages(messages, answers_required),
        tools=tools,
        tool_choice=None if given.isdisjoint(_TOOLS) else _tool_choice(fields, tools),
        legacy_functions=legacy,
        extra={} if given <= _KNOWN else {key: value for key, value in fields.items() if key not in _KNOWN},
    )
    if not given.isdisjoint(_SAMPLING):
        _read_sampling(fields, request)
    if not given.isdisjoint(_OUTPUT):
        _read_output(fields, request)
    if not given.isdisjoint(_REST):
        _read_the_rest(fields, request)
    return request


def _read_sampling(fields: dict[str, Any], request: Request) -> None:
    request.temperature = optional_number(fields.get("temperature"), "temperature", 0, 2)
    request.top_p = optional_number(fields.get("top_p"), "top_p", 0, 1)
    request.top_k = optional_int(fields.get("top_k"), "top_k", 0)
    request.presence_penalty = optional_number(fields.get("presence_penalty"), "presence_penalty", -2, 2)
    request.frequency_penalty = optional_number(fields.get("frequency_penalty"), "frequency_penalty", -2, 2)
    request.seed = optional_int(fields.get("seed"), "seed", -(2**63), 2**63 - 1)
    request.n = optional_int(fields.get("n"), "n", 1, 128) or 1
    bias = optional_object(fields.get("logit_bias"), "logit_bias")
    if bias is not None:
        request.logit_bias = {
            key: optional_number(value, f"logit_bias.{key}", -100, 100) or 0 for key, value in bias.items()
        }
    request.logprobs = optional_bool(fields.get("logprobs"), "logprobs")
    request.top_logprobs = optional_int(fields.get("top_logprobs"), "top_logprobs", 0, 20)


def _read_cap(fields: dict[str, Any], request: Request) -> None:
    cap = optional_int(fields.get("max_completion_tokens"), "max_completion_tokens", 1, MAX_CAP)
    old_cap = optional_int(fields.get("max_tokens"), "max_tokens", 1, MAX_CAP)
    request.max_tokens = old_cap if cap is None else cap


def _read_output(fields: dict[str, Any], request: Request) -> None:
    request.stop = _stop(fields.get("stop"))
    request.format = _format(fields.get("response_format"))
    if fields.get("reasoning_effort") is not None:
        request.effort = one_of(fields["reasoning_effort"], "reasoning_effort", EFFORTS)
    request.thinking = optional_object(fields.get("thinking"), "thinking")
    if fields.get("verbosity") is not None:
        request.verbosity = one_of(fields["verbosity"], "verbosity", _VERBOSITIES)
    request.stream = optional_bool(fields.get("stream"), "stream") or False
    options = optional_object(fields.get("stream_options"), "stream_options") or {}
    request.include_usage = optional_bool(options.get("include_usage"), "stream_options.include_usage") or False


def _read_the_rest(fields: dict[str, Any], request: Request) -> None:
    request.parallel_tool_calls = optional_bool(fields.get("parallel_tool_calls"), "parallel_tool_calls")
    request.user = optional_text(fields.get("user"), "user")
    request.safety_identifier = optional_text(fields.get("safety_identifier"), "safety_identifier")
    request.metadata = optional_object(fields.get("metadata"), "metadata")
    request.service_tier = optional_text(fields.get("service_tier"), "service_tier")


def _stop(value: object) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [value]
    return [name(item, f"stop[{at}]") for at, item in enumerate(array(value, "stop"))]


def _format(value: object) -> ResponseFormat | None:
    if value is None:
        return None
    given = object_(value, "response_format")
    kind = one_of(given.get("type"), "response_format.type", ("text", "json_object", "json_schema"))
    if kind != "json_schema":
        return ResponseFormat(cast(Literal["text", "json_object"], kind))
    place = "response_format.json_schema"
    schema = object_(given.get("json_schema"), place)
    return ResponseFormat(
        kind="json_schema",
        schema=optional_object(schema.get("schema"), f"{place}.schema"),
        name=name(schema.get("name"), f"{place}.name"),
        description=optional_text(schema.get("description"), f"{place}.description") or "",
        strict=optional_bool(schema.get("strict"), f"{place}.strict"),
    )


def _tools(fields: dict[str, Any]) -> tuple[list[Tool], bool]:
    """The tools, and whether they came as the deprecated `functions`."""
    if fields.get("tools") is not None:
        tools = [_tool(tool, f"tools[{at}]") for at, tool in enumerate(objects(fields["tools"], "tools"))]
        _refuse_duplicates(tools, "tools")
        return tools, False
    if fields.get("functions") is not None:
        given = objects(fields["functions"], "functions")
        tools = [_function(function, f"functions[{at}]", function) for at, function in enumerate(given)]
        _refuse_duplicates(tools, "functions")
        return tools, True
    return [], False


def _tool(tool: dict[str, Any], param: str) -> Tool:
    if len(tool) == 1 and (googles := _GOOGLES.get(next(iter(tool)))):
        return Tool(googles, native={googles: next(iter(tool.values()))})
    kind = name(tool.get("type"), f"{param}.type")
    if kind == "function":
        return _function(object_(tool.get("function"), f"{param}.function"), f"{param}.function", tool)
    if kind == "custom":
        return _custom(object_(tool.get("custom"), f"{param}.custom"), f"{param}.custom", tool)
    # A vendor's own tool (web_search_20260318, …): only that vendor's dialect can judge it.
    return Tool(optional_text(tool.get("name"), f"{param}.name") or kind, native=tool)


def _function(given: dict[str, Any], param: str, tool: dict[str, Any]) -> Tool:
    return Tool(
        name=name(given.get("name"), f"{param}.name"),
        description=optional_text(given.get("description"), f"{param}.description") or "",
        parameters=optional_object(given.get("parameters"), f"{param}.parameters"),
        strict=optional_bool(given.get("strict"), f"{param}.strict"),
        cache=read_cache(tool, param) or read_cache(given, param),
    )


def _custom(given: dict[str, Any], param: str, tool: dict[str, Any]) -> Tool:
    form = optional_object(given.get("format"), f"{param}.format") or {"type": "text"}
    kind = one_of(form.get("type"), f"{param}.format.type", ("text", "grammar"))
    return Tool(
        name=name(given.get("name"), f"{param}.name"),
        description=optional_text(given.get("description"), f"{param}.description") or "",
        custom=True,
        grammar=object_(form.get("grammar"), f"{param}.format.grammar") if kind == "grammar" else None,
        cache=read_cache(tool, param),
    )


def _refuse_duplicates(tools: list[Tool], param: str) -> None:
    seen: set[str] = set()
    for at, tool in enumerate(tools):
        if tool.name in seen:
            raise BadRequest(
                f"Invalid '{param}[{at}]': the tool name '{tool.name[:64]}' is given twice.", f"{param}[{at}]"
            )
        seen.add(tool.name)


def _tool_choice(fields: dict[str, Any], tools: list[Tool]) -> ToolChoice | None:
    key = "tool_choice" if fields.get("tool_choice") is not None else "function_call"
    value = fields.get(key)
    if value is None:
        return None
    choice = _choice(value, key)
    if not tools:
        if choice.mode in ("none", "auto"):
            return None
        raise BadRequest(f"Invalid value for '{key}': '{key}' is only allowed when 'tools' are specified.", key)
    known = {tool.name for tool in tools}
    for wanted in choice.names:
        if wanted not in known:
            raise BadRequest(f"Invalid value for '{key}': '{wanted[:64]}' is not among the tools of this request.", key)
    return choice


def _choice(value: object, key: str) -> ToolChoice:
    if isinstance(value, str):
        modes = ("none", "auto", "required") if key == "tool_choice" else ("none", "auto")
        return ToolChoice(cast(Literal["none", "auto", "required"], one_of(value, key, modes)))
    if not isinstance(value, dict):
        raise wrong_type(key, "one of a string or object", value)
    if key == "function_call":
        return ToolChoice("named", [name(value.get("name"), "function_call.name")])
    kind = value.get("type")
    if kind == "allowed_tools":
        return _allowed(object_(value.get("allowed_tools"), "tool_choice.allowed_tools"))
    return ToolChoice("named", [_named(value, key)])


def _allowed(given: dict[str, Any]) -> ToolChoice:
    place = "tool_choice.allowed_tools"
    mode = one_of(given.get("mode"), f"{place}.mode", ("auto", "required"))
    names = [
        _named(tool, f"{place}.tools[{at}]") for at, tool in enumerate(objects(given.get("tools"), f"{place}.tools"))
    ]
    if not names:
        raise missing(f"{place}.tools")
    return ToolChoice("allowed_auto" if mode == "auto" else "allowed_required", names)


def _named(value: dict[str, Any], param: str) -> str:
    kind = value.get("type")
    if kind not in ("function", "custom"):
        raise not_among(f"{param}.type", str(kind), ("function", "custom", "allowed_tools"))
    return name(object_(value.get(str(kind)), f"{param}.{kind}").get("name"), f"{param}.{kind}.name")

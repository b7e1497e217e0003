"""OpenAI: chat completions, responses, embeddings, moderations and the model list, served below /v1."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable
from typing import Any

import orjson

from gateway.core.sse import frame
from gateway.simulator import openai_responses
from gateway.simulator.faults import Fault
from gateway.simulator.model import Ask, Choice, Spec, answer
from gateway.simulator.openai_body import read_body
from gateway.simulator.openai_errors import error_body, failure, no_key, no_model, refused, wrong_key
from gateway.simulator.openai_fields import check_fields, check_together, is_a, wrong_type
from gateway.simulator.openai_messages import Talk, read_messages
from gateway.simulator.openai_models import LISTED, card, dimensions, known, rules
from gateway.simulator.openai_moderations import moderations
from gateway.simulator.openai_schema import read_format, read_tools
from gateway.simulator.openai_write import Chunks, Shape, completion
from gateway.simulator.replies import Refused, Route, Sent, Stream, Whole
from gateway.simulator.tokens import count
from gateway.simulator.vectors import embed

BEARER = re.compile(r"Bearer (\S+)\Z", re.I)
MAX_INPUTS = 2048
MAX_INPUT_TOKENS = 300_000


class OpenAI:
    """The vendor."""

    name = "openai"
    prefix = "/openai"

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/v1/chat/completions", chat, generates=True),
            Route("POST", "/v1/embeddings", embeddings, generates=True),
            *openai_responses.routes(),
            Route("POST", "/v1/moderations", moderations, generates=True),
            Route("GET", "/v1/models", models),
            Route("GET", "/v1/models/{model}", model_card),
        ]

    def authorize(self, sent: Sent, keys: frozenset[str] | None) -> None:
        found = BEARER.match(sent.headers.get("authorization", ""))
        if found is None:
            raise no_key()
        if keys is not None and found.group(1) not in keys:
            raise wrong_key(found.group(1))

    def headers(self, request_id: str) -> dict[str, str]:
        return {
            "x-request-id": request_id,
            "openai-version": "2020-10-01",
            "openai-organization": "org-simulated",
            "openai-processing-ms": "1",
            "x-ratelimit-limit-requests": "10000",
            "x-ratelimit-remaining-requests": "9999",
            "x-ratelimit-reset-requests": "6ms",
            "x-ratelimit-limit-tokens": "30000000",
            "x-ratelimit-remaining-tokens": "29999000",
            "x-ratelimit-reset-tokens": "2ms",
        }

    def not_found(self, sent: Sent) -> Refused:
        return refused(f"Invalid URL ({sent.method} {sent.path})", status=404)

    def too_large(self, sent: Sent) -> Refused:
        return refused("The request body is too large.", status=413)

    def failure(self, sent: Sent, fault: Fault) -> Refused:
        return failure(fault)

    def error_frame(self, sent: Sent, fault: Fault, begun: bool) -> bytes:
        said = "The server had an error while processing your request. Sorry about that! (simulated)"
        return frame(orjson.dumps(error_body(said, "server_error", None, fault.code)))

    def stamp(self, body: Any, request_id: str) -> Any:
        return body  # OpenAI names the request in a header alone


def models(sent: Sent) -> Whole:
    """GET /v1/models."""
    return Whole(orjson.dumps({"object": "list", "data": [card(model) for model in LISTED]}))


def model_card(sent: Sent) -> Whole:
    """GET /v1/models/{model}."""
    if not known(sent.params["model"]):
        raise refused(f"The model '{sent.params['model']}' does not exist", "model", "model_not_found", 404)
    return Whole(orjson.dumps(card(sent.params["model"])))


# ---------------------------------------------------------------- chat


def chat(sent: Sent) -> Whole | Stream:
    """POST /v1/chat/completions."""
    body = read_body(sent)
    check_fields(body)
    model = body["model"]
    if not known(model):
        raise no_model(model)
    if model.startswith("text-embedding-"):
        raise refused(
            "This is not a chat model and thus not supported in the v1/chat/completions endpoint. Did you mean to use v1/completions?",
            "model",
            status=404,
        )
    check_together(body)
    talk = read_messages(body["messages"])
    ask = _ask(sent, body, talk)
    prompt_tokens = _prompt_tokens(body, talk)
    answers = [answer(ask, place) for place in range(body.get("n") or 1)]
    shape = _shape(sent, body, ask, prompt_tokens)
    output = sum(one.output_tokens for one in answers)
    if body.get("stream"):
        return Stream(Chunks(ask, shape, answers).frames(), prompt_tokens)
    return Whole(completion(ask, shape, answers), prompt_tokens, output, billed=True)


def _prompt_tokens(body: dict[str, Any], talk: Talk) -> int:
    offered = [body[name] for name in ("tools", "functions", "response_format") if body.get(name)]
    tokens = talk.tokens + (count(orjson.dumps(offered).decode()) if offered else 0)
    context = rules(body["model"]).context
    if tokens > context:
        raise refused(
            f"This model's maximum context length is {context} tokens. However, your messages resulted in {tokens} tokens. Please reduce the length of the messages.",
            "messages",
            "context_length_exceeded",
        )
    return max(1, tokens)


def _ask(sent: Sent, body: dict[str, Any], talk: Talk) -> Ask:
    tools = read_tools(body)
    schema, json_object = read_format(body)
    if json_object and not talk.said("json"):
        raise refused(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            "messages",
        )
    choice, named = _choice(body, tools)
    stop = body.get("stop") or []
    effort = body.get("reasoning_effort")
    return Ask(
        model=body["model"],
        prompt=talk.prompt,
        key=hashlib.blake2b(orjson.dumps([body["model"], body["messages"]]), digest_size=16).digest(),
        seen=talk.seen,
        results=talk.results,
        tools=tools,
        choice=choice,
        named=named,
        parallel=body.get("parallel_tool_calls") is not False and not body.get("functions"),
        schema=schema,
        json_object=json_object,
        think=effort is not None and effort != "none",
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        stop=[stop] if isinstance(stop, str) else stop,
        pieces=sent.chunks,
        mute=sent.mute,
    )


def _shape(sent: Sent, body: dict[str, Any], ask: Ask, prompt_tokens: int) -> Shape:
    options = body.get("stream_options") or {}
    wanted = body.get("tool_choice")
    return Shape(
        id=ask.id("chatcmpl-"),
        created=sent.now,
        model=body["model"],
        prompt_tokens=prompt_tokens,
        include_usage=bool(options.get("include_usage")),
        obfuscate=options.get("include_obfuscation") is not False,
        logprobs=bool(body.get("logprobs")),
        forced=isinstance(wanted, dict) and wanted.get("type") in ("function", "custom"),
        legacy=bool(body.get("functions")),
        service_tier="default" if body.get("service_tier") in (None, "auto") else body["service_tier"],
    )


def _choice(body: dict[str, Any], tools: list[Spec]) -> tuple[Choice, list[str]]:
    """Which tools must or may be called: the mode, and the names it is limited to."""
    wanted = body.get("tool_choice", body.get("function_call"))
    if not tools:
        for name in ("tool_choice", "parallel_tool_calls"):
            if body.get(name) is not None:
                raise refused(f"'{name}' is only allowed when 'tools' are specified.", name)
        return "none", []
    match wanted:
        case None | "auto":
            return "auto", []
        case "none":
            return "none", []
        case "required":
            return "any", []
        case (
            {"type": "function", "function": {"name": name}}
            | {"type": "custom", "custom": {"name": name}}
            | {"name": name}
        ):
            return "any", _offered([name], tools)
        case {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": [*allowed]}}:
            names = [_allowed_name(tool) for tool in allowed]
            return "any" if mode == "required" else "auto", _offered(names, tools)
    raise refused(
        f"Invalid value: '{wanted}'. Supported values are: 'none', 'auto', and 'required'.",
        "tool_choice",
        "invalid_value",
    )


def _allowed_name(tool: Any) -> str:
    match tool:
        case {"type": "function", "function": {"name": str(name)}} | {"type": "custom", "custom": {"name": str(name)}}:
            return name
    raise refused("Invalid value for 'tool_choice.allowed_tools.tools'.", "tool_choice", "invalid_value")


def _offered(names: list[str], tools: list[Spec]) -> list[str]:
    for name in names:
        if all(tool.name != name for tool in tools):
            raise refused(f"Tool choice '{name}' not found in 'tools' parameter.", "tool_choice")
    return names


# ---------------------------------------------------------------- embeddings

EMBEDDING_FIELDS = frozenset({"input", "model", "dimensions", "encoding_format", "user"})


def embeddings(sent: Sent) -> Whole:
    """POST /v1/embeddings."""
    body = read_body(sent)
    unknown = [name for name in body if name not in EMBEDDING_FIELDS]
    if unknown:
        raise refused(f"Unrecognized request argument supplied: {unknown[0]}")
    model = body.get("model")
    if not model:
        raise refused("you must provide a model parameter")
    if not isinstance(model, str) or not known(model):
        raise no_model(str(model))
    if not model.startswith("text-embedding-"):
        raise refused("You are not allowed to generate embeddings from this model", status=403)
    size = _size(model, body.get("dimensions"))
    encode = _encoding(body.get("encoding_format"))
    inputs = _inputs(body.get("input"))
    tokens = sum(count(text) if isinstance(text, str) else len(text) for text in inputs)
    data = [
        {"object": "embedding", "index": place, "embedding": encode(embed(_as_text(text), size))}
        for place, text in enumerate(inputs)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return Whole(orjson.dumps({"object": "list", "data": data, "model": model, "usage": usage}), tokens, billed=True)


def _size(model: str, wanted: Any) -> int:
    full = dimensions(model)
    if wanted is None:
        return full
    if not is_a(wanted, int):
        raise wrong_type("dimensions", wanted, int)
    if "ada" in model:
        raise refused("This model does not support specifying dimensions.")
    if not 1 <= wanted <= full:
        raise refused(f"Invalid value for 'dimensions' = {wanted}. Must be between 1 and {full}.")
    return int(wanted)


def _encoding(format: Any) -> Any:
    match format:
        case None | "float":
            return list
        case "base64":
            return lambda vector: base64.b64encode(vector.tobytes()).decode()
    raise refused(
        f"Invalid value: '{format}'. Supported values are: 'float' and 'base64'.", "encoding_format", "invalid_value"
    )


def _inputs(given: Any) -> list[Any]:
    """Texts or token lists, one or many. Raises Refused for what OpenAI calls invalid: empty or mixed."""
    bad = refused(
        "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference."
    )
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list) or not given:
        raise bad
    if all(is_a(token, int) for token in given):
        given = [given]
    if len(given) > MAX_INPUTS:
        raise refused(
            f"Invalid 'input': array too long. Expected an array with maximum length {MAX_INPUTS}, but got an array with length {len(given)} instead.",
            "input",
            "array_above_max_length",
        )
    texts = all(isinstance(text, str) and text for text in given)
    lists = all(isinstance(item, list) and item and all(is_a(token, int) for token in item) for item in given)
    if not texts and not lists:
        raise bad
    return list(given)


def _as_text(text: str | Iterable[int]) -> str:
    return text if isinstance(text, str) else " ".join(f"token{token}" for token in text)

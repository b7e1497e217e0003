"""Anthropic: messages, count_tokens and the model list, served below /v1."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import orjson

from gateway.core.sse import frame
from gateway.simulator.anthropic_errors import body as error_body
from gateway.simulator.anthropic_errors import failure, refused
from gateway.simulator.anthropic_fields import check_fields, check_limits, thinking_type
from gateway.simulator.anthropic_messages import Reader, Talk
from gateway.simulator.anthropic_models import LISTED, VERSIONS, Rules, card, rules
from gateway.simulator.anthropic_pause import found as result
from gateway.simulator.anthropic_pause import pause_id, paused, search, searches
from gateway.simulator.anthropic_pause import said as told
from gateway.simulator.anthropic_thinking import check_loop, checker, signature
from gateway.simulator.anthropic_tools import read_choice, read_format, read_tools
from gateway.simulator.anthropic_write import Events, Shape, message
from gateway.simulator.faults import Fault
from gateway.simulator.model import Answer, Ask, answer
from gateway.simulator.pauses import portion
from gateway.simulator.replies import Refused, Route, Sent, Stream, Whole
from gateway.simulator.tokens import count

BEARER = re.compile(r"Bearer (\S+)\Z", re.I)
RESET = "2026-11-23T00:01:00Z"


class Anthropic:
    """The vendor."""

    name = "anthropic"
    prefix = "/anthropic"

    def routes(self) -> list[Route]:
        return [
            Route("POST", "/v1/messages", messages, generates=True),
            Route("POST", "/v1/messages/count_tokens", count_tokens),
            Route("GET", "/v1/models", models),
            Route("GET", "/v1/models/{model}", model_card),
        ]

    def authorize(self, sent: Sent, keys: frozenset[str] | None) -> None:
        # x-api-key wins when both are sent, as it does at Anthropic; an empty one is none.
        bearer = BEARER.match(sent.headers.get("authorization", ""))
        key = sent.headers.get("x-api-key") or (bearer.group(1) if bearer else "")
        if not key:
            raise refused("x-api-key header is required", 401)
        if keys is not None and key not in keys:
            raise refused("invalid x-api-key", 401)

    def headers(self, request_id: str) -> dict[str, str]:
        limits = {}
        for name, limit in (
            ("requests", 4000),
            ("tokens", 2_400_000),
            ("input-tokens", 2_000_000),
            ("output-tokens", 400_000),
        ):
            limits[f"anthropic-ratelimit-{name}-limit"] = str(limit)
            limits[f"anthropic-ratelimit-{name}-remaining"] = str(limit - 1)
            limits[f"anthropic-ratelimit-{name}-reset"] = RESET
        return {"request-id": request_id, "anthropic-organization-id": "00000000-0000-4000-8000-000000000000", **limits}

    def not_found(self, sent: Sent) -> Refused:
        return refused("Not found", 404)

    def too_large(self, sent: Sent) -> Refused:
        return refused("Request exceeds the maximum size", 413)

    def failure(self, sent: Sent, fault: Fault) -> Refused:
        return failure(fault)

    def error_frame(self, sent: Sent, fault: Fault, begun: bool) -> bytes:
        status = fault.status or 529
        said = "Overloaded" if status in (503, 529) else "Internal server error"
        return frame(orjson.dumps(error_body(status, said, fault.code)), b"error")

    def stamp(self, body: Any, request_id: str) -> Any:
        return {**body, "request_id": request_id}


def _version(sent: Sent) -> str:
    version = sent.headers.get("anthropic-version")
    if not version:
        raise refused("anthropic-version: header is required")
    if version not in VERSIONS:
        raise refused(f'anthropic-version: "{version}" is not a valid version')
    return version


def models(sent: Sent) -> Whole:
    """GET /v1/models."""
    _version(sent)
    data = [card(model) for model in LISTED]
    return Whole(orjson.dumps({"data": data, "has_more": False, "first_id": LISTED[0], "last_id": LISTED[-1]}))


def model_card(sent: Sent) -> Whole:
    """GET /v1/models/{model}."""
    _version(sent)
    if not sent.params["model"].startswith("claude-"):
        raise refused(f"model: {sent.params['model']}", 404)
    return Whole(orjson.dumps(card(sent.params["model"])))


def count_tokens(sent: Sent) -> Whole:
    """POST /v1/messages/count_tokens."""
    tokens = _read(sent, counting=True)[1]
    return Whole(orjson.dumps({"input_tokens": tokens}))


def messages(sent: Sent) -> Whole | Stream:
    """POST /v1/messages."""
    ask, tokens, body, limits = _read(sent, counting=False)
    # max_tokens 0 fills the prompt cache and generates nothing.
    before = paused(body)
    said = portion(answer(ask), told(before), sent.pause) if body["max_tokens"] else Answer(finish="length")
    shape = _shape(body, limits, said, tokens, ask.prompt, before)
    if body.get("stream"):
        return Stream(Events(ask, shape, said).frames(), tokens)
    return Whole(message(ask, shape, said), tokens, said.output_tokens, billed=True)


def _shape(
    body: dict[str, Any], limits: Rules, said: Answer, tokens: int, prompt: str, before: list[dict[str, Any]]
) -> Shape:
    found = result(before[-1]["id"]) if before else None
    pausing = None
    if said.finish == "pause":
        asked = body["messages"][:-1] if before else body["messages"]
        pausing = search(pause_id(body["model"], asked, searches(before) + 1), prompt)
    if not said.thinking:
        return Shape(body["model"], tokens, found=found, search=pausing)
    display = (body.get("thinking") or {}).get("display") or ("omitted" if limits.hides else "summarized")
    shown = "" if display == "omitted" else said.thinking
    return Shape(body["model"], tokens, shown, signature(shown, body, limits), found, pausing)


def _read(sent: Sent, counting: bool) -> tuple[Ask, int, dict[str, Any], Rules]:
    version = _version(sent)
    try:
        body = orjson.loads(sent.body)
    except orjson.JSONDecodeError as wrong:
        raise refused(f"The request body is not valid JSON: {wrong}") from None
    if not isinstance(body, dict):
        raise refused("Input should be a valid dictionary")
    betas = sent.headers.get("anthropic-beta", "")
    check_fields(body, version, bool(betas), counting)
    if not body["model"].startswith("claude-"):
        raise refused(f"model: {body['model']}", 404)
    limits = rules(body["model"])
    check_limits(body, limits)
    reader = Reader(limits, version, checker(body, limits, betas))
    reader.system(body.get("system"))
    going_on = bool(paused(body))
    talk = reader.read(body["messages"], going_on)
    tokens = _input_tokens(body, talk, limits)
    check_loop(body, body["messages"])
    if going_on:
        # What is answered is what was asked before the turn that paused.
        talk = Reader(limits, version, checker(body, limits, betas)).read(body["messages"][:-1])
    return _ask(sent, body, talk, limits), tokens, body, limits


def _input_tokens(body: dict[str, Any], talk: Talk, limits: Rules) -> int:
    offered = [body[name] for name in ("tools", "output_config") if body.get(name)]
    tokens = talk.tokens + (count(orjson.dumps(offered).decode()) if offered else 0)
    if tokens > limits.context:
        raise refused(f"prompt is too long: {tokens} tokens > {limits.context} maximum")
    return max(1, tokens)


def _ask(sent: Sent, body: dict[str, Any], talk: Talk, limits: Rules) -> Ask:
    tools = read_tools(body, limits)
    choice, named, parallel = read_choice(body, tools, limits)
    return Ask(
        model=body["model"],
        prompt=talk.prompt,
        key=hashlib.blake2b(orjson.dumps([body["model"], body["messages"]]), digest_size=16).digest(),
        seen=talk.seen,
        results=talk.results,
        follow=talk.follow,
        tools=tools,
        choice=choice,
        named=named,
        parallel=parallel,
        schema=read_format(body, limits),
        think=thinking_type(body) in ("enabled", "adaptive") or ("thinking" not in body and limits.thinks),
        max_tokens=body.get("max_tokens"),
        stop=body.get("stop_sequences") or [],
        pieces=sent.chunks,
        mute=sent.mute,
    )

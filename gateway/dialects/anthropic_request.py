"""A request in Anthropic's words: `write_request` puts together what the other anthropic_* files translate.

Endpoint POST /v1/messages. The order of the top level is fixed, and what a conversation repeats on every turn (system, tools,
messages) comes out byte for byte the same, each turn a prefix of the next.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import msgspec

from gateway.dialects import anthropic_params as params
from gateway.dialects.anthropic_blocks import Block
from gateway.dialects.anthropic_choice import Choice, choose
from gateway.dialects.anthropic_format import Format, output_format
from gateway.dialects.anthropic_search import limit_uses, web_search
from gateway.dialects.anthropic_thinking import BINDING_BETA, UPDATES_BETA, Thinking, bound, think, without_thinking
from gateway.dialects.anthropic_tools import Toolbox
from gateway.dialects.anthropic_turns import Conversation, converse, plain_talk, torn
from gateway.dialects.anthropic_undo import Sent, Undo
from gateway.types import Abilities, Notes, Request, Target, Unsupported, Written

MAX_CACHE_MARKS = 4

_ENCODER = msgspec.json.Encoder()
_NOTHING = (
    Toolbox(Request(model="", messages=[]), Abilities(), Notes()),
    list[dict[str, Any]](),
    Choice(),
    Format(),
)  # what a plain request asks for


def write_request(request: Request, target: Target, notes: Notes) -> Written:
    """Raises Unsupported for what must not be left out. Never changes `request`."""
    plain = request.plain
    if not plain:
        params.refuse(request)
    max_tokens = params.max_tokens(request, target.abilities, notes)
    box, offered, choice, form = _NOTHING if plain else _shape(request, target, notes)
    thinking = _thinking(request, target, choice, max_tokens, notes)
    # A model that checks thoughts but is told not to think has no way to be lenient about them: send none.
    replay = not (target.abilities.preserved_thinking and (thinking.off or torn(request.messages)))
    talk = plain_talk(request.messages) if plain else None
    if talk is None:
        talk = converse(request.messages, box, target, notes, replay=replay)
    if thinking.wire is not None or talk.replayed:
        thinking = _after(thinking, talk, target, notes)
    sampling = {} if plain else params.sampling(request, target, thinking.on, notes)
    body = {} if plain else params.drop_the_rest(request, notes)
    _fill(body, request, target, max_tokens, talk.system + form.system)
    if offered:
        body |= _tools(offered, choice)
    if not plain or thinking.wire is not None:
        body |= _settings(request, thinking, form, notes) | sampling
    body["messages"] = talk.messages  # last, behind everything that stays the same
    encoded, headers = _encoded(body, request, target, notes), _headers(bool(sampling))
    if request.extra or thinking.wire is not None:
        headers += _betas(request, body, thinking)
    if plain:
        return Written(encoded, headers)
    sent = Sent(encoded, headers) if _may_pause(request) else None
    undo = Undo(tools=box.changed(), forced=choice.forced, fenced=form.fenced, sent=sent)
    return Written(encoded, headers, undo if undo.changes() else None)


def _shape(request: Request, target: Target, notes: Notes) -> tuple[Toolbox, list[dict[str, Any]], Choice, Format]:
    """The tools, as they are known and as they are offered, the choice among them, and the form of the answer."""
    box = Toolbox(request, target.abilities, notes)
    offered = box.wire
    if request.extra:
        offered = offered + web_search(request, notes)
        limit_uses(offered, request, notes)
    choice = choose(request, box, target, notes) if request.tools or request.tool_choice else Choice()
    asked = request.format is not None or choice.schema is not None
    return box, offered, choice, output_format(request, choice, target.abilities, notes) if asked else Format()


def _may_pause(request: Request) -> bool:
    """Whether the answer may be broken off to be asked for the rest: server tools run, or something of Anthropic's own is on."""
    if not (request.tools or request.extra):
        return False
    own = request.extra.get("anthropic")
    if isinstance(own, dict) and own.get("compaction") is not None:
        return False  # the compaction is the whole answer: asked for the rest, Anthropic would compact once more
    others = own if own is not None else request.extra.get("web_search_options")
    return others is not None or any(tool.native is not None for tool in request.tools)


def _thinking(request: Request, target: Target, choice: Choice, max_tokens: int, notes: Notes) -> Thinking:
    thinking = think(request, target, max_tokens, notes)
    if choice.forces and thinking.on and not target.abilities.default_thinking:
        return without_thinking(thinking, notes, "thinking_dropped_for_forced_tool")
    return thinking


def _after(thinking: Thinking, talk: Conversation, target: Target, notes: Notes) -> Thinking:
    """What the history demands: manual thinking wants its thoughts back, and checked thoughts want lenience."""
    if thinking.manual and talk.thoughtless_tool_loop():
        return without_thinking(thinking, notes, "thinking_dropped_without_history")
    if talk.replayed and target.abilities.preserved_thinking:
        return bound(thinking)
    return thinking


def _fill(body: dict[str, Any], request: Request, target: Target, max_tokens: int, system: list[Block]) -> None:
    """The members that nearly every body has, behind what passed through."""
    body["model"] = target.model
    body["max_tokens"] = max_tokens
    if system:
        body["system"] = system
    if request.stream:
        body["stream"] = True


def _tools(wire: list[dict[str, Any]], choice: Choice) -> dict[str, Any]:
    return {"tools": wire} | ({"tool_choice": choice.wire} if choice.wire else {})


def _settings(request: Request, thinking: Thinking, form: Format, notes: Notes) -> dict[str, Any]:
    output: dict[str, Any] = {}
    if thinking.effort is not None:
        output["effort"] = thinking.effort
    if form.schema is not None:
        output["format"] = {"type": "json_schema", "schema": form.schema}
    settings: dict[str, Any] = {}
    if thinking.wire is not None:
        settings["thinking"] = thinking.wire
    if output:
        settings["output_config"] = output
    if request.stop and (stops := params.stop_sequences(request, notes)):
        settings["stop_sequences"] = stops
    if request.service_tier is not None and (tier := params.service_tier(request, notes)) is not None:
        settings["service_tier"] = tier
    if user_id := params.user_id(request):
        settings["metadata"] = {"user_id": user_id}
    return settings


def _headers(sampled: bool) -> list[tuple[str, str]]:
    return [("anthropic-version", params.SAMPLING_VERSION if sampled else params.VERSION)]


def _betas(request: Request, body: dict[str, Any], thinking: Thinking) -> list[tuple[str, str]]:
    """The header with the betas that this very body needs, if any: without them Anthropic refuses their fields."""
    found = params.betas(body) if request.extra else []
    wire = thinking.wire
    if wire is not None and "block_binding" in wire:
        found.append(BINDING_BETA)
    if wire is not None and wire.get("display") == "updates":
        found.append(UPDATES_BETA)
    return [("anthropic-beta", ",".join(found))] if found else []


def _marks_itself(request: Request) -> bool:
    """Whether the client wants nothing cached but what it marks."""
    options = request.extra.get("prompt_cache_options") if request.extra else None
    return isinstance(options, dict) and options.get("mode") == "explicit"


def _encoded(body: dict[str, Any], request: Request, target: Target, notes: Notes) -> bytes:
    """The body as JSON, with such cache marks as Anthropic takes."""
    if target.translation.auto_cache and not _marks(body) and not _marks_itself(request):
        body.setdefault("cache_control", {"type": "ephemeral"})
        body["messages"] = body.pop("messages")
    try:
        encoded = _ENCODER.encode(body)
        if b'"cache_control"' in encoded and _mend_marks(body, notes):
            encoded = _ENCODER.encode(body)
        return encoded
    except (UnicodeError, RecursionError) as error:
        raise Unsupported("messages", f"the request cannot be written as JSON: {error}", "invalid_request") from None


def _marks(body: dict[str, Any]) -> list[Block]:
    """The blocks that bear a cache mark, in order."""
    marked = [block for block in chain(body.get("tools", ()), body.get("system", ())) if "cache_control" in block]
    for message in body["messages"]:
        for block in message["content"]:
            if block["type"] == "tool_result" and type(block.get("content")) is list:
                marked += [part for part in block["content"] if "cache_control" in part]
            if "cache_control" in block:
                marked.append(block)
    return marked


def _mend_marks(body: dict[str, Any], notes: Notes) -> bool:
    """Keep the last marks, which cover the most, with lifetimes that Anthropic has; whether anything was changed.

    One at the top of the body is one of the four: Anthropic puts it on the last block that can bear one.
    """
    marked, changed = _marks(body), False
    room = MAX_CACHE_MARKS - ("cache_control" in body)
    for block in marked[:-room]:
        del block["cache_control"]
        changed = True
    for block in marked[-room:]:
        ttl = block["cache_control"].get("ttl")
        if ttl == "30m" or ttl == "12h":  # OpenAI's: an hour is the nearest, and the longest
            block["cache_control"] = {**block["cache_control"], "ttl": "1h"}
            changed = True
            if ttl == "12h":
                notes.warn("cache_ttl_shortened")
    return changed

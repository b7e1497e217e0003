"""The Responses API, served below /v1/responses: create, stream, retrieve, delete, input_items, input_tokens."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
from msgspec import Struct

from gateway.simulator.model import Ask, answer
from gateway.simulator.openai_body import read_body
from gateway.simulator.openai_errors import no_model, refused
from gateway.simulator.openai_models import known, rules
from gateway.simulator.openai_responses_fields import COUNTED, FIELDS, check_fields, check_together, effort
from gateway.simulator.openai_responses_items import Reader, read_items
from gateway.simulator.openai_responses_tools import Offer, read_choice, read_format, read_tools
from gateway.simulator.openai_responses_write import ID_LENGTH, Events, Shape, output, response
from gateway.simulator.replies import Route, Sent, Stream, Whole
from gateway.simulator.shelf import Kept
from gateway.simulator.tokens import count


def routes() -> list[Route]:
    """What OpenAI serves of it."""
    return [
        Route("POST", "/v1/responses", create, generates=True),
        Route("POST", "/v1/responses/input_tokens", input_tokens),
        Route("GET", "/v1/responses/{id}", retrieve),
        Route("DELETE", "/v1/responses/{id}", delete),
        Route("GET", "/v1/responses/{id}/input_items", input_items),
        Route("POST", "/v1/responses/{id}/cancel", cancel),
    ]


class Read(Struct, frozen=True):
    """A request that was found good. `items`: its whole input, earlier turns included."""

    body: dict[str, Any]
    items: list[Any]
    reader: Reader
    offer: Offer
    tokens: int


def create(sent: Sent) -> Whole | Stream:
    """POST /v1/responses."""
    read = _read(sent, read_body(sent))
    ask = _ask(sent, read)
    said = answer(ask)
    shape = _shape(sent, read, ask)
    whole = response(shape, said, output(ask, shape, said))
    if read.body.get("store") is not False:
        # A stream is kept when it begins: what became of it is not told to the vendor's pure part.
        sent.shelf.put(Kept(whole, read.items))
    if read.body.get("stream"):
        events = Events(ask, shape, said)
        return Stream(events.frames(), read.tokens, failing=events.failing)
    return Whole(orjson.dumps(whole), read.tokens, said.output_tokens, billed=True)


def input_tokens(sent: Sent) -> Whole:
    """POST /v1/responses/input_tokens."""
    body = read_body(sent)
    for name in body:
        if name in FIELDS and name not in COUNTED:
            raise refused(f"Unknown parameter: '{name}'.", name, "unknown_parameter")
    return Whole(orjson.dumps({"object": "response.input_tokens", "input_tokens": _read(sent, body).tokens}))


def _read(sent: Sent, body: dict[str, Any]) -> Read:
    check_fields(body, FIELDS | COUNTED if sent.path.endswith("/input_tokens") else FIELDS)
    model = body["model"]
    if not known(model):
        raise no_model(model)
    if model.startswith("text-embedding-"):
        raise refused(
            f"The requested model '{model}' cannot be used with the Responses API.", "model", "unsupported_model"
        )
    check_together(body, rules(model))
    given = body.get("input")
    new = [{"type": "message", "role": "user", "content": given}] if isinstance(given, str) else list(given or [])
    items = [*_earlier(sent, body.get("previous_response_id")), *new]
    reader = read_items(items, model, sent.shelf)
    offer = read_tools(body.get("tools") or [])
    return Read(body, items, reader, offer, _prompt_tokens(body, reader))


def _earlier(sent: Sent, id: str | None) -> list[Any]:
    if id is None:
        return []
    kept = sent.shelf.get(id)
    if kept is None:
        raise refused(
            f"Previous response with id '{id}' not found.", "previous_response_id", "previous_response_not_found"
        )
    return [*kept.input, *kept.response["output"]]


def _prompt_tokens(body: dict[str, Any], reader: Reader) -> int:
    offered = [body[name] for name in ("tools", "text") if body.get(name)]
    tokens = reader.talk.tokens + count(body.get("instructions") or "")
    tokens += count(orjson.dumps(offered).decode()) if offered else 0
    context = rules(body["model"]).context
    if tokens > context:
        raise refused(
            "Your input exceeds the context window of this model. Please adjust your input and try again.",
            "input",
            "context_length_exceeded",
        )
    return max(1, tokens)


def _ask(sent: Sent, read: Read) -> Ask:
    body, talk = read.body, read.reader.talk
    schema, json_object = read_format((body.get("text") or {}).get("format") or {"type": "text"})
    if json_object and not (talk.said("json") or "json" in (body.get("instructions") or "").lower()):
        raise refused(
            "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'.",
            "input",
        )
    choice, named = read_choice(body.get("tool_choice"), read.offer)
    limits = rules(body["model"])
    return Ask(
        model=body["model"],
        prompt=talk.prompt,
        key=hashlib.blake2b(orjson.dumps([body["model"], read.items]), digest_size=16).digest(),
        seen=talk.seen,
        results=talk.results,
        tools=read.offer.specs,
        choice=choice,
        named=named,
        parallel=body.get("parallel_tool_calls") is not False,
        schema=schema,
        json_object=json_object,
        think=bool(limits.efforts) and (effort(body) or limits.default_effort) != "none",
        max_tokens=body.get("max_output_tokens"),
        pieces=sent.chunks,
        mute=sent.mute,
    )


def _shape(sent: Sent, read: Read, ask: Ask) -> Shape:
    body = read.body
    reasoning = body.get("reasoning") or {}
    options = body.get("stream_options") or {}
    return Shape(
        head=_head(sent, read, ask),
        prompt_tokens=read.tokens,
        namespaces=read.offer.namespaces,
        now=sent.now,
        summarized=bool(reasoning.get("summary") or reasoning.get("generate_summary")),
        logprobs="message.output_text.logprobs" in (body.get("include") or []),
        obfuscate=options.get("include_obfuscation") is not False,
    )


def _head(sent: Sent, read: Read, ask: Ask) -> dict[str, Any]:
    """The response object as it begins: what was asked for, with OpenAI's defaults."""
    body = read.body
    limits = rules(body["model"])
    reasoning, text = body.get("reasoning") or {}, body.get("text") or {}
    tier = body.get("service_tier")
    summary = reasoning.get("summary") or reasoning.get("generate_summary")
    head: dict[str, Any] = {
        "id": ask.id("resp_", length=ID_LENGTH),
        "object": "response",
        "created_at": sent.now,
        "status": "in_progress",
        "background": False,
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "model": body["model"],
        "output": [],
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "reasoning": {
            "effort": effort(body) or (limits.default_effort if limits.efforts else None),
            "summary": summary,
        },
        "service_tier": "default" if tier in (None, "auto") else tier,
        "store": body.get("store") is not False,
        "temperature": 1.0 if body.get("temperature") is None else body["temperature"],
        "text": {"format": text.get("format") or {"type": "text"}, "verbosity": text.get("verbosity") or "medium"},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": read.offer.echo,
        "top_logprobs": body.get("top_logprobs") or 0,
        "top_p": 1.0 if body.get("top_p") is None else body["top_p"],
        "truncation": body.get("truncation") or "disabled",
        "usage": None,
        "metadata": body.get("metadata") or {},
    }
    for name in ("instructions", "max_output_tokens", "max_tool_calls", "previous_response_id", "user"):
        head[name] = body.get(name)
    for name in ("prompt_cache_key", "prompt_cache_retention", "safety_identifier"):
        head[name] = body.get(name)
    if read.reader.transformations:
        head["input_transformations"] = read.reader.transformations
    return head


# ---------------------------------------------------------------- what was kept


def _kept(sent: Sent) -> Kept:
    id = sent.params["id"]
    kept = sent.shelf.get(id)
    if kept is None:
        raise refused(f"Response with id '{id}' not found.", status=404)
    return kept


def retrieve(sent: Sent) -> Whole:
    """GET /v1/responses/{id}."""
    return Whole(orjson.dumps(_kept(sent).response))


def delete(sent: Sent) -> Whole:
    """DELETE /v1/responses/{id}."""
    id = _kept(sent).response["id"]
    sent.shelf.drop(id)
    return Whole(orjson.dumps({"id": id, "object": "response", "deleted": True}))


def cancel(sent: Sent) -> Whole:
    """POST /v1/responses/{id}/cancel: only background responses can be, and there are none here."""
    _kept(sent)
    raise refused("Cannot cancel a synchronous response.")


def input_items(sent: Sent) -> Whole:
    """GET /v1/responses/{id}/input_items: newest first, all on one page."""
    kept = _kept(sent)
    items = [_listed(item, kept.response["id"], place) for place, item in enumerate(kept.input)]
    if sent.query.get("order") != "asc":
        items.reverse()
    ends = {"first_id": items[0]["id"], "last_id": items[-1]["id"]} if items else {"first_id": "", "last_id": ""}
    return Whole(orjson.dumps({"object": "list", "data": items, "has_more": False, **ends}))


def _listed(item: dict[str, Any], response_id: str, place: int) -> dict[str, Any]:
    """An input item as the list shows it: with a type, an id, a status, and content in parts."""
    made = hashlib.blake2b(f"{response_id}/{place}".encode(), digest_size=24).hexdigest()
    kind = item.get("type") or "message"
    shown = {"id": f"msg_{made}" if kind == "message" else f"{kind}_{made}", "type": kind, **item}
    if kind == "message":
        part = "output_text" if item["role"] == "assistant" else "input_text"
        if isinstance(item["content"], str):
            shown["content"] = [{"type": part, "text": item["content"]}]
        shown.setdefault("status", "completed")
    return shown

"""Gemini's Developer API: generateContent, its stream, countTokens, embeddings and the model list, served below /v1beta."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from gateway.simulator.faults import Fault
from gateway.simulator.gemini_config import check_config, read_choice, read_tools, thinks
from gateway.simulator.gemini_contents import Talk, read_contents
from gateway.simulator.gemini_errors import bad_key, failure, no_cache, no_key, no_model, oauth_key, refused
from gateway.simulator.gemini_errors import body as error_body
from gateway.simulator.gemini_models import EMBEDDING, EMBEDDING_DIMENSIONS, LISTED, Rules, card, known, rules
from gateway.simulator.gemini_proto import read
from gateway.simulator.gemini_write import Fragments, Shape, continued, whole
from gateway.simulator.model import Answer, Ask, Spec, answer
from gateway.simulator.pauses import portion
from gateway.simulator.replies import JSON, SSE, Refused, Route, Sent, Stream, Whole
from gateway.simulator.tokens import count
from gateway.simulator.vectors import embed

BASE = "/{version:v1beta|v1alpha|v1}/models"
MODEL = BASE + "/{model:[^/:]+}"
MAX_BATCH = 100


class Gemini:
    """The vendor."""

    name = "gemini"
    prefix = "/gemini"

    def routes(self) -> list[Route]:
        return [
            Route("POST", MODEL + ":generateContent", generate, generates=True),
            Route("POST", MODEL + ":streamGenerateContent", stream, generates=True),
            Route("POST", MODEL + ":countTokens", count_tokens),
            Route("POST", MODEL + ":embedContent", embed_content, generates=True),
            Route("POST", MODEL + ":batchEmbedContents", batch_embed_contents, generates=True),
            Route("GET", BASE, models),
            Route("GET", MODEL, model_card),
        ]

    def authorize(self, sent: Sent, keys: frozenset[str] | None) -> None:
        key = sent.headers.get("x-goog-api-key") or sent.query.get("key")
        if not key:
            raise oauth_key() if sent.headers.get("authorization") else no_key()
        if keys is not None and key not in keys:
            raise bad_key()

    def headers(self, request_id: str) -> dict[str, str]:
        return {
            "x-gemini-service-tier": "standard",
            "server-timing": "gfet4t7; dur=1",
            "vary": "Origin, X-Origin, Referer",
        }

    def not_found(self, sent: Sent) -> Refused:
        return refused("Requested entity was not found.", 404)

    def too_large(self, sent: Sent) -> Refused:
        return refused("Request payload size exceeds the limit: 20971520 bytes.")

    def failure(self, sent: Sent, fault: Fault) -> Refused:
        failed = failure(fault)
        return Refused(failed.status, [failed.body], failed.headers) if _wants_array(sent) else failed

    def error_frame(self, sent: Sent, fault: Fault, begun: bool) -> bytes:
        status = fault.status or 503
        error = orjson.dumps(error_body(status, "The model is overloaded. Please try again later."))
        if _wants_array(sent):
            return (b",\r\n" if begun else b"[") + error + b"]"
        return error + b"\n"  # in a stream Google's errors come as bare JSON, without "data:"

    def stamp(self, body: Any, request_id: str) -> Any:
        return body


def _wants_array(sent: Sent) -> bool:
    return sent.path.endswith(":streamGenerateContent") and sent.query.get("alt") != "sse"


def _body(sent: Sent, message: str) -> dict[str, Any]:
    try:
        body = orjson.loads(sent.body or b"{}")
    except orjson.JSONDecodeError as wrong:
        raise refused(f"Invalid JSON payload received. {wrong}") from None
    return read(message, body)


def models(sent: Sent) -> Whole:
    """GET /v1beta/models."""
    return Whole(orjson.dumps({"models": [card(model) for model in LISTED]}))


def model_card(sent: Sent) -> Whole:
    """GET /v1beta/models/{model}."""
    if not known(sent.params["model"]):
        raise no_model(sent.params["model"], "getModel")
    return Whole(orjson.dumps(card(sent.params["model"])))


# ---------------------------------------------------------------- generation


def generate(sent: Sent) -> Whole:
    """POST …:generateContent."""
    body, ask, shape = _read(sent, "generateContent")
    answers = _answers(sent, body, ask)
    return Whole(
        whole(ask, shape, answers), shape.prompt_tokens, sum(one.output_tokens for one in answers), billed=True
    )


def stream(sent: Sent) -> Stream:
    """POST …:streamGenerateContent, as SSE with alt=sse, else as a JSON array that grows."""
    try:
        body, ask, shape = _read(sent, "streamGenerateContent")
    except Refused as wrong:
        raise Refused(wrong.status, [wrong.body]) if _wants_array(sent) else wrong from None
    answers = _answers(sent, body, ask)
    return Stream(Fragments(ask, shape, answers).frames(), shape.prompt_tokens, SSE if shape.sse else JSON)


def _answers(sent: Sent, body: dict[str, Any], ask: Ask) -> list[Answer]:
    start = continued(ask, body["continuationToken"]) if body.get("continuationToken") else 0
    if start is None:
        raise refused("The continuation token is not valid for this request.")
    return [portion(answer(ask, place), start, sent.pause) for place in range(_candidates(body))]


def _candidates(body: dict[str, Any]) -> int:
    return int((body.get("generationConfig") or {}).get("candidateCount", 1))


def _read(sent: Sent, method: str) -> tuple[dict[str, Any], Ask, Shape]:
    model = sent.params["model"]
    if not known(model) or EMBEDDING.match(model):
        raise no_model(model, method)
    body = _body(sent, "GenerateContentRequest")
    if body.get("cachedContent"):
        raise no_cache()
    limits = rules(model)
    config = body.get("generationConfig") or {}
    check_config(config, model, limits)
    tools = read_tools(body, limits)
    talk = read_contents(body, limits)
    ask = _ask(sent, body, talk, limits, tools)
    thoughts = bool((config.get("thinkingConfig") or {}).get("includeThoughts"))
    return (
        body,
        ask,
        Shape(model, _prompt_tokens(body, talk, limits), limits.signs, thoughts, sse=not _wants_array(sent)),
    )


def _prompt_tokens(body: dict[str, Any], talk: Talk, limits: Rules) -> int:
    offered = [body[name] for name in ("tools",) if body.get(name)]
    tokens = talk.tokens + (count(orjson.dumps(offered).decode()) if offered else 0)
    if tokens > limits.context:
        raise refused(
            f"The input token count ({tokens}) exceeds the maximum number of tokens allowed ({limits.context})."
        )
    return max(1, tokens)


def _ask(sent: Sent, body: dict[str, Any], talk: Talk, limits: Rules, tools: list[Spec]) -> Ask:
    config = body.get("generationConfig") or {}
    choice, named = read_choice(body, tools)
    model = sent.params["model"]
    schema = config.get("responseSchema", config.get("responseJsonSchema"))
    return Ask(
        model=model,
        prompt=talk.prompt,
        key=hashlib.blake2b(orjson.dumps([model, body["contents"]]), digest_size=16).digest(),
        seen=talk.seen,
        results=talk.results,
        follow=talk.follow,
        tools=tools,
        choice=choice,
        named=named,
        schema=schema,
        json_object=config.get("responseMimeType") == "application/json" and schema is None,
        think=thinks(config, limits),
        max_tokens=config.get("maxOutputTokens"),
        stop=config.get("stopSequences", []),
        pieces=sent.chunks,
        mute=sent.mute,
    )


# ---------------------------------------------------------------- counting and embedding


def count_tokens(sent: Sent) -> Whole:
    """POST …:countTokens, of bare contents or of a whole request."""
    model = sent.params["model"]
    if not known(model):
        raise no_model(model, "countTokens")
    body = _body(sent, "CountTokensRequest")
    if "contents" in body and "generateContentRequest" in body:
        raise refused("Only one of contents and generate_content_request may be set.")
    request = body.get("generateContentRequest", body)
    limits = rules(model)
    tokens = _prompt_tokens(request, read_contents(request, limits), limits)
    details = [{"modality": "TEXT", "tokenCount": tokens}]
    return Whole(orjson.dumps({"totalTokens": tokens, "promptTokensDetails": details}))


def embed_content(sent: Sent) -> Whole:
    """POST …:embedContent."""
    values, tokens = _embedding(sent, _body(sent, "EmbedContentRequest"), "EmbedContentRequest")
    return Whole(orjson.dumps({"embedding": {"values": values}}), tokens, billed=True)


def batch_embed_contents(sent: Sent) -> Whole:
    """POST …:batchEmbedContents."""
    requests = _body(sent, "BatchEmbedContentsRequest").get("requests", [])
    if not requests:
        raise refused("* BatchEmbedContentsRequest.requests: requests is not specified\n")
    if len(requests) > MAX_BATCH:
        raise refused("* BatchEmbedContentsRequest.requests: at most 100 requests can be in one batch\n")
    for place, request in enumerate(requests):
        if request.get("model", "").removeprefix("models/") != sent.params["model"]:
            raise refused(
                f"* BatchEmbedContentsRequest.requests[{place}].model: model must match the model in the URL\n"
            )
    embedded = [
        _embedding(sent, request, f"BatchEmbedContentsRequest.requests[{place}]")
        for place, request in enumerate(requests)
    ]
    body = {"embeddings": [{"values": values} for values, _ in embedded]}
    return Whole(orjson.dumps(body), sum(tokens for _, tokens in embedded), billed=True)


def _embedding(sent: Sent, request: dict[str, Any], path: str) -> tuple[list[float], int]:
    model = sent.params["model"]
    if not EMBEDDING.match(model):
        raise no_model(model, "embedContent")
    parts = (request.get("content") or {}).get("parts", [])
    text = " ".join(part.get("text", "") for part in parts)
    if not text:
        raise refused(f"* {path}.content: content is empty\n")
    size = request.get("outputDimensionality", EMBEDDING_DIMENSIONS)
    if not 1 <= size <= EMBEDDING_DIMENSIONS:
        raise refused(f"* {path}.output_dimensionality: must be between 1 and {EMBEDDING_DIMENSIONS}\n")
    # Only vectors of the full size are of unit length.
    return list(embed(text, size, unit=size == EMBEDDING_DIMENSIONS)), count(text)

"""Embeddings as a client asks for them. Source: openai-python, types/embedding_create_params.py.

Extensions: `task_type` and `title` (Gemini's) and `input_type` (Cohere's and Voyage's words for a task type).
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.dialects.openai_body import read_object
from gateway.dialects.openai_checks import array, missing, name, one_of, optional_int, optional_text, wrong_type
from gateway.dialects.openai_embeddings_vectors import pack
from gateway.dialects.openai_top import example, model_name, refuse_two_readings, top_level
from gateway.types import BadRequest, Echo, EmbeddingReply, EmbeddingRequest, Peek, Usage

MAX_INPUTS = 2048
MAX_DIMENSIONS = 65_536  # far more than any model has
MAX_TOKEN = 2**31 - 1
_KNOWN = frozenset({"input", "model", "dimensions", "encoding_format", "user", "task_type", "input_type", "title"})
# Gemini's task types by the words that other vendors have for them.
_TASK_TYPES = {
    "query": "RETRIEVAL_QUERY",
    "search_query": "RETRIEVAL_QUERY",
    "document": "RETRIEVAL_DOCUMENT",
    "search_document": "RETRIEVAL_DOCUMENT",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}


def peek(body: bytes) -> Peek:
    """Read the top level. Nothing is generated, so the output cap is 0. Raises BadRequest."""
    fields = top_level(body)
    model = "" if "model" not in fields else model_name(fields["model"])
    refuse_two_readings(body, fields)
    if not model:  # a default is a chat model, and no two models' vectors can be compared
        raise missing("model")
    given = fields.get("input")
    if given is None or bytes(given) == b"null":
        raise missing("input")
    if bytes(memoryview(given)[:1]) not in (b'"', b"["):
        raise wrong_type("input", "one of a string or array", example(given))
    return Peek(model, stream=False, max_tokens=0)


def read_request(body: bytes) -> EmbeddingRequest:
    """Read all of it. Token arrays stand in `token_inputs`, and `inputs` is empty then. Raises BadRequest, never anything else."""
    fields = read_object(body)
    unknown = next((key for key in fields if key not in _KNOWN), None)
    if unknown is not None:
        raise BadRequest(f"Unrecognized request argument supplied: {unknown[:100]}", unknown[:100])
    texts, tokens = _inputs(fields.get("input"))
    format = fields.get("encoding_format")
    return EmbeddingRequest(
        model=optional_text(fields.get("model"), "model") or "",
        inputs=texts,
        token_inputs=tokens,
        dimensions=optional_int(fields.get("dimensions"), "dimensions", 1, MAX_DIMENSIONS),
        base64=format is not None and one_of(format, "encoding_format", ("float", "base64")) == "base64",
        task_type=_task_type(fields),
        title=optional_text(fields.get("title"), "title"),
        user=optional_text(fields.get("user"), "user"),
    )


def write_reply(reply: EmbeddingReply, echo: Echo) -> bytes:
    """The body of a 200; `echo.request` is the EmbeddingRequest that it answers."""
    packed = isinstance(echo.request, EmbeddingRequest) and echo.request.base64
    vectors: list[Any] = [pack(vector) for vector in reply.vectors] if packed else reply.vectors
    usage = reply.usage or Usage()
    return msgspec.json.encode(
        {
            "object": "list",
            "data": [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(vectors)],
            "model": echo.model,
            "usage": {"prompt_tokens": usage.input, "total_tokens": usage.total or usage.input},
        }
    )


def _inputs(given: object) -> tuple[list[str], list[list[int]] | None]:
    """Texts, or token lists; one input or many. What is empty or mixed is refused, as OpenAI does."""
    if isinstance(given, str):
        return [name(given, "input")], None
    if given is not None and not isinstance(given, list):
        raise wrong_type("input", "one of a string or array", given)
    items = array(given, "input")
    if not items:
        raise BadRequest("Invalid 'input': empty array. Expected an array with minimum length 1.", "input")
    if isinstance(items[0], int) and not isinstance(items[0], bool):
        return [], [_tokens(items, "input")]
    if len(items) > MAX_INPUTS:
        raise BadRequest(
            f"Invalid 'input': array too long. Expected an array with maximum length {MAX_INPUTS}, but got an array with length {len(items)} instead.",
            "input",
        )
    if isinstance(items[0], list):
        return [], [_tokens(item, f"input[{at}]") for at, item in enumerate(items)]
    return [name(item, f"input[{at}]") for at, item in enumerate(items)], None


def _tokens(given: object, param: str) -> list[int]:
    tokens = array(given, param)
    if not tokens:
        raise BadRequest(f"Invalid '{param}': empty array. Expected an array with minimum length 1.", param)
    for at, token in enumerate(tokens):
        if optional_int(token, f"{param}[{at}]", 0, MAX_TOKEN) is None:
            raise wrong_type(f"{param}[{at}]", "an integer", token)
    return tokens


def _task_type(fields: dict[str, Any]) -> str | None:
    if fields.get("task_type") is not None:
        return name(fields["task_type"], "task_type").upper()
    given = optional_text(fields.get("input_type"), "input_type")
    return _TASK_TYPES.get(given.lower(), given.upper()) if given else None

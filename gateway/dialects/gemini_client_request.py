"""A client's whole generateContent request into `types.Request`, every field checked and named as Google names it.

Fields without a place in Request go to `extra` under their camelCase names. The model and whether to stream are the URL's.
Source: https://ai.google.dev/api/generate-content; what google-genai, google-generativeai (REST) and gemini-cli send.
"""

from __future__ import annotations

from gateway.core.jsontext import NotJson, decode
from gateway.dialects.gemini_client_config import read_config
from gateway.dialects.gemini_client_contents import read_contents, read_system
from gateway.dialects.gemini_client_fields import (
    Fields,
    members,
    optional_bool,
    optional_object,
    word,
)
from gateway.dialects.gemini_client_tools import read_choice, read_tools
from gateway.types import BadRequest, Request

TIERS = {0: "UNSPECIFIED"}
TIER_NAMES = {"STANDARD": "default", "UNSPECIFIED": ""}
UNPORTABLE = ("cachedContent", "continuationToken")  # content that lies at Google; without it the answer is another one
READ = frozenset(
    {
        "model", "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "serviceTier", "store",
        "labels",
    }
)  # fmt: skip


def read_request(body: bytes) -> Request:
    """Read all of it. Raises BadRequest, never anything else."""
    return read_fields(read_object(body))


def read_object(body: bytes) -> Fields:
    """The body's fields under their camelCase names. Raises BadRequest."""
    try:
        fields = decode(body)
    except NotJson as error:
        raise BadRequest(f"Invalid JSON payload received. {error}", code="invalid_json") from None
    if not isinstance(fields, dict):
        raise BadRequest("Invalid JSON payload received. The body must be a JSON object.", code="invalid_json")
    return members(fields, "")


def read_fields(fields: Fields) -> Request:
    """A request from the fields of its body, which have their camelCase names."""
    messages = read_system(fields.get("systemInstruction"), "systemInstruction")
    messages += read_contents(fields.get("contents"), "contents")
    tools = read_tools(fields.get("tools"))
    request = Request(
        model="",
        messages=messages,
        tools=tools,
        tool_choice=read_choice(fields.get("toolConfig"), tools),
        extra={key: value for key, value in fields.items() if key not in READ and value is not None},
        unportable=[key for key in UNPORTABLE if fields.get(key)],
    )
    read_config(fields.get("generationConfig"), request)
    _read_the_rest(fields, request)
    return request


def _read_the_rest(fields: Fields, request: Request) -> None:
    tier = word(fields.get("serviceTier"), "serviceTier", TIERS)
    if tier:
        request.service_tier = TIER_NAMES.get(tier, tier.lower()) or None
    store = optional_bool(fields.get("store"), "store")
    if store is not None:
        request.extra["store"] = store
    labels = optional_object(fields.get("labels"), "labels")
    if labels:
        request.extra["labels"] = labels

"""A request as Gemini's generateContent takes it.

The model's name and whether to stream are no part of the body: they stand in the path (providers/gemini.py).
Source: https://ai.google.dev/api/generate-content, google-genai's types.
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.dialects.gemini_config import (
    generation_config,
    instruction,
    plain_config,
    wants_instruction,
    watched_stops,
)
from gateway.dialects.gemini_contents import plain_contents, split_system, write_contents
from gateway.dialects.gemini_tools import Toolbox
from gateway.types import Abilities, Notes, Request, Target, Unsupported, Written

Wire = dict[str, Any]

MAX_BODY_BYTES = 20 * 1024 * 1024  # with the files inside it
TIERS = {
    "default": "standard",
    "standard": "standard",
    "flex": "flex",
    "priority": "priority",
    "fast": "priority",
    "auto": "",
}
# Google's extensions, under both spellings: extra_body.google of its OpenAI-compatible endpoint, and the fields' own names.
BODY_FIELDS = {
    "cached_content": "cachedContent",
    "safety_settings": "safetySettings",
    "labels": "labels",
}
CONFIG_FIELDS = {
    "thinking_config": "thinkingConfig",
    "response_modalities": "responseModalities",
    "media_resolution": "mediaResolution",
    "speech_config": "speechConfig",
    "image_config": "imageConfig",
}
SPELLINGS = {
    **{own: own for own in BODY_FIELDS.values()},
    **{own: own for own in CONFIG_FIELDS.values()},
    **BODY_FIELDS,
    **CONFIG_FIELDS,
}
_NO_TOOLS = Toolbox(Request(model="", messages=[]), Abilities(), Notes())
_encode = msgspec.json.Encoder().encode
HANDLED = ("cache_control", "store", "modalities", "audio", "web_search_options", "extra_body", "google")


def write_request(request: Request, target: Target, notes: Notes) -> Written:
    """The body and how to undo its renamings. Raises Unsupported when the model cannot take something that must not go."""
    plain = request.plain
    said = plain_contents(request.messages) if plain else None
    if said is not None:
        tools, (system, contents) = _NO_TOOLS, said
    else:
        tools, system, contents = _read(request, target, notes)
    body: Wire = {"systemInstruction": {"parts": system}} if system else {}
    body["contents"] = contents
    if plain:
        config = plain_config(request, target, notes)
    else:
        _add_tools(body, request, tools)
        config = generation_config(request, target, notes)
        _add_extra(body, config, request, notes)
        _drop_the_rest(request, notes)
    if config:
        body["generationConfig"] = config
    encoded = _encoded(body)
    return Written(encoded, undo=tools.undo(encoded, watched_stops(request) if request.stop else ()))


def _read(request: Request, target: Target, notes: Notes) -> tuple[Toolbox, list[Wire], list[Wire]]:
    """The tools, what the system says, and the contents."""
    tools = Toolbox(request, target.abilities, notes)
    system, start = split_system(request.messages)
    contents = write_contents(request, start, target, tools, notes)
    if not contents:
        contents, system = [{"role": "user", "parts": system or [{"text": " "}]}], []
    if request.format is not None and wants_instruction(request, target.abilities):
        system = [*system, {"text": instruction(request.format)}]
        notes.warn("json_mode_emulated")
    return tools, system, contents


def _encoded(body: Wire) -> bytes:
    encoded = _encode(body)
    if len(encoded) > MAX_BODY_BYTES:
        raise Unsupported("messages", "The files in this request are larger than 20 MB together.", "request_too_large")
    return encoded


def _add_tools(body: Wire, request: Request, tools: Toolbox) -> None:
    entries = tools.entries(request)
    config = tools.config(request, entries)
    if entries:
        body["tools"] = entries
    if config:
        body["toolConfig"] = config


def _add_extra(body: Wire, config: Wire, request: Request, notes: Notes) -> None:
    """Fields without a place in types.Request: Google's own go on, `store` and `modalities` are mapped, others are dropped."""
    _add_tier(body, request, notes)
    if not request.extra:
        return
    if request.extra.get("store") is False:
        body["store"] = False
    _add_modalities(config, request)
    for name, value in _google_fields(request.extra, notes).items():
        place = config if name in CONFIG_FIELDS.values() else body
        place[name] = value


def _google_fields(extra: Wire, notes: Notes) -> Wire:
    """Google's own fields under their wire names, from the top level, `google` and `extra_body.google`."""
    fields: Wire = {}
    for name, value in extra.items():
        if value is None or name in HANDLED:
            continue
        if name in SPELLINGS:
            fields[SPELLINGS[name]] = value
        else:
            notes.drop(name, "unknown_field")
    nested = extra.get("extra_body")
    for group in (extra.get("google"), nested.get("google") if isinstance(nested, dict) else None):
        for name, value in group.items() if isinstance(group, dict) else ():
            if name in SPELLINGS:
                fields[SPELLINGS[name]] = value
            else:
                notes.drop(f"google.{name}", "unknown_field")
    return fields


def _add_tier(body: Wire, request: Request, notes: Notes) -> None:
    if request.service_tier is None:
        return
    tier = TIERS.get(request.service_tier)
    if tier is None:
        notes.drop("service_tier", "service_tier_unsupported")
    elif tier:
        body["serviceTier"] = tier


def _add_modalities(config: Wire, request: Request) -> None:
    modalities = request.extra.get("modalities")
    if request.extra.get("audio") is not None or (isinstance(modalities, list) and "audio" in modalities):
        raise Unsupported("modalities", "Spoken answers are not supported by this provider.", "unsupported_content")
    if isinstance(modalities, list) and "image" in modalities:
        config["responseModalities"] = [str(modality).upper() for modality in modalities]


def _drop_the_rest(request: Request, notes: Notes) -> None:
    """What has no counterpart. Who the end user is stays with us without a word: it changes no answer."""
    if request.logit_bias:
        notes.drop("logit_bias")
    if request.verbosity is not None:
        notes.drop("verbosity")
    if request.metadata:
        notes.drop("metadata")

"""OpenAI's moderations: a text is flagged when it says "attack" or "hate"; everything else is harmless here."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from gateway.simulator.openai_body import read_body
from gateway.simulator.openai_errors import no_model, refused
from gateway.simulator.openai_fields import missing, wrong_type, wrong_value
from gateway.simulator.openai_media import picture
from gateway.simulator.replies import Sent, Whole

FIELDS = frozenset({"input", "model"})
NEWEST = "omni-moderation-latest"
CATEGORIES = (
    *("harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent"),
    *("self-harm", "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence"),
    "violence/graphic",
)
WORDS = {"attack": "violence", "hate": "hate"}


def moderations(sent: Sent) -> Whole:
    """POST /v1/moderations."""
    body = read_body(sent)
    unknown = [name for name in body if name not in FIELDS]
    if unknown:
        raise refused(f"Unrecognized request argument supplied: {unknown[0]}")
    model = body.get("model") or NEWEST
    if not isinstance(model, str):
        raise wrong_type("model", model, str)
    if not model.startswith(("omni-moderation", "text-moderation")):
        raise no_model(model)
    results = [_result(text) for text in _texts(body.get("input"))]
    id = hashlib.blake2b(sent.body, digest_size=12).hexdigest()
    return Whole(orjson.dumps({"id": f"modr-{id}", "model": model, "results": results}), billed=True)


def _texts(given: Any) -> list[str]:
    """The inputs: texts one by one, or parts that belong together."""
    if given is None:
        raise missing("input")
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list):
        raise wrong_type("input", given, str, list)
    if not given:
        raise refused("Invalid 'input': empty array.", "input", "empty_array")
    if all(isinstance(text, str) for text in given):
        return list(given)
    return [" ".join(_part(part, f"input[{place}]") for place, part in enumerate(given))]


def _part(part: Any, at: str) -> str:
    match part:
        case {"type": "text", "text": str(text)}:
            return text
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            return picture(url, f"{at}.image_url.url")
        case {"type": "text" | "image_url" as kind}:
            raise missing(f"{at}.{kind}")
        case {"type": other}:
            raise wrong_value(f"{at}.type", other, ("text", "image_url"))
    raise wrong_type(at, part, dict)


def _result(text: str) -> dict[str, Any]:
    found = {category for word, category in WORDS.items() if word in text.lower()}
    applied = {name: ["text"] for name in CATEGORIES}
    return {
        "flagged": bool(found),
        "categories": {name: name in found for name in CATEGORIES},
        "category_scores": {name: 0.95 if name in found else 0.0001 for name in CATEGORIES},
        "category_applied_input_types": applied,
    }

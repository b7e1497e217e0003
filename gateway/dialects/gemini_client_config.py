"""`generationConfig` of a client: sampling, limits, output format and thinking, into `types.Request`.

What has no place there goes to `extra` under its own camelCase name. Source: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from gateway.dialects.gemini_client_fields import (
    Fields,
    inside,
    invalid,
    members,
    optional_bool,
    optional_number,
    optional_object,
    optional_text,
    optional_whole,
    repeated,
    text,
    word,
)
from gateway.dialects.gemini_client_peek import CONFIG, with_config
from gateway.dialects.gemini_client_schema import to_json_schema
from gateway.types import Peek, Request, ResponseFormat

JSON = "application/json"
PLAIN = ("", "text/plain")
SEEDS = 2**63
LARGEST_BUDGET = 2**31 - 1
DYNAMIC_BUDGET = -1
DYNAMIC_EFFORT = "medium"  # thinking is on and nobody said how much
BUDGETS = ((1, "none"), (513, "minimal"), (2048, "low"), (12288, "medium"), (28000, "high"))  # below, the word
LEVELS = {0: "THINKING_LEVEL_UNSPECIFIED"}  # no client sends the others as numbers: their protos are older
EFFORTS = ("minimal", "low", "medium", "high", "xhigh")
HANDLED = frozenset(
    {
        "temperature", "topP", "topK", "presencePenalty", "frequencyPenalty", "candidateCount", "maxOutputTokens",
        "stopSequences", "seed", "responseLogprobs", "logprobs", "thinkingConfig",
    }
)  # fmt: skip
FORMAT = frozenset({"responseMimeType", "responseSchema", "responseJsonSchema"})


def read_config(value: object, request: Request) -> None:
    """Read all of it into `request`. Raises BadRequest naming generationConfig…"""
    config = members(value, CONFIG) if value is not None else {}
    _read_sampling(config, request)
    _read_limits(config, request)
    request.format = _format(config)
    _read_thinking(config.get("thinkingConfig"), request)
    kept = HANDLED if request.format is None and "responseMimeType" in config else HANDLED | FORMAT
    if config.get("responseMimeType") in PLAIN:
        kept = HANDLED | FORMAT
    request.extra.update({key: item for key, item in config.items() if key not in kept and item is not None})


def _read_sampling(config: Fields, request: Request) -> None:
    def number(name: str, low: float, high: float) -> float | None:
        return optional_number(config.get(name), inside(CONFIG, name), low, high)

    request.temperature = number("temperature", 0, 2)
    request.top_p = number("topP", 0, 1)
    request.top_k = optional_whole(config.get("topK"), inside(CONFIG, "topK"), 0, LARGEST_BUDGET)
    request.presence_penalty = number("presencePenalty", -2, 2)
    request.frequency_penalty = number("frequencyPenalty", -2, 2)
    request.seed = optional_whole(config.get("seed"), inside(CONFIG, "seed"), -SEEDS, SEEDS - 1)
    request.logprobs = optional_bool(config.get("responseLogprobs"), inside(CONFIG, "responseLogprobs"))
    request.top_logprobs = optional_whole(config.get("logprobs"), inside(CONFIG, "logprobs"), 0, 20)
    if request.top_logprobs is not None and not request.logprobs:
        raise invalid(inside(CONFIG, "logprobs"), "responseLogprobs must be true.")


def _read_limits(config: Fields, request: Request) -> None:
    limits = with_config(Peek("", False), config)
    request.max_tokens, request.n = limits.max_tokens, limits.n
    stops = enumerate(repeated(config.get("stopSequences")))
    request.stop = [found for at, item in stops if (found := text(item, f"{CONFIG}.stopSequences[{at}]"))]


def _format(config: Fields) -> ResponseFormat | None:
    """JSON with or without a schema. A schema alone means JSON too; an enum as bare text has no counterpart."""
    mime = optional_text(config.get("responseMimeType"), inside(CONFIG, "responseMimeType")).lower()
    place = inside(CONFIG, "responseJsonSchema")
    schema = optional_object(config.get("responseJsonSchema"), place)
    if schema is None and config.get("responseSchema") is not None:
        schema = to_json_schema(config["responseSchema"], inside(CONFIG, "responseSchema"))
    if mime not in (JSON, "") or not (mime or schema):
        return None
    return ResponseFormat("json_schema", schema) if schema else ResponseFormat("json_object")


def _read_thinking(value: object, request: Request) -> None:
    """Level or budget as an effort. Thoughts are shown to those who ask for them only: others take parts[0] for the answer."""
    place = inside(CONFIG, "thinkingConfig")
    config = members(value, place) if value is not None else {}
    request.show_thoughts = optional_bool(config.get("includeThoughts"), inside(place, "includeThoughts")) or False
    level = word(config.get("thinkingLevel"), inside(place, "thinkingLevel"), LEVELS).lower()
    budget = optional_whole(
        config.get("thinkingBudget"), inside(place, "thinkingBudget"), DYNAMIC_BUDGET, LARGEST_BUDGET
    )
    if level in EFFORTS:
        request.effort = level
    elif level not in ("", LEVELS[0].lower()):
        raise invalid(inside(place, "thinkingLevel"), f"'{level[:64]}' is no thinking level.")
    elif budget is not None:
        request.effort = _effort(budget)


def _effort(budget: int) -> str:
    if budget == DYNAMIC_BUDGET:
        return DYNAMIC_EFFORT
    return next((effort for limit, effort in BUDGETS if budget < limit), "xhigh")

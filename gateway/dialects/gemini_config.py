"""`generationConfig`: sampling, limits, output format and thinking, each as far as the model takes it.

Rule: what a model would refuse or ignore is left out and told in the notes, never sent in hope.
Source: https://ai.google.dev/api/generate-content#generationconfig, …/gemini-api/docs/thinking
"""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.dialects.gemini_schema import to_openapi
from gateway.types import Abilities, Notes, Request, ResponseFormat, Target, Unsupported

Wire = dict[str, Any]

MAX_STOPS = 5
SEED_LIMIT = 2**31
LOOPING_BELOW = 1.0  # Gemini 3 may loop below its default temperature
JSON = "application/json"
BUDGETS = {
    "minimal": 512,
    "low": 1024,
    "medium": 8192,
    "high": 24576,
    "xhigh": -1,
    "max": -1,
}  # -1: as much as it likes
SMALLEST_PRO_BUDGET = 128  # the pro models cannot stop thinking
LARGEST_BUDGET = 24576
DYNAMIC_BUDGET = -1
LEVELS = {  # the first one that the model knows
    "none": ("minimal", "low"),
    "minimal": ("minimal", "low"),
    "low": ("low",),
    "medium": ("medium", "high"),
    "high": ("high",),
    "xhigh": ("xhigh", "high"),
    "max": ("xhigh", "high"),
}
EFFORT_BY_BUDGET = ((2048, "low"), (12288, "medium"))


def generation_config(request: Request, target: Target, notes: Notes) -> Wire:
    """The whole of it, {} when nothing is to be said. Raises Unsupported for n and stop beyond the model's reach."""
    config: Wire = {}
    if not (request.temperature is None and request.top_p is None and request.top_k is None):
        config.update(_sampling(request, target.abilities, notes))
    config.update(_limits(request, target.abilities, notes))
    if not (request.presence_penalty is None and request.frequency_penalty is None):
        config.update(_penalties(request, target.abilities, notes))
    if request.logprobs:
        config.update(_logprobs(request, target.abilities, notes))
    if request.format is not None and not wants_instruction(request, target.abilities):
        config.update(_format(request.format, target.abilities, notes))
    thinking = _thinking(request, target, notes)
    if thinking:
        config["thinkingConfig"] = thinking
    return config


def plain_config(request: Request, target: Target, notes: Notes) -> Wire:
    """The same for a request that is plain."""
    config: Wire = {}
    if request.max_tokens is not None:
        _cap(config, request.max_tokens, target.abilities, notes)
    if _thinks_aloud(request, target):
        config["thinkingConfig"] = {"includeThoughts": True}
    return config


def wants_instruction(request: Request, abilities: Abilities) -> bool:
    """Whether JSON output can only be asked for in words, because the model takes either tools or a JSON format."""
    format = request.format
    return format is not None and format.kind != "text" and bool(request.tools) and not abilities.tools_with_schema


def instruction(format: ResponseFormat) -> str:
    """The request for JSON in words; the same text for the same format, always."""
    if format.schema is None:
        return "When you answer in text, reply with one JSON object and nothing else."
    schema = msgspec.json.encode(format.schema).decode()
    return f"When you answer in text, reply with JSON that matches this JSON schema and nothing else:\n{schema}"


def _sampling(request: Request, abilities: Abilities, notes: Notes) -> Wire:
    given = {"temperature": request.temperature, "top_p": request.top_p, "top_k": request.top_k}
    names = {"temperature": "temperature", "top_p": "topP", "top_k": "topK"}
    given = {name: value for name, value in given.items() if value is not None}
    if abilities.sampling != "ok":
        for name, value in given.items():
            if value != 1 or name == "top_k":
                notes.drop(name, "sampling_unsupported")
        return {}
    if abilities.thinking_levels and (request.temperature is not None and request.temperature < LOOPING_BELOW):
        notes.warn("low_temperature_may_loop")
    return {names[name]: value for name, value in given.items()}


def _limits(request: Request, abilities: Abilities, notes: Notes) -> Wire:
    limits: Wire = {}
    if request.max_tokens is not None:
        _cap(limits, request.max_tokens, abilities, notes)
    if request.n > 1:
        if not abilities.candidate_count:
            raise Unsupported("n", "This model gives one answer at a time; use n = 1.")
        limits["candidateCount"] = request.n
    stops = [text for text in request.stop if text] if request.stop else []
    if len(stops) > MAX_STOPS:
        if request.n > 1:
            raise Unsupported("stop", f"This model takes at most {MAX_STOPS} stop sequences for several answers.")
        notes.warn("stop_emulated")
    if stops:
        limits["stopSequences"] = stops[:MAX_STOPS]
    if request.seed is not None:
        limits["seed"] = request.seed
        if not -SEED_LIMIT <= request.seed < SEED_LIMIT:
            limits["seed"] = request.seed % SEED_LIMIT
            notes.warn("seed_reduced")
    return limits


def _cap(limits: Wire, max_tokens: int, abilities: Abilities, notes: Notes) -> None:
    most = abilities.max_output
    if most is not None and max_tokens > most:
        notes.warn("max_tokens_clamped")
        max_tokens = most
    limits["maxOutputTokens"] = max_tokens


def watched_stops(request: Request) -> tuple[str, ...]:
    """The stop sequences to look for in the answer: all of them where there are more than Gemini takes."""
    stops = tuple(text for text in request.stop if text)
    return stops if len(stops) > MAX_STOPS else ()


def _logprobs(request: Request, abilities: Abilities, notes: Notes) -> Wire:
    if not abilities.logprobs:
        notes.drop("logprobs", "logprobs_unsupported")
        return {}
    return {"responseLogprobs": True, **({"logprobs": request.top_logprobs} if request.top_logprobs else {})}


def _penalties(request: Request, abilities: Abilities, notes: Notes) -> Wire:
    given = {"presencePenalty": request.presence_penalty, "frequencyPenalty": request.frequency_penalty}
    if abilities.penalties:
        return {name: value for name, value in given.items() if value is not None}
    for name, value in (
        ("presence_penalty", request.presence_penalty),
        ("frequency_penalty", request.frequency_penalty),
    ):
        if value:
            notes.drop(name, "penalties_unsupported")
    return {}


def _format(format: ResponseFormat, abilities: Abilities, notes: Notes) -> Wire:
    if format.kind == "text":
        return {}
    if format.kind == "json_object" or format.schema is None:
        return {"responseMimeType": JSON}
    if abilities.json_schema_fields:
        return {"responseMimeType": JSON, "responseJsonSchema": format.schema}
    subset = to_openapi(format.schema, notes, param="response_format", ordered=True)
    return {"responseMimeType": JSON, **({"responseSchema": subset} if subset else {})}


def _thinking(request: Request, target: Target, notes: Notes) -> Wire:
    """`thinkingConfig`: a level or a budget, never both, and whether to show the thoughts."""
    if request.effort is None and request.thinking is None:
        return {"includeThoughts": True} if _thinks_aloud(request, target) else {}
    abilities = target.abilities
    effort, budget, show = _asked(request)
    show = show and request.show_thoughts is not False
    if not (abilities.thinking_levels or abilities.thinking_budget):
        if effort not in (None, "none"):
            notes.drop("reasoning_effort", "reasoning_unsupported")
        return {}
    if effort is not None and effort not in LEVELS:
        notes.drop("reasoning_effort", "reasoning_effort_unknown")
        effort = None
    config: Wire = {}
    if abilities.thinking_levels:
        config.update(_level(effort or _effort_of(budget), abilities.thinking_levels, notes))
    else:
        config.update(_budget(effort, budget, target.model, notes))
    on = effort is not None or budget is not None or abilities.default_thinking
    asked = effort is not None or budget is not None or target.translation.expose_reasoning
    if on and asked and show and effort != "none":  # thoughts asked for while thinking is off are refused
        config["includeThoughts"] = True
    return config


def _thinks_aloud(request: Request, target: Target) -> bool:
    """Whether thoughts are to be shown where nobody asked for an effort."""
    abilities = target.abilities
    if not abilities.default_thinking or not (abilities.thinking_levels or abilities.thinking_budget):
        return False
    return target.translation.expose_reasoning and request.show_thoughts is not False


def _asked(request: Request) -> tuple[str | None, int | None, bool]:
    """Effort, budget in tokens, and whether thoughts may be shown; Anthropic's `thinking` object wins where there is one."""
    thinking = request.thinking
    if thinking is None:
        return request.effort, None, True
    show = thinking.get("display") != "omitted"
    match thinking.get("type"):
        case "disabled" | "between_tools":
            return "none", None, show
        case "enabled" if isinstance(thinking.get("budget_tokens"), int):
            return None, thinking["budget_tokens"], show
    return request.effort, None, show


def _effort_of(budget: int | None) -> str | None:
    if budget is None:
        return None
    return next((effort for limit, effort in EFFORT_BY_BUDGET if budget < limit), "high")


def _level(effort: str | None, levels: tuple[str, ...], notes: Notes) -> Wire:
    if effort is None:
        return {}
    level = next((level for level in LEVELS[effort] if level in levels), levels[-1])
    if effort == "none" and level != "minimal":
        notes.warn("reasoning_cannot_be_disabled")
    elif level != effort and effort != "none":
        notes.warn("reasoning_effort_clamped")
    return {"thinkingLevel": level.upper()}


def _budget(effort: str | None, budget: int | None, model: str, notes: Notes) -> Wire:
    if effort == "none":
        if "pro" not in model:
            return {"thinkingBudget": 0}
        notes.warn("reasoning_cannot_be_disabled")
        return {"thinkingBudget": SMALLEST_PRO_BUDGET}
    if budget is not None:
        return {"thinkingBudget": min(budget, LARGEST_BUDGET)}
    return {"thinkingBudget": BUDGETS[effort]} if effort is not None else {}

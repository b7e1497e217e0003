"""The plain parameters of a request to Anthropic: limits, sampling, stop, identity, tier, and what has no place there.

Rule 1: a parameter that cannot be sent goes through `notes.drop`, which refuses it when the client asked for strictness.
Rule 2: what the caller's result depends on (n, logprobs, audio) is refused, never dropped.
Sources: anthropic types message_create_params.py; platform.claude.com migration to version 2026-10-21 (sampling fields are
unknown there, 2023-06-01 still takes them for the models that have them).
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from gateway.types import Abilities, Notes, Request, Target, Unsupported

VERSION = "2026-10-21"
SAMPLING_VERSION = "2023-06-01"
MAX_TOKENS = 32_000
MAX_TOKENS_STREAMING = 64_000

# Hints and bookkeeping between a client and OpenAI: leaving them out changes no answer.
SILENT = frozenset(
    {
        "store",
        "prediction",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prompt_cache_options",
        "stream_options",
        "metadata",
    }
)
PASSED = frozenset({"cache_control"})  # Anthropic's own, without a price or a scope of the operator's
REFUSED = ("audio",)
ELSEWHERE = ("modalities", "anthropic", "web_search_options", "max_tool_calls")  # looked at in other places
# Fields of Anthropic's own that only a beta knows, and kinds of context edits that need another one.
BETAS = {"context_management": "context-management-2025-06-27", "compaction": "compact-2026-09-04"}
EDIT_BETAS = {"compact_20260112": "compact-2026-01-12"}
FAST_BETA = "fast-mode-2026-02-01"
TIERS = {"default": "standard_only", "standard_only": "standard_only", "priority": "auto", "fast": "auto"}
_PERSONAL = re.compile(r"[^@\s]+@[^@\s]+|\+?[\d\s().-]{7,}")


def max_tokens(request: Request, abilities: Abilities, notes: Notes) -> int:
    """The output limit, which Anthropic requires. Thoughts count, so a small default would give empty answers."""
    most = abilities.max_output
    if request.max_tokens is None:
        default = MAX_TOKENS_STREAMING if request.stream else MAX_TOKENS
        return default if most is None else min(most, default)
    if request.max_tokens < 1:
        raise Unsupported("max_tokens", "max_tokens must be at least 1", "invalid_request")
    if most is not None and request.max_tokens > most:
        notes.warn("max_tokens_clamped")
        return most
    return request.max_tokens


def refuse(request: Request) -> None:
    """Raises Unsupported for what would change the answer's meaning if it were left out."""
    if request.n > 1:
        raise Unsupported("n", "this provider gives one choice per request: n must be 1")
    if request.logprobs or request.top_logprobs:
        raise Unsupported("logprobs", "log probabilities are not available from this provider")
    if not request.extra:
        return
    modalities = request.extra.get("modalities")
    if isinstance(modalities, list) and any(modality != "text" for modality in modalities):
        raise Unsupported("modalities", "this provider answers in text only", "unsupported_content")
    for name in REFUSED:
        if request.extra.get(name) is not None:
            raise Unsupported(name)


def sampling(request: Request, target: Target, thinking: bool, notes: Notes) -> dict[str, Any]:
    """temperature, top_p and top_k as far as the model takes them; anything at all needs SAMPLING_VERSION."""
    if request.temperature is None and request.top_p is None and request.top_k is None:
        return {}
    given = _asked(request, notes)
    legacy = target.abilities.sampling == "ok" and target.translation.anthropic_sampling == "legacy"
    kept = {} if not legacy else _alongside_thinking(given) if thinking else _exclusive(given)
    for name in given:
        if name not in kept:
            notes.drop(name, "sampling_unsupported")
    return kept


def _asked(request: Request, notes: Notes) -> dict[str, Any]:
    """What differs from the defaults; those may go unsaid. Anthropic's temperature ends at 1, OpenAI's at 2."""
    temperature = request.temperature
    if temperature is not None and temperature > 1:
        notes.warn("temperature_clamped")
        temperature = 1.0
    asked = {"temperature": temperature, "top_p": request.top_p, "top_k": request.top_k}
    return {name: value for name, value in asked.items() if value is not None and (value != 1 or name == "top_k")}


def _exclusive(given: dict[str, Any]) -> dict[str, Any]:
    # Models since 4.5 refuse temperature and top_p together.
    return {name: value for name, value in given.items() if name != "top_p" or "temperature" not in given}


def _alongside_thinking(given: dict[str, Any]) -> dict[str, Any]:
    return {"top_p": given["top_p"]} if given.get("top_p", 0) >= 0.95 else {}


def stop_sequences(request: Request, notes: Notes) -> list[str]:
    """Stop texts without the blank ones, which Anthropic refuses."""
    kept = [text for text in request.stop if text.strip()]
    if len(kept) < len(request.stop):
        notes.warn("stop_sequences_cleaned")
    return kept


def user_id(request: Request) -> str | None:
    """Who the client's user is, hashed when it looks like an address or a number: Anthropic forbids personal data."""
    given = request.safety_identifier or request.user or (request.metadata or {}).get("user_id")
    if not isinstance(given, str) or not given:
        return None
    if _PERSONAL.fullmatch(given.strip()):
        return hashlib.sha256(given.encode("utf-8", "replace")).hexdigest()
    return given


def betas(body: dict[str, Any]) -> list[str]:
    """The betas that fields of Anthropic's own in `body` need."""
    found = [beta for name, beta in BETAS.items() if body.get(name) is not None]
    managed = body.get("context_management")
    edits = managed.get("edits") if isinstance(managed, dict) else None
    kinds = [edit.get("type") for edit in edits if isinstance(edit, dict)] if isinstance(edits, list) else []
    found += [beta for kind, beta in EDIT_BETAS.items() if kind in kinds]
    return found + [FAST_BETA] * (body.get("speed") == "fast")


def service_tier(request: Request, notes: Notes) -> str | None:
    tier = request.service_tier
    if tier is None or tier == "auto":
        return None
    if tier not in TIERS:
        notes.drop("service_tier")
    return TIERS.get(tier)


def drop_the_rest(request: Request, notes: Notes) -> dict[str, Any]:
    """Note what Anthropic has no place for, and give what goes through: its own fields and those under `anthropic`."""
    if request.seed is not None:
        notes.drop("seed")
    if request.logit_bias:
        notes.drop("logit_bias")
    if request.presence_penalty:
        notes.drop("presence_penalty")
    if request.frequency_penalty:
        notes.drop("frequency_penalty")
    if request.verbosity is not None:
        notes.drop("verbosity")
    if not request.extra:
        return {}
    own = request.extra.get("anthropic")
    passed = {name: value for name, value in own.items() if name != "stream"} if isinstance(own, dict) else {}
    for name, value in request.extra.items():
        if name in PASSED:
            passed[name] = value
        elif value is not None and name not in SILENT and name not in ELSEWHERE:
            notes.drop(name)
    return passed

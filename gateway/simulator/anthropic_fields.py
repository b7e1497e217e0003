"""The top level of a Messages request as Anthropic checks it: names, types, and what the model and the version take."""

from __future__ import annotations

from typing import Any

from gateway.simulator.anthropic_errors import refused
from gateway.simulator.anthropic_models import NEW_VERSION, Rules
from gateway.simulator.replies import Refused

KINDS: dict[str, type | tuple[type, ...]] = {
    "model": str,
    "max_tokens": int,
    "messages": list,
    "cache_control": dict,
    "container": (str, dict),
    "diagnostics": dict,
    "inference_geo": str,
    "metadata": dict,
    "output_config": dict,
    "service_tier": str,
    "speed": str,
    "stop_sequences": list,
    "stream": bool,
    "system": (str, list),
    "thinking": dict,
    "tool_choice": dict,
    "tools": list,
}
SAMPLING: dict[str, type | tuple[type, ...]] = {"temperature": float, "top_p": float, "top_k": int}
# Fields that exist only with a beta header.
BETA = frozenset(
    {
        "billing_policy",
        "compaction",
        "context_management",
        "fallback_credit_token",
        "fallbacks",
        "mcp_servers",
        "output_format",
        "thread",
    }
)
COUNTED = frozenset(
    {"model", "messages", "cache_control", "output_config", "speed", "system", "thinking", "tool_choice", "tools"}
)
NULLABLE = frozenset({"cache_control", "container", "diagnostics", "inference_geo", "speed"})
SAID = {str: "string", int: "integer", float: "number", dict: "dictionary", list: "list", bool: "boolean"}


def extra(path: str) -> Refused:
    """A key that the API does not know."""
    return refused(f"{path}: Extra inputs are not permitted")


def missing(path: str) -> Refused:
    return refused(f"{path}: Field required")


def only(value: dict[str, Any], allowed: frozenset[str], path: str) -> None:
    """Refuse keys beyond the allowed ones."""
    for name in value:
        if name not in allowed:
            raise extra(f"{path}.{name}")


def typed(value: Any, kind: type, path: str) -> Any:
    """The value, if it is of the kind; numbers may be whole. Raises Refused in the words of Anthropic's validator."""
    right = isinstance(value, (int, float)) if kind is float else isinstance(value, kind)
    if not right or (isinstance(value, bool) and kind is not bool):
        raise refused(f"{path}: Input should be a valid {SAID[kind]}")
    return value


def check_fields(body: dict[str, Any], version: str, beta: bool, counting: bool) -> None:
    """Names, types and required fields. Raises Refused for the first thing that is wrong."""
    kinds = KINDS if version == NEW_VERSION else {**KINDS, **SAMPLING}
    for name, value in body.items():
        if name in BETA and beta:
            continue
        if name not in kinds or (counting and name not in COUNTED):
            raise extra(name)
        if value is None and name in NULLABLE:
            continue
        _check_kind(name, value, kinds[name])
    for name in ("model", "messages") if counting else ("model", "max_tokens", "messages"):
        if name not in body:
            raise missing(name)
    if not body["messages"]:
        raise refused("messages: at least one message is required")


def _check_kind(name: str, value: Any, kind: type | tuple[type, ...]) -> None:
    if not isinstance(kind, tuple):
        typed(value, kind, name)
    elif not isinstance(value, kind):
        raise refused(f"{name}: Input should be a valid {SAID[kind[0]]}")


def check_limits(body: dict[str, Any], rules: Rules) -> None:
    """Ranges, and what this model does not take."""
    most = body.get("max_tokens", 1)
    if most < 0:
        raise refused("max_tokens: must be greater than or equal to 0")
    if most > rules.max_output:
        raise refused(
            f"max_tokens: {most} > {rules.max_output}, which is the maximum allowed number of output tokens for {body['model']}"
        )
    for mark in body.get("stop_sequences") or []:
        if not typed(mark, str, "stop_sequences").strip():
            raise refused("stop_sequences: each stop sequence must contain non-whitespace")
    if body.get("service_tier") not in (None, "auto", "standard_only"):
        raise refused("service_tier: Input should be 'auto' or 'standard_only'")
    only(body.get("metadata") or {}, frozenset({"user_id"}), "metadata")
    _check_sampling(body, rules)
    _check_effort(body, rules)
    _check_thinking(body, rules)


def _check_sampling(body: dict[str, Any], rules: Rules) -> None:
    temperature = body.get("temperature")
    if temperature is not None and not 0 <= temperature <= 1:
        raise refused("temperature: range: 0..1")
    if not rules.sampling:
        for name, value in (("temperature", temperature), ("top_p", body.get("top_p")), ("top_k", body.get("top_k"))):
            if value is not None and not (name == "temperature" and value == 1):
                raise refused(f"`{name}` is deprecated for this model.")
    if thinking_type(body) in ("enabled", "adaptive"):
        if temperature not in (None, 1):
            raise refused(
                "`temperature` may only be set to 1 when thinking is enabled. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking"
            )
        if body.get("top_k") is not None:
            raise refused("`top_k` must be unset when thinking is enabled.")


def thinking_type(body: dict[str, Any]) -> str | None:
    """What `thinking` asks for."""
    return (body.get("thinking") or {}).get("type")


def _check_effort(body: dict[str, Any], rules: Rules) -> None:
    config = body.get("output_config") or {}
    only(config, frozenset({"effort", "format"}), "output_config")
    effort = config.get("effort")
    if effort is None:
        return
    if not rules.efforts:
        raise refused("This model does not support the effort parameter.")
    if effort not in rules.efforts:
        raise refused(
            f"This model does not support effort level '{effort}'. Supported levels: {', '.join(rules.efforts)}."
        )


def _check_thinking(body: dict[str, Any], rules: Rules) -> None:
    thinking = body.get("thinking")
    if thinking is None:
        return
    kind = thinking.get("type")
    if kind not in ("adaptive", "between_tools", "disabled", "enabled"):
        raise refused(
            f"thinking: Input tag '{kind}' found using 'type' does not match any of the expected tags: 'adaptive', 'between_tools', 'disabled', 'enabled'"
        )
    if kind not in rules.thinking:
        listed = ", ".join(f'"thinking.type.{other}"' for other in rules.thinking)
        raise refused(f'"thinking.type.{kind}" is not supported for this model. Supported: {listed}.')
    if kind == "enabled":
        _check_budget(thinking, body.get("max_tokens"))
    if kind == "disabled" and (body.get("output_config") or {}).get("effort") in ("xhigh", "max"):
        raise refused('"thinking.type.disabled" is not supported with an effort above "high".')
    if thinking.get("display") not in (None, "summarized", "omitted", "updates"):
        raise refused("thinking.display: Input should be 'summarized' or 'omitted'")


def _check_budget(thinking: dict[str, Any], most: int | None) -> None:
    budget = thinking.get("budget_tokens")
    if budget is None:
        raise missing("thinking.enabled.budget_tokens")
    typed(budget, int, "thinking.enabled.budget_tokens")
    if budget < 1024:
        raise refused("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
    if most is not None and budget >= most:
        raise refused(
            "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at https://docs.claude.com/en/docs/build-with-claude/extended-thinking#max-tokens-and-context-window-size"
        )

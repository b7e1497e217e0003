"""Thinking blocks: their signatures, and the check when a conversation brings them back.

Rule 1: the signature covers the text as it was shown, an omitted (empty) one too.
Rule 2: on newer models a block belongs to everything before it (system, tools, earlier messages); elsewhere it is refused, or
        left out when the request says so (thinking.block_binding).
Source: Anthropic's extended thinking and preserved thinking guides.
"""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
from msgspec import Struct

from gateway.simulator.anthropic_errors import refused
from gateway.simulator.anthropic_fields import extra
from gateway.simulator.anthropic_models import Rules
from gateway.simulator.signatures import sign, verify

BINDING_BETA = "thinking-binding-controls-2026-08-01"


def prefix(body: dict[str, Any], messages: list[Any]) -> bytes:
    """A digest of what a thinking block is bound to. Cache markers move from turn to turn and do not count."""
    bound = _plain([body.get("system") or [], body.get("tools") or [], messages])
    return hashlib.blake2b(orjson.dumps(bound, option=orjson.OPT_SORT_KEYS), digest_size=12).digest()


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _plain(item) for name, item in value.items() if name != "cache_control"}
    if isinstance(kept.get("content"), str) and "role" in kept:
        kept["content"] = [{"type": "text", "text": kept["content"]}]
    return kept


def signature(shown: str, body: dict[str, Any], rules: Rules) -> str:
    """The signature of a thought made in answer to `body`."""
    return sign("anthropic", shown, prefix(body, body["messages"]) if rules.bound else b"")


class Checker(Struct):
    """Checks the blocks of one request. `drop`: mismatches are left out silently instead of refused."""

    body: dict[str, Any]
    rules: Rules
    drop: bool = False

    def check(self, block: dict[str, Any], place: int, path: str) -> bool:
        """Whether a thinking block of message `place` is kept. Raises Refused."""
        binding = verify("anthropic", block["thinking"], block["signature"])
        if binding is None:
            raise refused(f"{path}: Invalid `signature` in `thinking` block")
        if not self.rules.bound or not binding or binding == prefix(self.body, self.body["messages"][:place]):
            return True
        if self.drop:
            return False
        raise refused(
            f"{path}: `thinking` block is bound to a different conversation. Thinking blocks must be sent back with everything "
            "before them unchanged, or be removed."
        )


def checker(body: dict[str, Any], rules: Rules, betas: str) -> Checker:
    """The checker for a request; block_binding exists only with its beta header."""
    thinking = body.get("thinking") or {}
    binding = thinking.get("block_binding")
    if binding is not None and BINDING_BETA not in betas:
        raise extra(f"thinking.{thinking.get('type')}.block_binding")
    return Checker(body, rules, drop=(binding or {}).get("prefix_mismatch_behavior") == "drop_block")


def check_loop(body: dict[str, Any], messages: list[Any]) -> None:
    """With manual thinking, the last assistant turn of a tool loop must begin with its thought."""
    if (body.get("thinking") or {}).get("type") != "enabled" or len(messages) < 2:
        return
    last, content = messages[-2], messages[-1].get("content")
    looping = isinstance(content, list) and any(block.get("type") == "tool_result" for block in content)
    if not looping or last.get("role") != "assistant" or not isinstance(last.get("content"), list):
        return
    kind = last["content"][0].get("type")
    if kind not in ("thinking", "redacted_thinking"):
        raise refused(
            f"messages.{len(messages) - 2}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{kind}`. When "
            "`thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of "
            "`tool_use` and `tool_result` blocks). We recommend you include thinking blocks from previous turns. To avoid this "
            "requirement, disable `thinking`."
        )

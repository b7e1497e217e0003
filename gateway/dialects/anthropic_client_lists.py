"""The small answers of the Messages API: a token count and the list of models.

Sources: anthropic types message_tokens_count.py, model_info.py; Models API list.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

MAX_CREATED = 253_402_300_799  # the last second that RFC 3339 can spell


def write_count(tokens: int) -> bytes:
    """The answer of count_tokens."""
    return b'{"input_tokens":%d}' % max(tokens, 0)


def model_entry(
    id_: str, created: int = 0, context: int | None = None, max_output: int | None = None, display_name: str = ""
) -> dict[str, Any]:
    """One model. `created` is unix seconds, 0 when unknown; `context` and `max_output` are tokens, None when unknown."""
    at = datetime.fromtimestamp(min(max(created, 0), MAX_CREATED), UTC)
    return {
        "type": "model",
        "id": id_,
        "display_name": display_name or id_,
        "created_at": at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "max_input_tokens": context,
        "max_tokens": max_output,
    }


def write_models(entries: list[dict[str, Any]], has_more: bool = False) -> bytes:
    """A page of `model_entry` objects."""
    ids = [entry["id"] for entry in entries]
    page = {
        "data": entries,
        "has_more": has_more,
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
    }
    return msgspec.json.encode(page)

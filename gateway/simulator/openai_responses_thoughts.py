"""Reasoning items: the encrypted content that OpenAI gives out, and the check when it comes back.

Rule 1: encrypted content belongs to its item (an id that does not fit is refused) and is readable by its maker alone.
Rule 2: a thought of another model is not refused; it is left out, and `input_transformations` of the answer says so.
"""

from __future__ import annotations

from typing import Any

import orjson

from gateway.simulator.openai_errors import refused
from gateway.simulator.openai_fields import missing, wrong_type
from gateway.simulator.replies import Refused
from gateway.simulator.shelf import Shelf
from gateway.simulator.signatures import sign, verify

CODE = "invalid_encrypted_content"


def encrypted(id: str, model: str, thought: str) -> str:
    """What stands in `encrypted_content`."""
    return sign("openai", "", orjson.dumps({"id": id, "model": model, "thought": thought}))


def check_thought(item: dict[str, Any], at: str, model: str, shelf: Shelf) -> dict[str, Any] | None:
    """Look at a reasoning item that came back. None when it is used, else its entry of `input_transformations`."""
    summary = item.get("summary")
    if not isinstance(summary, list):
        raise missing(f"{at}.summary") if summary is None else wrong_type(f"{at}.summary", summary, list)
    given, id = item.get("encrypted_content"), item.get("id")
    if given is None:
        if not isinstance(id, str):
            raise missing(f"{at}.id")
        if shelf.item(id) is None:
            raise not_kept(id)
        return None
    if not isinstance(given, str):
        raise wrong_type(f"{at}.encrypted_content", given, str)
    sealed = verify("openai", "", given)
    if sealed is None:
        shown = given if len(given) <= 12 else f"{given[:4]}...{given[-4:]}"
        raise refused(
            f"The encrypted content {shown} could not be verified. Reason: Encrypted content could not be decrypted or parsed.",
            code=CODE,
        )
    inside = orjson.loads(sealed)
    if id is not None and id != inside["id"]:
        raise refused(
            f"The encrypted content for item {id} could not be verified. Reason: Encrypted content item_id did not match the "
            "target item id.",
            code=CODE,
        )
    if inside["model"] == model:
        return None
    return {"id": inside["id"], "action": "removed", "reason": "model_mismatch", "type": "reasoning"}


def not_kept(id: str) -> Refused:
    """An item that is only known by its id, and that is not known."""
    return refused(
        f"Item with id '{id}' not found. Items are not persisted when `store` is set to false. Try again with `store` set to "
        "true, or remove this item from your input.",
        "input",
        status=404,
    )

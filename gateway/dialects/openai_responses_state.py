"""What the gateway keeps so that a request can say "go on from that answer": read from bodies, put into bodies, shown to clients.

Pure: a store keeps `Raw` items by (tenant, response id) and knows nothing of them. Rule: items are never parsed and written
again; a replayed history is byte for byte what was said. Source: openai-python, resources/responses/{responses,input_items}.py.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from gateway.core.splice import set_members
from gateway.dialects.openai_checks import missing, wrong_type
from gateway.dialects.openai_top import boolean, top_level
from gateway.types import BadRequest

# What would be done or kept at the provider, out of reach of quotas, and open to all tenants that share its account.
ELSEWHERE = ("background", "conversation")

_decode_items = msgspec.json.Decoder(list[Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode


class _Head(Struct):
    type: str | None = None
    id: str | None = None
    role: Any = None


_decode_head = msgspec.json.Decoder(_Head).decode


class ResponsesState(Struct, frozen=True):
    """previous_response_id: "" for none. store: whether the answer is to be kept (the default). references: ids of items that
    the input names instead of giving them."""

    previous_response_id: str = ""
    store: bool = True
    references: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing has to be looked up."""
        return not self.previous_response_id and not self.references


def state_of(body: bytes) -> ResponsesState:
    """What the body wants of the store. Raises BadRequest."""
    fields = top_level(body)
    given = bytes(fields.get("previous_response_id", b"null"))
    previous = ""
    if given != b"null":
        previous = _text(given, "previous_response_id")
        if bytes(fields.get("conversation", b"null")) != b"null":
            message = "Mutually exclusive parameters: give either 'previous_response_id' or 'conversation', not both."
            raise BadRequest(message, "previous_response_id")
    for name in ELSEWHERE:
        if bytes(fields.get(name, b"null")) not in (b"null", b"false"):
            message = f"'{name}' is not served here: its work would go on, and be kept, where nobody counts it."
            raise BadRequest(message, name, "unsupported_parameter")
    stored = bytes(fields.get("store", b"null"))
    store = stored == b"null" or boolean(fields["store"], "store")
    return ResponsesState(previous, store, tuple(_references(fields.get("input"))))


def input_items(body: bytes) -> list[Raw]:
    """The input as items: what a store keeps. Raises BadRequest."""
    return _items(top_level(body).get("input"))


def with_history(body: bytes, items: list[Raw], referenced: dict[str, Raw] | None = None) -> bytes:
    """`body` as one that needs no store: `items` before its own, references replaced, `previous_response_id` null.

    Raises BadRequest for a reference that is not in `referenced`.
    """
    fields = top_level(body)
    own = [_resolved(item, f"input[{at}]", referenced or {}) for at, item in enumerate(_items(fields.get("input")))]
    members = {"input": msgspec.json.encode([*items, *own])}
    if "previous_response_id" in fields:
        members["previous_response_id"] = b"null"
    return set_members(body, fields, members)


def output_items(answer: bytes) -> list[Raw]:
    """The output of a whole response object, for a store; [] when there is none."""
    try:
        found = msgspec.json.decode(answer, type=dict[str, Raw]).get("output")
        return _decode_items(found) if found is not None else []
    except (ValueError, RecursionError):
        return []


def item_id_of(item: Raw) -> str:
    """The id that an item can be referred to by, "" when it has none."""
    try:
        return _decode_head(item).id or ""
    except (ValueError, RecursionError):
        return ""


def not_found(previous_response_id: str) -> BadRequest:
    """The refusal for an answer that is not kept, has expired, or is another tenant's: nobody learns which."""
    shown = previous_response_id[:80]
    message = f"Previous response with id '{shown}' not found."
    return BadRequest(message, "previous_response_id", "previous_response_not_found")


def write_input_items(
    response_id: str, items: list[Raw], *, after: str = "", limit: int = 20, descending: bool = True
) -> bytes:
    """The body of GET /responses/{id}/input_items. Items without an id get one from their place; a text is a list of one part."""
    listed = [_in_parts(_with_id(item, response_id, at)) for at, item in enumerate(items)]
    ordered = listed[::-1] if descending else listed
    ids = [item_id_of(item) for item in ordered]
    start = ids.index(after) + 1 if after in ids else 0
    page, page_ids = ordered[start : start + limit], ids[start : start + limit]
    listing = {
        "object": "list",
        "data": page,
        "first_id": page_ids[0] if page_ids else None,
        "last_id": page_ids[-1] if page_ids else None,
        "has_more": start + limit < len(ordered),
    }
    return msgspec.json.encode(listing)


def write_deleted(response_id: str) -> bytes:
    """The body of DELETE /responses/{id}."""
    return msgspec.json.encode({"id": response_id, "object": "response", "deleted": True})


def _with_id(item: Raw, response_id: str, at: int) -> Raw:
    if item_id_of(item):
        return item
    made = msgspec.json.encode(f"{_prefix(item)}_{response_id.removeprefix('resp_')}_{at}")
    fields = msgspec.json.decode(item, type=dict[str, Raw])
    members = {"id": made} if _decode_head(item).type else {"id": made, "type": b'"message"'}
    return Raw(set_members(bytes(item), fields, members))


def _in_parts(item: Raw) -> Raw:
    """A message whose content is a bare text as OpenAI lists it. Source: openai-python, response_input_message_item.py."""
    fields = msgspec.json.decode(item, type=dict[str, Raw])
    text = bytes(fields.get("content", b""))
    if text[:1] != b'"':
        return item
    said = bytes(fields.get("role", b"")) == b'"assistant"'
    part = b'[{"type":"output_text","text":%b,"annotations":[]}]' if said else b'[{"type":"input_text","text":%b}]'
    return Raw(set_members(bytes(item), fields, {"content": part % text}))


def _prefix(item: Raw) -> str:
    kind = _decode_head(item).type or "message"
    return {"message": "msg", "reasoning": "rs", "function_call": "fc", "custom_tool_call": "ctc"}.get(kind, "item")


def _items(given: Raw | None) -> list[Raw]:
    spelled = b"null" if given is None else bytes(given)
    if spelled == b"null":
        return []
    if spelled[:1] == b'"':
        return [Raw(b'{"type":"message","role":"user","content":' + spelled + b"}")]
    if spelled[:1] != b"[":
        raise wrong_type("input", "one of a string or array of items", {} if spelled[:1] == b"{" else 0)
    return _decode_items(spelled)


def _references(given: Raw | None) -> list[str]:
    spelled = b"" if given is None else bytes(given)
    # A reference has few members: most inputs are known to have none without a look into their items.
    if spelled[:1] != b"[" or b'"id"' not in spelled:
        return []
    return [wanted for at, item in enumerate(_items(Raw(spelled))) if (wanted := _referred(item, f"input[{at}]"))]


def _referred(item: Raw, param: str) -> str:
    """The id that an item refers to, "" for an item that stands for itself."""
    if bytes(item)[:1] != b"{":
        return ""
    try:
        head = _decode_head(item)
    except (ValueError, RecursionError):
        return ""  # of a wrong type: whoever reads the item says so
    if head.type != "item_reference" and not (head.type is None and head.role is None and head.id):
        return ""
    if not head.id:
        raise missing(f"{param}.id")
    return head.id


def _resolved(item: Raw, param: str, referenced: dict[str, Raw]) -> Raw:
    wanted = _referred(item, param)
    if not wanted:
        return item
    if wanted not in referenced:
        raise BadRequest(f"Item with id '{wanted[:80]}' not found.", param, "item_not_found")
    return referenced[wanted]


def _text(spelled: bytes, param: str) -> str:
    try:
        return _decode_text(spelled)
    except ValueError:
        raise wrong_type(param, "a string", 0) from None

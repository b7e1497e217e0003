"""The body of a request to any of OpenAI's endpoints, all of it."""

from __future__ import annotations

from typing import Any

from gateway.core.jsontext import NotJson, decode
from gateway.types import BadRequest


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object that was sent. Raises BadRequest (code invalid_json), never anything else."""
    try:
        fields = decode(body)
    except NotJson as error:
        raise BadRequest(f"We could not parse the JSON body of your request: {error}.", code="invalid_json") from None
    if not isinstance(fields, dict):
        raise BadRequest("The body of your request must be a JSON object.", code="invalid_json")
    return fields

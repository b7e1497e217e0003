"""The body of a request to OpenAI as JSON."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.simulator.openai_errors import refused
from gateway.simulator.openai_fields import wrong_type
from gateway.simulator.replies import Sent


def read_body(sent: Sent) -> dict[str, Any]:
    """The JSON object that was sent. Raises Refused."""
    try:
        body = orjson.loads(sent.body)
    except orjson.JSONDecodeError:
        raise refused(
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP library "
            "correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON. If you have trouble "
            "figuring out how to fix this, please contact us through our help center at help.openai.com.)"
        ) from None
    if not isinstance(body, dict):
        raise wrong_type("body", body, dict)
    return body

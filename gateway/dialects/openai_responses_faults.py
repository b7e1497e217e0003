"""What a failure inside a Responses stream means: an `error` event, or a response that failed.

Its codes are OpenAI's general ones (openai_faults.py) and those of types/responses/response_error.py of openai-python.
"""

from __future__ import annotations

from typing import Any

from gateway.dialects import openai_faults
from gateway.errors import FaultKind
from gateway.types import Failed

# About the request itself: it would fail anywhere.
_REQUEST_CODES = frozenset(
    {
        "bio_policy", "misalignment_policy_violation", "data_residency_mismatch", "invalid_image", "invalid_image_format",
        "invalid_base64_image", "invalid_image_url", "image_too_large", "image_too_small", "image_parse_error",
        "image_content_policy_violation", "invalid_image_mode", "image_file_too_large", "unsupported_image_media_type",
        "empty_image_file", "failed_to_download_image", "image_file_not_found",
    }
)  # fmt: skip


def failed_of(event: dict[str, Any]) -> Failed:
    """An `error` event. Its members stand at the top, or under `error` as servers that imitate OpenAI write them."""
    inner = event.get("error")
    return _failed(inner if isinstance(inner, dict) else {key: event[key] for key in event if key != "type"})


def response_failed(response: dict[str, Any]) -> Failed:
    """A `response.failed` event, or a whole answer of that status."""
    error = response.get("error")
    return _failed(error) if isinstance(error, dict) else Failed("error_event")


def _failed(error: dict[str, Any]) -> Failed:
    code = error.get("code")
    if isinstance(code, str) and code in _REQUEST_CODES:
        message = error.get("message")
        kind: FaultKind = "bad_request"
        return Failed(kind, message if isinstance(message, str) else "")
    return openai_faults.failed_of(error)

"""Pictures and files as OpenAI looks at them, whichever of its APIs they come through."""

from __future__ import annotations

from gateway.simulator import media
from gateway.simulator.openai_errors import refused
from gateway.simulator.replies import Refused


def picture(url: str, param: str) -> str:
    """A sentence about the image that a URL leads to or contains. Raises Refused for what is no image."""
    if url.startswith(("https://", "http://")):
        return "I see an image by its URL."
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:image/") or not head.endswith(";base64"):
        raise refused(
            "Invalid MIME type. Only image types are supported."
            if head.startswith("data:")
            else f"Invalid image URL: '{param}'. Expected a valid URL, but got a value with an invalid format.",
            param,
            "invalid_image_format" if head.startswith("data:") else "invalid_value",
        )
    try:
        # OpenAI looks at the bytes and does not mind another type in the URL.
        return media.look(media.decode(data)).said
    except media.BadMedia as bad:
        raise _bad_image(bad) from None


def decoded(data: str, param: str) -> bytes:
    """Base64 to bytes. Raises Refused."""
    try:
        return media.decode(data)
    except media.BadMedia:
        raise refused("Invalid base64 data.", param, "invalid_base64") from None


def _bad_image(bad: media.BadMedia) -> Refused:
    if bad.reason == "base64":
        return refused("Invalid base64 image_url.", code="invalid_base64_image")
    return refused(
        "You uploaded an unsupported image. Please make sure your image has of one the following formats: ['png', 'jpeg', 'gif', 'webp'].",
        code="invalid_image_format",
    )

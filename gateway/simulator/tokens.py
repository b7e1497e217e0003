"""How the simulators count: a token is four bytes of UTF-8, begun ones included.

A fixed rule that everybody can check, and never more than one token a byte, so that an upper bound by bytes holds.
"""

from __future__ import annotations

IMAGE_TOKENS = 85  # OpenAI's figure for a low-detail image


def count(text: str) -> int:
    """Tokens of one text."""
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    return (size + 3) // 4


def image(source: str) -> int:
    """Tokens of an image by its base64 or URL: flat, but no more than its bytes."""
    return min(IMAGE_TOKENS, len(source))


def cut(text: str, tokens: int) -> str:
    """The longest beginning of `text` of at most `tokens`."""
    if count(text) <= tokens:
        return text
    return text.encode("utf-8", "surrogatepass")[: tokens * 4].decode("utf-8", "ignore")

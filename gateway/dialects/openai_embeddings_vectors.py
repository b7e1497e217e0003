"""Vectors as OpenAI's embeddings carry them: a list of numbers, or base64 of little-endian float32.

openai-python asks for base64 when its user did not choose, and unpacks it itself (resources/embeddings.py).
"""

from __future__ import annotations

import binascii
import struct
from math import isfinite
from typing import Any

from gateway.types import BadReply

_FLOAT32_MAX = 3.4028234663852886e38
_BYTES = 4


def pack(vector: list[float]) -> str:
    """Base64 of the vector as float32; what is larger than a float32 becomes the largest."""
    try:
        packed = struct.pack(f"<{len(vector)}f", *vector)
    except OverflowError:
        packed = struct.pack(f"<{len(vector)}f", *(max(-_FLOAT32_MAX, min(_FLOAT32_MAX, number)) for number in vector))
    return binascii.b2a_base64(packed, newline=False).decode()


def unpack(given: Any) -> list[float]:
    """The vector in either form. Raises BadReply for anything else, for an empty one, and for what is no finite number."""
    vector = _unpack_base64(given) if isinstance(given, str) else _numbers(given)
    if not vector or not all(map(isfinite, vector)):
        raise BadReply("an embedding is empty or has values that are no numbers")
    return vector


def _unpack_base64(text: str) -> list[float]:
    try:
        packed = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise BadReply("an embedding is no base64") from None
    count, rest = divmod(len(packed), _BYTES)
    if rest:
        raise BadReply("an embedding is no whole number of float32 values")
    return list(struct.unpack(f"<{count}f", packed))


def _numbers(given: Any) -> list[float]:
    if not isinstance(given, list):
        raise BadReply("an embedding is neither a list nor base64")
    vector = []
    for number in given:
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise BadReply("an embedding holds something else than numbers")
        vector.append(_float(number))
    return vector


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:  # a whole number of hundreds of digits
        raise BadReply("an embedding holds a number that is none for a machine") from None

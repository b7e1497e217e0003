"""Embeddings: the same text gives the same vector, texts that share words lie nearer to each other."""

from __future__ import annotations

import hashlib
import math
import re
from array import array

WORD = re.compile(r"\w+")
MAX_WORDS = 64


def embed(text: str, dimensions: int, unit: bool = True) -> array[float]:
    """`dimensions` float32 values, of length one if `unit`. Empty texts have a vector too."""
    words = WORD.findall(text.lower())[:MAX_WORDS] or [""]
    total = [0.0] * dimensions
    for word in words:
        for place, byte in enumerate(hashlib.shake_128(word.encode("utf-8", "surrogatepass")).digest(dimensions)):
            total[place] += byte - 127.5
    norm = math.sqrt(math.fsum(value * value for value in total)) if unit else 128.0 * len(words)
    return array("f", (value / norm for value in total))

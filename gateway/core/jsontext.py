"""JSON from strangers: bytes to values, with one kind of failure.

Whatever the bytes are (no UTF-8, NaN, half a surrogate pair, a million brackets), `decode` gives a value that
`msgspec.json.encode` can write again, or raises NotJson.
"""

from __future__ import annotations

from typing import Any

import msgspec

MAX_DEPTH = 64
LONG = 8192  # bytes in which counting brackets costs as much as looking


_decode = msgspec.json.Decoder().decode


class NotJson(ValueError):
    """The bytes are no JSON, or JSON deeper than allowed; the message may be shown to whoever sent them."""


def decode(body: bytes, max_depth: int = MAX_DEPTH) -> Any:
    """The value that `body` spells. Raises NotJson."""
    try:
        value = _decode(body)
    except RecursionError:
        raise NotJson(f"JSON is nested deeper than {max_depth} levels") from None
    except UnicodeDecodeError:
        raise NotJson("JSON is malformed: invalid UTF-8") from None
    except ValueError as error:  # DecodeError, and whole numbers of thousands of digits
        raise NotJson(str(error)) from None
    # No deeper than it has brackets: for nearly all short bodies that is enough to know.
    many = len(body) > LONG or body.count(b"{") + body.count(b"[") > max_depth
    if many and _deeper_than(value, max_depth):
        raise NotJson(f"JSON is nested deeper than {max_depth} levels")
    return value


def _deeper_than(value: Any, levels: int) -> bool:
    layer = [value]
    for _ in range(levels):
        inner: list[Any] = []
        for outer in layer:
            for one in outer.values() if type(outer) is dict else outer if type(outer) is list else ():
                if type(one) is dict or type(one) is list:
                    inner.append(one)
        if not inner:
            return False
        layer = inner
    return True  # what is left lies one level below the last that is allowed

"""The bytes of a Chat stream: where frames end, and the shape that its text frames share.

A quote inside a JSON string is written \\", so plain quotes around a name (`"usage":`) can only be a member.
"""

from __future__ import annotations

import re

from msgspec import Struct

DATA = re.compile(rb"(?:^|[\r\n])data: ?([^\r\n]*)")
DONE = re.compile(rb"data: ?\[DONE\]")
ERROR_EVENT = re.compile(rb"(?:^|[\r\n])event: ?error")

_NULL_USAGE = re.compile(rb',\s*"usage":\s*null|"usage":\s*null\s*,')
_HEAD = re.compile(
    rb'data:[^\r\n]*?"delta":\s?\{(?:"role":\s?"\w*",\s?)?'
    rb'(?:"content":\s?"|"reasoning_content":\s?"|"tool_calls":\s?\[\{"index":\s?\d+,\s?"function":\s?\{"arguments":\s?")'
)
_TEXT = re.compile(rb'[^"\\\r\n]*(?:\\.[^"\\\r\n]*)*')
_PADDING = re.compile(rb'"obfuscation":\s?"')


class Shape(Struct, frozen=True):
    """A text frame: head, text, and end; or head, text, middle, random padding (OpenAI's `obfuscation`), and end.

    `null_usage`: a `"usage":null` stands in it that the client did not ask for.
    """

    head: bytes
    middle: bytes
    end: bytes
    null_usage: bool

    def text_bytes(self, frame: bytes) -> int:
        """How long the text of `frame` is, JSON escapes included; -1 when the frame has another shape.

        `frame` is known to begin with `head`.
        """
        head, end = len(self.head), len(frame) - len(self.end)
        if not frame.endswith(self.end):
            return -1
        if not self.middle:
            return end - head
        at = frame.rfind(self.middle, head)
        # A quote before the end would be a member behind the padding.
        return at - head if at >= 0 and frame.find(b'"', at + len(self.middle)) == end else -1


def learn(frame: bytes, swallow_usage: bool) -> Shape | None:
    """The shape of `frame`, or None when it is not one text in one delta."""
    head = _HEAD.match(frame)
    if head is None or frame.count(b'"delta"') != 1:
        return None
    text = _TEXT.match(frame, head.end())
    if text is None or frame[text.end() : text.end() + 2] != b'"}':
        return None
    null_usage = swallow_usage and _NULL_USAGE.search(frame) is not None
    padding = _PADDING.search(frame, text.end())
    if padding is None:
        return Shape(head.group(), b"", frame[text.end() :], null_usage)
    close = frame.find(b'"', padding.end())
    return Shape(head.group(), frame[text.end() : padding.end()], frame[close:], null_usage)


def without_null_usage(frame: bytes) -> bytes:
    """`frame` without a `"usage":null` that nobody asked for."""
    cut = frame.replace(b',"usage":null', b"")
    return cut if len(cut) < len(frame) else _NULL_USAGE.sub(b"", frame)

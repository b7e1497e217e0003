"""A whole answer, and the pieces of a stream, as legacy completions spell them: both are a `text_completion`.

Rule 1: id, created and model never change within a stream. Rule 2: usage comes once, in a frame of its own with `choices: []`,
and only when asked for. Rule 3: a broken stream has no [DONE].
Source: openai-python, types/completion.py and types/completion_choice.py.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gateway.dialects.openai_completions_request import Prompted
from gateway.dialects.openai_errors import error_object
from gateway.dialects.openai_usage import usage_object
from gateway.types import (
    Choice,
    ClientError,
    Echo,
    Ended,
    Event,
    Finished,
    FinishReason,
    Refusal,
    RefusalDelta,
    Reply,
    Start,
    Text,
    TextDelta,
    Usage,
    UsageSeen,
)

_ID_PREFIX = re.compile(r"^(?:chatcmpl|msg|resp|gen|cmpl)[-_]")
_encode = msgspec.json.encode


def write_reply(reply: Reply, echo: Echo) -> bytes:
    """The body of a 200; `echo.request` is the Prompted of the request."""
    body = _head(reply.id, reply.created, echo)
    body["choices"] = [_choice(choice, echo) for choice in reply.choices]
    if reply.usage is not None:
        body["usage"] = usage_object(reply.usage)
    return _encode(body)


def _head(upstream_id: str, created: int, echo: Echo) -> dict[str, Any]:
    return {
        "id": "cmpl-" + (_ID_PREFIX.sub("", upstream_id) or echo.id),
        "object": "text_completion",
        "created": created or echo.created,
        "model": echo.model,
        "system_fingerprint": None,
    }


def _choice(choice: Choice, echo: Echo) -> dict[str, Any]:
    asked = _asked(echo)
    said = "".join(part.text for part in choice.parts if isinstance(part, Text | Refusal))
    logprobs = Logprobs(len(asked.prefix)).write(choice.logprobs) if asked.logprobs else None
    return {
        "text": asked.prefix + said,
        "index": choice.index,
        "logprobs": logprobs,
        "finish_reason": _finish(choice.finish),
    }


def _asked(echo: Echo) -> Prompted:
    return echo.request if isinstance(echo.request, Prompted) else Prompted()


def _finish(reason: FinishReason | None) -> str:
    """There are no tools here, so nothing ends with their calls."""
    return "stop" if reason in (None, "tool_calls") else reason or "stop"


class Logprobs:
    """Chat's logprobs into the old shape: columns instead of rows, and where each token begins in the text."""

    def __init__(self, offset: int = 0) -> None:
        self._offset = offset

    def write(self, logprobs: Any) -> dict[str, Any] | None:
        """The columns for the tokens that `logprobs` (Chat's object) lists; None when it lists none."""
        content = logprobs.get("content") if isinstance(logprobs, dict) else None
        rows = [row for row in content if isinstance(row, dict)] if isinstance(content, list) else []
        if not rows:
            return None
        tokens = [str(row.get("token", "")) for row in rows]
        offsets = []
        for token in tokens:
            offsets.append(self._offset)
            self._offset += len(token)
        return {
            "tokens": tokens,
            "token_logprobs": [row.get("logprob") for row in rows],
            "top_logprobs": [_top(row.get("top_logprobs")) for row in rows],
            "text_offset": offsets,
        }


def _top(rows: Any) -> dict[str, Any]:
    listed = rows if isinstance(rows, list) else []
    return {str(row.get("token", "")): row.get("logprob") for row in listed if isinstance(row, dict)}


class Writer:
    """See types.StreamWriter."""

    __slots__ = ("_asked", "_echo", "_end", "_envelope", "_finished", "_logprobs", "_over", "_started", "_usage")

    def __init__(self, echo: Echo) -> None:
        self._echo, self._asked = echo, _asked(echo)
        self._envelope = b""  # up to and including `"choices":[`
        self._end = b'],"usage":null}\n\n' if echo.include_usage else b"]}\n\n"
        self._started: set[int] = set()
        self._finished: set[int] = set()
        self._logprobs: dict[int, Logprobs] = {}
        self._usage: Usage | None = None
        self._over = False

    def write(self, events: list[Event]) -> bytes:
        """The frames of `events`; b"" when they say nothing to a client, and after the end."""
        return b"" if self._over else b"".join([self._one(event) for event in events])

    def error(self, error: ClientError) -> bytes:
        """The error frame that replaces the clean ending."""
        self._over = True
        return b"data: " + _encode({"error": error_object(error)}) + b"\n\n"

    def _one(self, event: Event) -> bytes:
        match event:
            case TextDelta():
                return self._text(event.choice, event.text, event.logprobs)
            case RefusalDelta():
                return self._text(event.choice, event.text, None)
            case Start():
                self._open(event.id, event.created)
            case Finished():
                return self._finish(event.choice, event.reason)
            case UsageSeen():
                self._usage = event.usage
            case Ended():
                return self._ended()
        return b""

    def _open(self, upstream_id: str, created: int) -> None:
        self._envelope = b"data: " + _encode(_head(upstream_id, created, self._echo))[:-1] + b',"choices":['

    def _text(self, choice: int, text: str, logprobs: Any) -> bytes:
        if not text:
            return b""
        columns = self._columns(choice, logprobs) if self._asked.logprobs else None
        return self._echoed(choice) + self._frame(choice, text, columns, None)

    def _columns(self, choice: int, logprobs: Any) -> dict[str, Any] | None:
        found = self._logprobs.get(choice)
        if found is None:
            found = self._logprobs[choice] = Logprobs(len(self._asked.prefix))
        return found.write(logprobs)

    def _echoed(self, choice: int) -> bytes:
        """The prompt before the first text of a choice, when it is to be repeated."""
        if choice in self._started:
            return b""
        self._started.add(choice)
        return self._frame(choice, self._asked.prefix, None, None) if self._asked.prefix else b""

    def _frame(self, choice: int, text: str, logprobs: dict[str, Any] | None, finish: str | None) -> bytes:
        if not self._envelope:
            self._open("", 0)
        written = {"text": text, "index": choice, "logprobs": logprobs, "finish_reason": finish}
        return self._envelope + _encode(written) + self._end

    def _finish(self, choice: int, reason: FinishReason) -> bytes:
        if choice in self._finished:
            return b""
        self._finished.add(choice)
        return self._echoed(choice) + self._frame(choice, "", None, _finish(reason))

    def _ended(self) -> bytes:
        unfinished = [choice for choice in self._started or {0} if choice not in self._finished]
        out = b"".join([self._finish(choice, "stop") for choice in unfinished])
        if self._echo.include_usage and self._usage is not None:
            out += self._envelope + b'],"usage":' + _encode(usage_object(self._usage)) + b"}\n\n"
        self._over = True
        return out + b"data: [DONE]\n\n"

"""Chat bodies that pass through: change what must be changed, and read usage out of whole answers.

Both run on every call between a Chat client and a Chat provider, so the common shapes take one typed decode and one splice;
odd shapes take a slower way to the same result.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from gateway.core.splice import set_members
from gateway.dialects.openai_chat_foreign import without_foreign
from gateway.dialects.openai_usage import usage_of
from gateway.types import BadReply, Change, Count, Glance, Modalities, Peek, Usage

_decode_top = msgspec.json.Decoder(dict[str, Raw]).decode
_OLD_CAP = b'"max_tokens"'
_SAID = ("content", "tool_calls", "function_call", "refusal", "audio", "reasoning_content")


def change(body: bytes, peek: Peek, change: Change) -> bytes:
    """`body` as OpenAI takes it, with the named places changed; the very same object when nothing changes."""
    changed = change_freely(body, peek, change)
    return without_foreign(changed) if peek.foreign else changed


def change_freely(body: bytes, peek: Peek, change: Change) -> bytes:
    """Likewise for servers that may know members of messages that OpenAI does not."""
    if peek.old_cap and change.output_cap == "max_completion_tokens":
        body = _with_new_cap(body, peek.around)
    members: dict[str, bytes] = {}
    if change.model is not None and change.model != peek.model:
        members["model"] = msgspec.json.encode(change.model)
    if change.max_tokens is not None and peek.max_tokens is None:
        members[change.output_cap] = b"%d" % change.max_tokens
    if change.temperature is not None and not peek.has_temperature:
        members["temperature"] = msgspec.json.encode(change.temperature)
    if change.include_usage and not peek.include_usage:
        members["stream_options"] = b""
    if not members:
        return body
    fields = _decode_top(body)
    if "stream_options" in members:
        members["stream_options"] = _asking_for_usage(fields.get("stream_options"))
    return set_members(body, fields, members)


def _with_new_cap(body: bytes, around: bytes) -> bytes:
    """The cap under the name that newer models want. Where that may stand in two places the object is written anew."""
    at = _only(body, around) if around else body.rfind(_OLD_CAP)  # clients write it behind the messages
    if at >= 0 and (around or body.find(_OLD_CAP, 0, at) < 0):
        view = memoryview(body)
        return b"".join((view[:at], b'"max_completion_tokens"', view[at + len(_OLD_CAP) :]))
    fields = _decode_top(body)
    return msgspec.json.encode({"max_completion_tokens" if k == "max_tokens" else k: v for k, v in fields.items()})


def _only(body: bytes, around: bytes) -> int:
    """Where a long body has the old name, when what stands around its messages has it once; -1 where that is not proven.

    It stands before the messages, where `around` is the same bytes, or behind them, where it is as much shorter as they are long.
    """
    at = around.find(_OLD_CAP)
    if at < 0 or around.find(_OLD_CAP, at + 1) >= 0:
        return -1
    behind = at + len(body) - len(around)
    before_too = body.startswith(_OLD_CAP, at)
    if body.startswith(_OLD_CAP, behind):
        return -1 if before_too else behind
    return at if before_too else -1


def _asking_for_usage(options: Raw | None) -> bytes:
    spelled = b"null" if options is None else bytes(options)
    if spelled == b"null":
        return b'{"include_usage":true}'
    fields = msgspec.json.decode(spelled, type=dict[str, Raw])
    return set_members(spelled, fields, {"include_usage": b"true"})


class _PromptDetails(Struct):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    audio_tokens: Count | None = None


class _CompletionDetails(Struct):
    reasoning_tokens: Count | None = None
    audio_tokens: Count | None = None


class _Usage(Struct):
    prompt_tokens: Count
    completion_tokens: Count = 0
    total_tokens: Count | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Message(Struct):
    content: str | None = None
    tool_calls: Raw = Raw()
    function_call: Raw = Raw()
    refusal: str | None = None
    audio: Raw = Raw()
    reasoning_content: str | None = None


class _Choice(Struct):
    message: _Message | None = None
    finish_reason: str | None = None


class _Answer(Struct):
    choices: list[_Choice]
    usage: _Usage | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode


def glance(body: bytes) -> Glance:
    """Read usage, emptiness and the first finish reason. Raises BadReply for what is no answer.

    Usage that is missing or of wrong types gives None; an unknown field never harms.
    """
    try:
        answer = _decode_answer(body)
    except (ValueError, RecursionError):
        return _glance_slowly(body)
    if not answer.choices:
        return _glance_slowly(body)  # nothing, or an error with status 200
    empty = not any(map(_says, answer.choices))
    return Glance(_usage(answer.usage), empty, answer.choices[0].finish_reason)


def _usage(usage: _Usage | None) -> Usage | None:
    if usage is None:
        return None
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return Usage(
        usage.prompt_tokens,
        usage.completion_tokens,
        (prompt.cached_tokens or 0) if prompt else 0,
        (prompt.cache_write_tokens or 0) if prompt else 0,
        (completion.reasoning_tokens or 0) if completion else 0,
        usage.prompt_tokens + usage.completion_tokens if usage.total_tokens is None else usage.total_tokens,
        0,
        Modalities(audio=prompt.audio_tokens) if prompt and prompt.audio_tokens else None,
        None,
        Modalities(audio=completion.audio_tokens) if completion and completion.audio_tokens else None,
    )


def _says(choice: _Choice) -> bool:
    if choice.finish_reason not in ("stop", None):
        return True
    message = choice.message
    if message is None:
        return False
    if message.content or message.refusal or message.reasoning_content:
        return True
    return _filled(message.tool_calls) or _filled(message.function_call) or _filled(message.audio)


def _filled(raw: Raw) -> bool:
    return bytes(raw) not in (b"", b"null", b"[]")


def _glance_slowly(body: bytes) -> Glance:
    try:
        answer = msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:
        raise BadReply(f"the answer is no JSON: {error}") from None
    if not isinstance(answer, dict) or answer.get("error") or not isinstance(answer.get("choices"), list):
        raise BadReply("the answer has no choices")
    choices = [choice for choice in answer["choices"] if isinstance(choice, dict)]
    finish = choices[0].get("finish_reason") if choices else None
    finish = finish if isinstance(finish, str) else None
    return Glance(usage_of(answer.get("usage")), not any(map(_says_loosely, choices)), finish)


def _says_loosely(choice: dict[str, Any]) -> bool:
    message = choice.get("message")
    said = isinstance(message, dict) and any(message.get(field) for field in _SAID)
    return said or choice.get("finish_reason") not in ("stop", None)

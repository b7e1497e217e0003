"""How many tokens a call may use, and whether to believe what a provider says it used. Pure.

Rule 1: a byte-level BPE never makes more tokens than UTF-8 has bytes, and a JSON body has more bytes than the text in it. So the
        length of a body bounds its text. Media are the exception both ways: base64 has far more bytes than the picture has
        tokens, a URL far fewer. They are found by searching bytes; nothing is parsed and no regular expression runs over a body.
Rule 2: only what stands where media stand is counted as media. The same text anywhere else is text, and costs its bytes.
Rule 3: an estimate may be too high, never too low; the difference is given back when the call is settled.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite

from msgspec import Struct

# No vendor bills one picture of ordinary resolution higher (OpenAI 2,500 patches, Anthropic 1,600 to 2,600, Gemini 258 a tile).
IMAGE_TOKENS = 3_000

# Anthropic puts a prompt of its own before tools: 290 to 800 tokens, by model and tool_choice.
TOOL_PROMPT_TOKENS = 1_000

# A page of a PDF is read twice, as text and as a picture: about 4,500 tokens for 8 KB of an average file. Never more than the
# largest context there is.
_PDF_BYTES_PER_TOKEN = 2
_PDF_MAX_TOKENS = 1_000_000

# 32 tokens a second (Gemini; OpenAI: 10) at 8 kbit/s, the thinnest codec in use; video: 300 tokens a second from 5 KB/s on.
_SOUND_BYTES_PER_TOKEN = 16

# Media in one body that are looked at one by one; later ones cost their bytes. It bounds the work a body can ask for.
MAX_RUNS = 1_000

_MARK = b";base64,"
_IMAGE_URL_KEYS = (b'"url"', b'"image_url"')
_URL_KEYS = (*_IMAGE_URL_KEYS, b'"video_url"', b'"file_data"', b'"data"')
_DATA_KEY = b'"data"'
_IMAGE_KEY = b'"image_url"'
_FILE_KEY = b'"file_id"'
_URI_KEYS = (b'"file_url"', b'"fileUri"', b'"file_uri"')
_URL_SOURCES = (b'"type":"url"', b'"type": "url"')
_SIBLINGS = 256  # bytes beside a "data" value in which its media type must stand


class _Run(Struct, frozen=True):
    """One base64 payload: where it stands, what it costs, and whether it is the value of an image's URL."""

    start: int
    end: int
    tokens: int
    image_url: bool = False


def input_bound(body: bytes, image_tokens: int = IMAGE_TOKENS, around: bytes = b"", media: bytes = b"") -> int:
    """An upper bound of the input tokens of a request body, in any dialect, in O(n).

    What stands behind a URL or a file id cannot be known from here and counts as one image; the settlement tells the truth.
    `around`: the body without its messages, where it is known (Peek.around): tools stand nowhere else. `media`: all of the body
    that may hold media or files, `around` too, where that is known (Peek.media): the rest is text.
    """
    if media:
        return len(body) + input_bound(media, image_tokens, around) - len(media)
    top = around or body
    if not (b"/" in body or b'"tools"' in top or b'"functions"' in top or _FILE_KEY in body):
        return len(body)  # no media type, no URL, no file, no tools: nothing but text
    bound, text, embedded = 0, body, 0
    if b"/" in body:  # a media type and a URL have one: without it there is nothing to look for
        runs = list(_data_urls(body, image_tokens))
        text, embedded = _without(body, runs), sum(run.image_url for run in runs)
        inline = list(_inline_data(text, image_tokens))
        text = _without(text, inline)
        bound = sum(run.tokens for run in runs) + sum(run.tokens for run in inline)
    top = around or text
    if b'"tools"' in top or b'"functions"' in top:
        bound += TOOL_PROMPT_TOKENS
    return bound + len(text) + image_tokens * _references(text, embedded)


def is_text(bound: int, body: bytes) -> bool:
    """Whether the input whose bound this is is text alone, so that its bytes tell about its tokens; tools are text too."""
    return 0 <= bound - len(body) <= TOOL_PROMPT_TOKENS


def output_estimate(content_bytes: int) -> int:
    """Tokens of generated content of which only the size is known: a third of its bytes, a fifth more, and the frame.

    English has four bytes a token, code three, Chinese three; for a stream that was cut before its usage was reported.
    """
    return content_bytes * 2 // 5 + 8


def ceiling(reserved: int, context: int | None, max_output: int | None) -> int:
    """The most a provider is believed: four times the reservation, or all that the model can read and write."""
    return max(4 * reserved, (context or 0) + (max_output or 0))


def suspect(usage_total: object, reserved: int, context: int | None, max_output: int | None) -> bool:
    """Whether a reported total cannot be true: missing, no number, not above zero, or above `ceiling`."""
    return _count(usage_total) is None or bounded(usage_total, 0, reserved, context, max_output) != usage_total


def bounded(usage_total: object, estimate: int, reserved: int, context: int | None, max_output: int | None) -> int:
    """The tokens to settle: what was reported, but at most `ceiling`, and `estimate` where the report is no number of tokens."""
    count = _count(usage_total)
    return estimate if count is None else min(count, ceiling(reserved, context, max_output))


def _count(reported: object) -> int | None:
    """A number of tokens, None for anything else. Zero is none: whoever answers has read something."""
    if isinstance(reported, bool) or not isinstance(reported, int | float):
        return None
    if isinstance(reported, float) and not isfinite(reported):
        return None
    return int(reported) if reported > 0 else None


def _data_urls(body: bytes, image_tokens: int) -> Iterator[_Run]:
    """Payloads of data: URLs that are the whole value of a key for media."""
    at = body.find(_MARK)
    for _ in range(MAX_RUNS):
        if at < 0:
            return
        start = at + len(_MARK)
        end = _end_of_string(body, start)
        opening = body.rfind(b'"', max(0, at - 128), at)
        key = _key_before(body, opening)
        if key and body.startswith(b"data:", opening + 1) and _is_payload(body, start, end):
            tokens = _media_tokens(body[opening + 6 : at], end - start, image_tokens)
            if tokens is not None:
                yield _Run(start, end, tokens, key in _IMAGE_URL_KEYS)
        at = body.find(_MARK, end)


def _inline_data(body: bytes, image_tokens: int) -> Iterator[_Run]:
    """Payloads under "data", with a media type beside them: Anthropic's source, Gemini's inlineData, OpenAI's input_audio."""
    at = body.find(_DATA_KEY)
    for _ in range(MAX_RUNS):
        if at < 0:
            return
        end = at + len(_DATA_KEY)
        start = _start_of_value(body, end)
        if start and not body.startswith(b"data:", start):
            end = _end_of_string(body, start)
            tokens = _media_tokens(_siblings(body, at, end), end - start, image_tokens)
            if tokens is not None and _is_payload(body, start, end):
                yield _Run(start, end, tokens)
        at = body.find(_DATA_KEY, end)


def _without(body: bytes, runs: list[_Run]) -> bytes:
    """What is left of `body` when the payloads are taken out: its text, and small."""
    if not runs:
        return body
    starts = [0, *(run.end for run in runs)]
    ends = [*(run.start for run in runs), len(body)]
    return b"".join(body[start:end] for start, end in zip(starts, ends, strict=True))


def _end_of_string(body: bytes, start: int) -> int:
    # The next quote is the end: base64 holds none. Where it was an escaped one, _is_payload sees its backslash.
    end = body.find(b'"', start)
    return end if end >= 0 else len(body)


def _is_payload(body: bytes, start: int, end: int) -> bool:
    """Whether a string looks like base64. A provider refuses what looks so and is not, and that costs nothing."""
    return body.find(b" ", start, end) < 0 and body.find(b"\\", start, end) < 0


def _key_before(body: bytes, opening: int) -> bytes:
    """Which of _URL_KEYS stands before the string that opens at `opening`, b"" when none does."""
    before = body[max(0, opening - 32) : max(0, opening)].rstrip()
    if not before.endswith(b":"):
        return b""
    before = before[:-1].rstrip()
    return next((key for key in _URL_KEYS if before.endswith(key)), b"")


def _start_of_value(body: bytes, after_key: int) -> int:
    """Where the string after a key begins, 0 when what follows is no string."""
    gap, quote, _ = body[after_key : after_key + 32].partition(b'"')
    return after_key + len(gap) + 1 if quote and gap.strip() == b":" else 0


def _siblings(body: bytes, at: int, end: int) -> bytes:
    """The other keys of a small object around the value that ends at `end`."""
    opening = body.rfind(b"{", max(0, at - _SIBLINGS), at)
    closing = body.find(b"}", end, end + _SIBLINGS)
    return body[opening if opening >= 0 else at : at] + body[end : closing if closing >= 0 else end]


def _media_tokens(kind: bytes, chars: int, image_tokens: int) -> int | None:
    """What `chars` of base64 cost; `kind` holds the media type. None: nothing known to be cheaper than its bytes."""
    size = chars * 3 // 4
    if b"image/" in kind:
        return image_tokens
    if b"application/pdf" in kind:
        return min(size // _PDF_BYTES_PER_TOKEN + image_tokens, _PDF_MAX_TOKENS)
    if b"audio/" in kind or b"video/" in kind or b'"format"' in kind:
        return size // _SOUND_BYTES_PER_TOKEN + 64
    return None


def _references(text: bytes, embedded: int) -> int:
    """Media that are only named: URLs and file ids. `embedded` of the image keys held their picture themselves."""
    found = _keys(text, _FILE_KEY)
    if b"://" in text or embedded:
        found += max(0, _keys(text, _IMAGE_KEY) - embedded)
        found += sum(_keys(text, key) for key in _URI_KEYS)
        found += sum(text.count(source) for source in _URL_SOURCES)
    return found


def _keys(text: bytes, name: bytes) -> int:
    """How often `name` is a key and not a value."""
    return text.count(name + b":") + text.count(name + b" :") if name in text else 0

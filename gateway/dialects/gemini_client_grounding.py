"""Where an answer's text comes from, as Gemini's groundingMetadata: OpenAI's url_citation the other way round.

OpenAI counts the characters of the whole text, Gemini the bytes within a part. Source: google-genai's types (Segment).
"""

from __future__ import annotations

from typing import Any

Wire = dict[str, Any]
Placed = tuple[int, str]  # a visible text and the number of its part


def grounding_metadata(annotations: list[Any], texts: list[Placed]) -> Wire:
    """{"groundingMetadata": …}, {} without citations. `texts` are the visible texts in order."""
    chunks: dict[tuple[str, str], int] = {}
    supports: list[Wire] = []
    for note in annotations:
        place = note.get("url_citation") if isinstance(note, dict) else None
        url = place.get("url") if isinstance(place, dict) else None
        if not isinstance(place, dict) or not isinstance(url, str):
            continue
        title = place.get("title")
        key = (url, title if isinstance(title, str) else url)
        number = chunks.setdefault(key, len(chunks))
        segment = _segment(place.get("start_index"), place.get("end_index"), texts)
        supports.append({"segment": segment, "groundingChunkIndices": [number]})
    if not chunks:
        return {}
    found = [{"web": {"uri": url, "title": title}} for url, title in chunks]
    return {"groundingMetadata": {"groundingChunks": found, "groundingSupports": supports}}


def _segment(start: Any, end: Any, texts: list[Placed]) -> Wire:
    """The place in bytes, within the part where it begins."""
    first = start if isinstance(start, int) and start > 0 else 0
    before = 0
    for number, (part, text) in enumerate(texts):
        if first < before + len(text) or number == len(texts) - 1:
            here = min(first - before, len(text))
            last = min(end - before, len(text)) if isinstance(end, int) else len(text)
            said = text[here : max(last, here)]
            begins = len(text[:here].encode())
            return {"partIndex": part, "startIndex": begins, "endIndex": begins + len(said.encode()), "text": said}
        before += len(text)
    return {}

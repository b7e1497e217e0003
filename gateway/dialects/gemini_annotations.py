"""What Gemini says about its own text: where it comes from (grounding, citations) and how sure it was (log probabilities).

Gemini counts places in the bytes of a part, OpenAI in the characters of the whole text; beyond ASCII these differ.
Source: google-genai's types (GroundingMetadata, Segment, CitationMetadata, LogprobsResult).
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw, Struct

from gateway.dialects.gemini_wire import lenient


class Web(Struct):
    uri: str | None = None
    title: str | None = None


class Chunk(Struct):
    web: Web | None = None


class Segment(Struct, rename="camel"):
    part_index: int | None = None
    start_index: int | None = None
    end_index: int | None = None


class Support(Struct, rename="camel"):
    segment: Segment | None = None
    grounding_chunk_indices: list[int] | None = None


class Grounding(Struct, rename="camel"):
    grounding_chunks: list[Chunk] | None = None
    grounding_supports: list[Support] | None = None


class Searched(Struct, rename="camel"):
    web_search_queries: list[str] | None = None


class Citation(Struct, rename="camel"):
    start_index: int | None = None
    end_index: int | None = None
    uri: str | None = None
    title: str | None = None


class Citations(Struct, rename="camel"):
    citations: list[Citation] | None = None
    citation_sources: list[Citation] | None = None  # the name of older versions


class Token(Struct, rename="camel"):
    token: str = ""
    log_probability: float = 0.0


class Alternatives(Struct):
    candidates: list[Token] | None = None


class Logprobs(Struct, rename="camel"):
    chosen_candidates: list[Token] | None = None
    top_candidates: list[Alternatives] | None = None


_GROUNDING = msgspec.json.Decoder(Grounding)
_SEARCHED = msgspec.json.Decoder(Searched)
_CITATIONS = msgspec.json.Decoder(Citations)
_LOGPROBS = msgspec.json.Decoder(Logprobs)


def url_citations(grounding: Raw, citations: Raw, texts: list[str], before: int = 0) -> list[Any]:
    """OpenAI's url_citation objects. `texts` are the visible texts of the parts in order, "" for a part without.

    before: how many characters of the answer came in earlier answers, which this one continues.
    """
    found = _grounded(lenient(_GROUNDING, grounding), texts) + _cited(lenient(_CITATIONS, citations), texts)
    for annotation in found if before else ():
        place = annotation["url_citation"]
        place["start_index"] += before
        place["end_index"] += before
    return found


def web_searches(grounding: Raw) -> list[str]:
    """What Gemini searched the web for, each query once."""
    found = lenient(_SEARCHED, grounding)
    return list(dict.fromkeys(found.web_search_queries or ())) if found is not None else []


def read_logprobs(raw: Raw) -> dict[str, Any] | None:
    """OpenAI's `logprobs` object, None when there are none."""
    found = lenient(_LOGPROBS, raw)
    if found is None or not found.chosen_candidates:
        return None
    tops = found.top_candidates or []
    content = []
    for place, token in enumerate(found.chosen_candidates):
        others = (tops[place].candidates or []) if place < len(tops) else []
        content.append({**_token(token), "top_logprobs": [_token(other) for other in others]})
    return {"content": content, "refusal": None}


def _token(token: Token) -> dict[str, Any]:
    return {"token": token.token, "logprob": token.log_probability, "bytes": None}


def _grounded(grounding: Grounding | None, texts: list[str]) -> list[Any]:
    if grounding is None:
        return []
    chunks = grounding.grounding_chunks or []
    found = []
    for support in grounding.grounding_supports or []:
        segment = support.segment or Segment()
        start, end = _span(texts, segment.part_index or 0, segment.start_index or 0, segment.end_index)
        for index in support.grounding_chunk_indices or []:
            web = chunks[index].web if 0 <= index < len(chunks) else None
            if web is not None and web.uri:
                found.append(_url_citation(start, end, web.uri, web.title))
    return found


def _cited(citations: Citations | None, texts: list[str]) -> list[Any]:
    if citations is None:
        return []
    found = []
    for citation in (citations.citations or []) + (citations.citation_sources or []):
        if citation.uri:
            start, end = _span(["".join(texts)], 0, citation.start_index or 0, citation.end_index)
            found.append(_url_citation(start, end, citation.uri, citation.title))
    return found


def _span(texts: list[str], part: int, start: int, end: int | None) -> tuple[int, int]:
    """Characters of the whole text for bytes of one part. A part without text stands for the whole: streams count so."""
    if not (0 <= part < len(texts) and texts[part]):
        texts, part = ["".join(texts)], 0
    before = sum(map(len, texts[:part]))
    data = texts[part].encode()
    last = len(data) if end is None else end
    return before + _characters(data, start), before + _characters(data, last)


def _characters(data: bytes, offset: int) -> int:
    return len(data[: max(offset, 0)].decode(errors="ignore"))


def _url_citation(start: int, end: int, url: str, title: str | None) -> dict[str, Any]:
    place = {"start_index": start, "end_index": end, "url": url, "title": title or url}
    return {"type": "url_citation", "url_citation": place}

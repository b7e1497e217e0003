"""Golden cases: small readable files in, small readable files out, compared byte by byte.

To add one, make a folder tests/golden/<provider dialect>/<what it shows>/ with one or more of

    request.json   what a client sends                 -> upstream.json  what the provider gets
                                                          notes.json     headers, dropped parameters, warnings (when any)
    answer.json    what the provider answers           -> client.json    what the client gets
    stream.sse     what the provider streams           -> client.sse     what the client gets
    answer_2.json, stream_2.sse   the rest of an answer that the provider broke off
                                                       -> again.json     the request that asks for it
    failure.http   status line, headers, body          -> fault.json     what it means, and what a client sees of it
    case.json      who they are; all of it optional:
                   {"client": "openai_chat", "provider": <the folder above>, "model": <upstream's name>, "abilities": {…},
                    "translation": {…}, "strict": false, "expose_reasoning": true, "about": "why this case exists"}

then run `pytest tests/dialects/test_golden.py --record -k <case>` and review what it wrote. A refused request (or an answer
that cannot be read) gives error.json instead. A dialect is the object in gateway/dialects/<name>.py whose `name` is <name>.
The answer is written for the request of the same folder: its include_usage, named tool and legacy shape count.
Each stream is also read cut at every place and byte by byte, and must give the same events; and written event by event.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from golden_case import OUTPUTS, ROOT, Case, cases

from gateway.types import Notes

MAX_CUTS = 400
STREAMS = [folder for folder in cases() if (folder / "stream.sse").exists()]


def name_of(folder: Path) -> str:
    return folder.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("folder", cases(), ids=name_of)
def test_a_case_gives_what_is_written_down(folder: Path, record: bool) -> None:
    made = Case(folder).outputs()
    if record:
        for name in OUTPUTS:
            (folder / name).unlink(missing_ok=True)
        for name, text in made.items():
            (folder / name).write_text(text, encoding="utf-8", newline="")
    for name in OUTPUTS:
        path = folder / name
        expected = path.read_bytes().decode() if path.exists() else None
        assert made.get(name) == expected, f"{name} differs; if the new one is right, run pytest --record"


@pytest.mark.parametrize("folder", STREAMS, ids=name_of)
def test_a_stream_gives_the_same_events_wherever_it_is_cut(folder: Path) -> None:
    case, stream = Case(folder), (folder / "stream.sse").read_bytes()
    undo = undo_of(case)
    whole = case.events(stream, undo, [])

    step = max(1, len(stream) // MAX_CUTS)
    for cut in range(1, len(stream), step):
        assert case.events(stream, undo, [cut]) == whole, f"cut at byte {cut}"
    assert case.events(stream, undo, list(range(1, len(stream)))) == whole


@pytest.mark.parametrize("folder", STREAMS, ids=name_of)
def test_a_stream_is_written_the_same_event_by_event(folder: Path) -> None:
    case, stream = Case(folder), (folder / "stream.sse").read_bytes()
    events = case.events(stream, undo_of(case), [])
    request = case.request()

    assert case.write_stream(events, request, one_by_one=True) == case.write_stream(events, request)


def undo_of(case: Case) -> object:
    request = case.request()
    return case.provider.write_request(request, case.target(request), Notes()).undo

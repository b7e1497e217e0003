"""Answers in several goes: a vendor pauses, the client comes back, and the vendor goes on where it stopped.

Anthropic's `pause_turn` and Gemini's `CONTINUATION`. OpenAI has nothing like it.
"""

from __future__ import annotations

from gateway.simulator.model import Answer


def portion(full: Answer, start: int, pause: bool) -> Answer:
    """What is said of `full` from character `start` on: all the rest, or with `pause` the half of it.

    Thoughts come with the beginning, calls with the end. There is no pause where there is no text to interrupt.
    """
    pieces = _after(full.pieces, start)
    thinking = full.thinking if not start else ""
    if not pause or len(pieces) < 2:
        return Answer(thinking, pieces, full.calls, full.finish, full.stop_sequence)
    said = pieces[: len(pieces) // 2]
    return Answer(thinking, said, finish="pause", paused_at=start + len("".join(said)))


def _after(pieces: list[str], start: int) -> list[str]:
    left = []
    for piece in pieces:
        if start < len(piece):
            left.append(piece[max(0, start) :])
        start -= len(piece)
    return left

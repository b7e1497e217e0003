"""A translated call takes at most 1.7 times the interpreter's steps of one that passes through.

Steps are counted, not timed: the figure is the same on a busy machine. 1.5 is measured; with what kernel and event loop take of
either, that is a translated call for less than twice the price. It takes more than one as well: a count of none proves nothing.
"""

from __future__ import annotations

import uvloop

from bench.answers import Dialect
from bench.hotpath import opened, steps

MOST = 1.7


def counted(dialect: Dialect) -> int:
    async def count() -> int:
        async with opened(dialect) as bench:
            return (await steps(bench)).total()

    return uvloop.run(count())


def test_a_translated_call_takes_less_than_twice_the_steps() -> None:
    same, anthropic, gemini = counted("openai"), counted("anthropic"), counted("gemini")
    assert same < anthropic <= MOST * same and same < gemini <= MOST * same, (same, anthropic, gemini)

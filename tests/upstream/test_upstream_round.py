"""Writes that wait for the end of the event loop's round."""

from __future__ import annotations

import asyncio

import pytest

from gateway.upstream.round import Round


class Kept:
    def __init__(self, name: str, out: list[str], fails: bool = False) -> None:
        self.name, self.out, self.fails = name, out, fails

    def flush(self) -> None:
        self.out.append(self.name)
        if self.fails:
            raise ValueError(self.name)


async def test_all_of_a_round_are_written_in_order_after_its_callbacks() -> None:
    out: list[str] = []
    waiting = Round(asyncio.get_running_loop())
    waiting.add(Kept("a", out))
    waiting.add(Kept("b", out))
    assert out == []
    await asyncio.sleep(0)
    assert out == ["a", "b"]


async def test_what_is_added_while_writing_has_a_round_of_its_own() -> None:
    out: list[str] = []
    waiting = Round(asyncio.get_running_loop())

    class Adding(Kept):
        def flush(self) -> None:
            super().flush()
            waiting.add(Kept("later", out))

    waiting.add(Adding("first", out))
    await asyncio.sleep(0)
    assert out == ["first"]
    await asyncio.sleep(0)
    assert out == ["first", "later"]


@pytest.mark.parametrize("bad", [0, 1, 2])
async def test_one_that_raises_does_not_keep_back_the_rest(bad: int) -> None:
    out: list[str] = []
    loop, told = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda loop, context: told.append(context["exception"]))
    waiting = Round(loop)
    for at, name in enumerate("abc"):
        waiting.add(Kept(name, out, fails=at == bad))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert out == ["a", "b", "c"] and [str(error) for error in told] == ["abc"[bad]]

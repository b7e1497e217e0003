"""Runs a coroutine without a task: what it awaits calls `step`, which goes on in the very callback that brought the answer.

A task costs two turns of the loop and as much time as all of our routing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from gateway.web.exchange import Owner


class Steps:
    """Runs one coroutine. Nothing in it may need a current task, as asyncio.timeout does."""

    __slots__ = ("_coroutine", "_owner")

    def __init__(self, coroutine: Coroutine[Any, Any, None], owner: Owner) -> None:
        self._coroutine = coroutine
        self._owner = owner

    def step(self, waited_for: object = None) -> None:
        """Go on until the next wait. Futures raise their own exceptions when the coroutine asks for their result."""
        try:
            waiting = self._coroutine.send(None)
        except StopIteration:
            self._owner.done()
            return
        except asyncio.CancelledError:  # the loop is being closed
            self._owner.failed()
            return
        except BaseException:  # a bug that the handlers' border did not hold: the loop reports it
            self._owner.failed()
            raise
        if waiting is None:  # asyncio.sleep(0)
            asyncio.get_running_loop().call_soon(self.step)
        else:
            waiting._asyncio_future_blocking = False
            waiting.add_done_callback(self.step)

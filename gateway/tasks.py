"""Background work with an owner: started here, ended here, its failures logged and counted, never lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from gateway.logs import LogWriter
from gateway.telemetry import Registry


class Tasks:
    """Owns background tasks. `close` cancels what still runs and waits for it."""

    def __init__(self, log: LogWriter, registry: Registry) -> None:
        self._log = log
        self._registry = registry
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` once."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def every(self, period_s: float, name: str, step: Callable[[], Awaitable[None] | None]) -> asyncio.Task[Any]:
        """Run `step` again and again, `period_s` apart. A step that fails is logged; the next one comes all the same."""
        return self.start(name, self._repeat(period_s, name, step))

    async def close(self) -> None:
        for task in list(self._running):
            task.cancel()
        if self._running:
            await asyncio.wait(list(self._running), timeout=5)

    async def _repeat(self, period_s: float, name: str, step: Callable[[], Awaitable[None] | None]) -> None:
        while True:
            await asyncio.sleep(period_s)
            try:
                pending = step()
                if pending is not None:
                    await pending
            except Exception as error:  # border: a background task must outlive one bad step
                self._failed(name, error)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(task.get_name(), error)

    def _failed(self, name: str, error: BaseException) -> None:
        self._registry.count("gateway_background_errors_total", name)
        self._log.event("error", "background_task_failed", task=name, error=repr(error))

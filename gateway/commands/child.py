"""A worker as its supervisor sees it: an interpreter of its own at the other end of a leash."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from msgspec import json

import gateway
from gateway.commands.leash import FromWorker, Leash, supervisors_end
from gateway.config import Written

# -P and our own folder on the path: the worker runs the supervisor's code, whatever the working directory holds.
COMMAND = (sys.executable, "-P", "-m", "gateway.commands.worker")
CODE = str(Path(gateway.__file__).parents[1])


class Worker:
    """ready: it answers calls. left: it takes no further ones, or never will. code: how it ended, None while it runs."""

    def __init__(self, child: asyncio.subprocess.Process, leash: Leash[FromWorker]) -> None:
        self._child = child
        self._started_s = time.monotonic()
        self.pid = child.pid
        self.leash = leash
        self.ready = asyncio.Event()
        self.left = asyncio.Event()
        self.code: int | None = None

    @property
    def serves(self) -> bool:
        return self.ready.is_set() and not self.left.is_set()

    def age_s(self) -> float:
        return time.monotonic() - self._started_s

    def signal(self, number: signal.Signals) -> None:
        """Nothing happens when it has ended."""
        if self._child.returncode is None:
            self._child.send_signal(number)

    async def ready_or_left(self) -> None:
        waiting = [asyncio.ensure_future(event.wait()) for event in (self.ready, self.left)]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for wait in waiting:
            wait.cancel()

    async def end(self) -> None:
        """Wait for its end; it has let go of the leash."""
        self.code = await self._child.wait()
        await self.leash.close()


async def spawn(path: str, sock: socket.socket, kept: Written, *, newest: bool) -> Worker:
    """Start a worker on a socket, with the configuration at `path`, or the kept one when something is wrong with that file.

    newest: it ends with 2 then instead. The kept one goes through a pipe, its stdin: it holds secrets, and nothing else can read a
    pipe. It gets a process group of its own: Ctrl-C in a terminal reaches the supervisor alone, which tells the workers once.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        child = await asyncio.create_subprocess_exec(
            *(*COMMAND, "--config", path, "--socket", str(sock.fileno()), "--leash", str(theirs.fileno())),
            *(["--newest"] if newest else []),
            stdin=subprocess.PIPE,
            pass_fds=(sock.fileno(), theirs.fileno()),
            process_group=0,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (CODE, os.environ.get("PYTHONPATH"))))},
        )
    assert child.stdin is not None
    child.stdin.write(json.encode(kept))  # sent when it reads; nothing happens when it dies before
    child.stdin.close()
    ours.setblocking(False)
    return Worker(child, await supervisors_end(ours))

"""One worker of a supervisor, started as `python -m gateway.commands.worker`; not for people.

It inherits its listening socket and its end of the leash as file descriptors, reads the configuration itself, and drains
when the supervisor is gone, however that came. On stdin it gets a configuration that was served before, which it takes when
something is wrong with the file.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from collections.abc import Sequence

from msgspec import DecodeError, json

from gateway.app import Gateway
from gateway.commands.failing import CommandError, exit_code
from gateway.commands.leash import (
    Ask,
    Collect,
    Counts,
    Figures,
    FromSupervisor,
    Leash,
    Leaving,
    Ready,
    Took,
    workers_end,
)
from gateway.commands.reloading import Reloader, log_refusal
from gateway.commands.serve import serve_on
from gateway.commands.whole_lines import stderr_lines
from gateway.config import Written
from gateway.errors import Overloaded
from gateway.logs import LogWriter
from gateway.telemetry import Snapshot

COUNTS_S = 5.0  # how often figures go to the supervisor unasked: what a kill can lose
FIGURES_S = 3.0  # the supervisor itself waits one second for the others


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m gateway.commands.worker", description="For the supervisor only.")
    parser.add_argument("--config", required=True)
    parser.add_argument("--socket", type=int, required=True, metavar="FD")
    parser.add_argument("--leash", type=int, required=True, metavar="FD")
    parser.add_argument("--newest", action="store_true", help="end with 2 when something is wrong with the file")
    return exit_code(lambda: _run(parser.parse_args(argv)))


def _run(arguments: argparse.Namespace) -> int:
    os.set_inheritable(arguments.socket, False)
    sock = socket.socket(fileno=arguments.socket)
    reloader = Reloader(arguments.config, os.environ)
    config = reloader.load_or_keep(_handed_down())
    with stderr_lines() as stream:
        if arguments.newest and reloader.refused is not None:
            log = LogWriter(stream, level=config.log.level, text=config.log.format == "text")
            log_refusal(log, reloader.refused)
            log.close()
            return 2
        serve_on(sock, config, os.environ, reloader, Supervised(arguments.leash, reloader), stream)
    return 0


def _handed_down() -> Written:
    try:
        return json.decode(sys.stdin.buffer.read(), type=Written)
    except DecodeError:
        raise CommandError("the supervisor died before it said with what to start") from None


class Supervised:
    """The worker's side of the leash."""

    patient = True  # service managers signal every process of a service: a second SIGTERM is no hurry

    def __init__(self, leash_fd: int, reloader: Reloader) -> None:
        self._fd = leash_fd
        self._reloader = reloader
        self._leash: Leash[FromSupervisor]
        self._gateway: Gateway
        self._answers: dict[int, asyncio.Future[Snapshot]] = {}
        self._serial = 0

    async def starting(self, gateway: Gateway, stop: asyncio.Event) -> None:
        self._gateway, self._leash = gateway, await workers_end(self._fd)
        gateway.figures = self._figures
        gateway.tasks.start("leash", self._follow(stop))
        gateway.tasks.every(COUNTS_S, "worker figures", self._tell)

    def ready(self, port: int) -> None:
        self._leash.send(Ready())
        self._reloader.tell = self._took
        if self._reloader.refused is None:  # else the supervisor has it already, or a newer one by now
            self._took(self._reloader.written)

    def _took(self, written: Written) -> None:
        self._leash.send(Took(written))

    def leaving(self) -> None:
        self._leash.send(Leaving())

    async def ended(self) -> None:
        self._leash.send(Counts(self._gateway.registry.snapshot()))
        await self._leash.close()

    async def _follow(self, stop: asyncio.Event) -> None:
        async for message in self._leash.messages():
            match message:
                case Collect(serial):
                    self._leash.send(Counts(self._gateway.registry.snapshot(), serial))
                case Figures(snapshot, serial):
                    answer = self._answers.pop(serial, None)
                    if answer is not None and not answer.done():
                        answer.set_result(snapshot)
        stop.set()  # the supervisor is gone: nobody would replace us, nor tell us to end

    def _tell(self) -> None:
        if self._leash.clear:
            self._leash.send(Counts(self._gateway.registry.snapshot()))

    async def _figures(self) -> list[Snapshot]:
        """Everybody's figures. Raises Overloaded rather than show some for all: counters would seem to go backwards."""
        self._serial += 1
        serial = self._serial
        answer = self._answers[serial] = asyncio.get_running_loop().create_future()
        self._leash.send(Ask(self._gateway.registry.snapshot(), serial))
        try:
            async with asyncio.timeout(FIGURES_S):
                return [await answer]
        except TimeoutError:
            raise Overloaded("The supervisor did not collect the workers' figures in time; try again.") from None
        finally:
            self._answers.pop(serial, None)


if __name__ == "__main__":
    sys.exit(main())

"""The leash between the supervisor and a worker: one socket pair, a JSON line for each message, both ways.

    worker -> supervisor    Ready, Leaving: the turns of its life.  Counts: its figures.  Ask: the figures of all, please
                            Took: the configuration that it serves, for those who come after it
    supervisor -> worker    Collect: send your figures.  Figures: the answer to Ask

Rule 1: whoever reads the end of it knows that the other side is gone; no pid is ever looked up. Rule 2: nobody waits for room to
write; what is sent again anyway (figures) is left out while the other side does not read.
A socket pair needs no folder, no permissions and no cleaning up: it works in a container that may not write anywhere.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from msgspec import Struct
from msgspec.json import Decoder, encode

from gateway.config import Written
from gateway.telemetry import Snapshot

MAX_LINE_BYTES = 64 * 1024 * 1024  # of figures: some 100,000 series


class Ready(Struct, frozen=True, tag="ready"):
    """The worker answers calls."""


class Leaving(Struct, frozen=True, tag="leaving"):
    """The worker takes no further calls and ends with its last one."""


class Counts(Struct, frozen=True, tag="counts"):
    """What the worker counted so far. `serial` is that of the Collect it answers, 0 when nobody asked."""

    snapshot: Snapshot
    serial: int = 0


class Ask(Struct, frozen=True, tag="ask"):
    """Someone reads /metrics at this worker, whose own figures are these."""

    snapshot: Snapshot
    serial: int


class Took(Struct, frozen=True, tag="took"):
    """The worker serves what it read from the file: this. Secrets in plain, which stay between two processes of ours."""

    written: Written


class Collect(Struct, frozen=True, tag="collect"):
    """Send Counts with this serial."""

    serial: int


class Figures(Struct, frozen=True, tag="figures"):
    """Everybody's figures, merged; the answer to the Ask with this serial."""

    snapshot: Snapshot
    serial: int


FromWorker = Ready | Leaving | Counts | Ask | Took
FromSupervisor = Collect | Figures
Incoming = TypeVar("Incoming")
_FROM_WORKER: Decoder[FromWorker] = Decoder(FromWorker)
_FROM_SUPERVISOR: Decoder[FromSupervisor] = Decoder(FromSupervisor)


class Leash(Generic[Incoming]):
    """One end."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, incoming: Decoder[Incoming]) -> None:
        self._reader = reader
        self._writer = writer
        self._incoming = incoming

    def send(self, message: FromWorker | FromSupervisor) -> None:
        """Send soon; nothing happens when the other side is gone."""
        if not self._writer.is_closing():
            self._writer.write(encode(message) + b"\n")

    @property
    def clear(self) -> bool:
        """Whether the other side has taken everything."""
        return not self._writer.transport.get_write_buffer_size()

    async def messages(self) -> AsyncIterator[Incoming]:
        """What the other side sends, until it is gone. A line that its death cut off is no message."""
        while True:
            try:
                line = await self._reader.readline()
            except ConnectionError:
                return
            if not line.endswith(b"\n"):
                return
            yield self._incoming.decode(line)

    async def close(self) -> None:
        """Let go, after what was sent is out."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return  # the other side was faster


async def supervisors_end(sock: socket.socket) -> Leash[FromWorker]:
    reader, writer = await asyncio.open_unix_connection(sock=sock, limit=MAX_LINE_BYTES)
    return Leash(reader, writer, _FROM_WORKER)


async def workers_end(fd: int) -> Leash[FromSupervisor]:
    """The end that was inherited as file descriptor `fd`."""
    os.set_inheritable(fd, False)
    reader, writer = await asyncio.open_unix_connection(sock=socket.socket(fileno=fd), limit=MAX_LINE_BYTES)
    return Leash(reader, writer, _FROM_SUPERVISOR)

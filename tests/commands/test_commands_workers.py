"""What makes several workers one gateway: their number, their figures, their lines on one stderr."""

from __future__ import annotations

import asyncio
import io
import os
import select
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.commands.cores import worker_count
from gateway.commands.failing import CommandError
from gateway.commands.figures import Book
from gateway.commands.leash import Collect, Counts, FromSupervisor, FromWorker, Leash, supervisors_end, workers_end
from gateway.commands.listening import free_port, listen, share
from gateway.commands.whole_lines import WholeLines
from gateway.telemetry import Registry, Snapshot

# ---------------------------------------------------------------- how many


@pytest.mark.parametrize(("limit", "most"), [("max 100000", 512), ("100000 100000", 1), ("150000 100000", 2)])
def test_auto_is_a_worker_for_each_core_within_the_containers_limit(tmp_path: Path, limit: str, most: int) -> None:
    (tmp_path / "cpu.max").write_text(limit + "\n")
    assert worker_count("auto", tmp_path / "cpu.max") == min(most, len(os.sched_getaffinity(0)))


def test_a_number_of_workers_is_that_number(tmp_path: Path) -> None:
    assert worker_count(7, tmp_path / "no such file") == 7
    assert worker_count("auto", tmp_path / "no such file") == len(os.sched_getaffinity(0))


# ---------------------------------------------------------------- sockets


def test_a_shared_socket_gets_connections_only_when_someone_listens() -> None:
    port = free_port("127.0.0.1", 0)
    with share("127.0.0.1", port) as first, share("127.0.0.1", port) as second:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        second.listen()
        for _ in range(8):
            socket.create_connection(("127.0.0.1", port)).close()
            second.accept()[0].close()
        assert first.getsockname() == second.getsockname()


def test_a_port_in_use_is_not_free() -> None:
    with listen("127.0.0.1", 0) as other, pytest.raises(CommandError, match=r"cannot listen on 127\.0\.0\.1:"):
        free_port("127.0.0.1", other.getsockname()[1])


# ---------------------------------------------------------------- lines


class Writes(io.RawIOBase):
    """Remembers every write; takes at most `most` bytes of each."""

    def __init__(self, most: int = 2**30) -> None:
        self.most = most
        self.seen: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.seen.append(bytes(data[: self.most]))
        return min(len(data), self.most)


def test_a_batch_is_written_in_pieces_of_whole_lines_that_a_pipe_keeps_together() -> None:
    raw, lines = Writes(), [b"x" * size + b"\n" for size in (10, 3000, 1100, 80, 9000, 1)]
    WholeLines(raw).write(b"".join(lines))
    assert b"".join(raw.seen) == b"".join(lines)
    assert all(piece.endswith(b"\n") for piece in raw.seen)
    assert [len(piece) for piece in raw.seen if len(piece) > select.PIPE_BUF] == [9001], "one line is one write"
    assert len(raw.seen) == 4


def test_nothing_is_lost_when_a_write_takes_a_part() -> None:
    raw = Writes(most=7)
    assert WholeLines(raw).write(b"one line\nand another\n") == 21
    assert b"".join(raw.seen) == b"one line\nand another\n"


# ---------------------------------------------------------------- figures


class Pair:
    """Both ends of a leash, and the descriptor of the worker's."""

    def __init__(self, supervisor: Leash[FromWorker], worker: Leash[FromSupervisor], fd: int) -> None:
        self.supervisor = supervisor
        self.worker = worker
        self.fd = fd


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    ours, theirs = socket.socketpair()
    fd = theirs.detach()
    found = Pair(await supervisors_end(ours), await workers_end(fd), fd)
    yield found
    await found.worker.close()
    await found.supervisor.close()


def counted(alerts: float, in_flight: float = 0) -> Snapshot:
    return {"gateway_alerts_total": [(["warning"], alerts)], "gateway_in_flight_requests": [([], in_flight)]}


def shown(snapshot: Snapshot) -> tuple[float, float]:
    """Alerts and calls in flight."""
    return snapshot["gateway_alerts_total"][0][1], sum(row[1] for row in snapshot["gateway_in_flight_requests"])


async def test_counters_of_the_dead_stay_and_their_gauges_go() -> None:
    book = Book(Registry())
    book.take(1, Counts(counted(3, in_flight=5)))
    book.take(2, Counts(counted(4, in_flight=2)))
    assert shown(await book.all({})) == (7, 7)
    book.close(1)
    assert shown(await book.all({})) == (7, 2)
    book.close(2)
    book.take(3, Counts(counted(1)))
    assert shown(await book.all({})) == (8, 0)


async def test_a_worker_is_asked_for_its_newest_figures(pair: Pair) -> None:
    book = Book(Registry())
    book.take(1, Counts(counted(3)))
    asking = asyncio.create_task(book.all({1: pair.supervisor}))
    async for message in pair.worker.messages():
        assert isinstance(message, Collect)
        pair.worker.send(Counts(counted(10), message.serial))
        break
    async for answer in pair.supervisor.messages():
        assert isinstance(answer, Counts)
        book.take(1, answer)
        break
    assert shown(await asking) == (10, 0)


async def test_a_worker_that_does_not_answer_counts_with_what_it_said_last(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.commands.figures.ANSWER_S", 0.05)
    book = Book(Registry())
    book.take(1, Counts(counted(3)))
    assert shown(await book.all({1: pair.supervisor})) == (3, 0)
    book.take(1, Counts(counted(4), serial=1))
    assert shown(await book.all({})) == (4, 0), "what comes too late for its question is not lost"


async def test_a_line_that_death_cut_off_is_no_message(pair: Pair) -> None:
    pair.worker.send(Counts(counted(1)))
    os.write(pair.fd, b'{"type":"counts","snap')
    await pair.worker.close()
    assert [type(message) async for message in pair.supervisor.messages()] == [Counts]

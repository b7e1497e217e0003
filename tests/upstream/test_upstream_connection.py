"""Connections and deadlines with a transport made of lists: no socket, no waiting, time is a number."""

from __future__ import annotations

from math import inf
from typing import cast

import pytest
from upstream_kit import HELLO, FakeTransport, Recorder, request

from gateway.errors import Next
from gateway.settings import Timeouts
from gateway.upstream.connection import Connection
from gateway.upstream.round import Round, Writer
from gateway.upstream.transfer import Transfer

LIMITS = Timeouts(connect_s=3, first_byte_s=30, idle_s=45, total_s=600)
HALF = HELLO[:-2]


class Keeper:
    """A pool that only takes notes. A round ends with every write, unless a test lets it last (`lasts`)."""

    plain = False

    def __init__(self) -> None:
        self.round = cast(Round, self)
        self.lasts = False
        self.active: set[Transfer] = set()
        self.now = 0.0
        self.free: list[Connection] = []
        self.gone: list[Connection] = []
        self.replaced: list[Transfer] = []

    def add(self, writer: Writer) -> None:
        if not self.lasts:
            writer.flush()

    def clock(self) -> float:
        return self.now

    def give_back(self, connection: Connection) -> None:
        self.free.append(connection)

    def forget(self, connection: Connection) -> None:
        self.gone.append(connection)

    def replace(self, transfer: Transfer) -> None:
        self.replaced.append(transfer)

    def final_head(self, head: bytes) -> bytes:
        return head

    def overdue(self) -> bool:
        """What a sweep does, for a single transfer."""
        (transfer,) = self.active
        late = transfer.overdue(self.now)
        if late:
            transfer.expire(self.now)
        return late


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


@pytest.fixture
def transport() -> FakeTransport:
    return FakeTransport()


@pytest.fixture
def connection(keeper: Keeper, transport: FakeTransport) -> Connection:
    made = Connection(keeper)
    made.connection_made(transport)
    return made


def start(
    connection: Connection, keeper: Keeper, sink: Recorder, body: bytes = b"{}", method: str = "POST"
) -> Transfer:
    transfer = Transfer(keeper, request(body=body, timeouts=LIMITS, method=method), sink, keeper.now)
    sink.transfer = transfer
    connection.start(transfer, keeper.now)
    return transfer


def test_a_request_is_written_at_once_and_in_one_piece(
    connection: Connection, keeper: Keeper, transport: FakeTransport
) -> None:
    transfer = start(connection, keeper, Recorder(), body=b'{"a":1}')
    assert transfer.sent
    assert transport.written == [b'POST /v1/chat HTTP/1.1\r\nhost: provider.test\r\ncontent-length: 7\r\n\r\n{"a":1}']


def test_a_request_goes_out_with_the_end_of_the_round(
    connection: Connection, keeper: Keeper, transport: FakeTransport
) -> None:
    keeper.lasts = True
    start(connection, keeper, Recorder(), body=b"{}")
    assert transport.written == []
    connection.flush()
    connection.flush()
    assert len(transport.written) == 1 and transport.written[0].endswith(b"\r\n\r\n{}")


@pytest.mark.parametrize("size", [2, 100_000])
def test_what_comes_before_the_request_went_out_answers_nobody(
    connection: Connection, keeper: Keeper, transport: FakeTransport, size: int
) -> None:
    start(connection, keeper, Recorder())
    connection.data_received(HELLO)
    keeper.lasts = True
    sink = Recorder()
    transfer = start(connection, keeper, sink, body=b"x" * size)
    connection.data_received(HELLO)  # to a request that nobody has seen
    connection.flush()
    assert sink.words == []
    assert (transport.closed, len(transport.written), keeper.replaced) == (True, 1, [transfer])
    assert not transfer.sent


@pytest.mark.parametrize("size", [2, 100_000])
def test_a_request_that_is_given_up_in_its_own_round_never_goes_out(
    connection: Connection, keeper: Keeper, transport: FakeTransport, size: int
) -> None:
    keeper.lasts = True
    transfer = start(connection, keeper, Recorder(), body=b"x" * size)
    transfer.cancel()
    connection.flush()
    assert transport.written == [] and transport.closed
    assert not transfer.sent, "the upstream cannot have acted on it"


def test_a_large_body_is_written_without_copying_it(
    connection: Connection, keeper: Keeper, transport: FakeTransport
) -> None:
    body = bytes(100_000)
    start(connection, keeper, Recorder(), body=body)
    assert transport.written[1] is body
    assert transport.written[0].endswith(b"content-length: 100000\r\n\r\n")


@pytest.mark.parametrize(
    ("method", "ending"), [("GET", b"provider.test\r\n\r\n"), ("POST", b"content-length: 0\r\n\r\n")]
)
def test_a_length_is_written_where_a_body_is_expected(
    connection: Connection, keeper: Keeper, transport: FakeTransport, method: str, ending: bytes
) -> None:
    start(connection, keeper, Recorder(), body=b"", method=method)
    assert transport.written[0].endswith(ending)


def test_the_connection_is_free_before_the_sink_hears_the_end(connection: Connection, keeper: Keeper) -> None:
    free_at_the_end: list[bool] = []
    sink = Recorder(lambda word: free_at_the_end.append(connection in keeper.free) if word == "end" else None)
    start(connection, keeper, sink)
    connection.data_received(HELLO)
    assert free_at_the_end == [True]
    assert (sink.words, keeper.active) == (["head", "data", "end"], set())


def test_a_call_begun_from_on_end_reuses_the_connection(connection: Connection, keeper: Keeper) -> None:
    second = Recorder()
    start(
        connection, keeper, Recorder(lambda word: start(connection, keeper, second) and None if word == "end" else None)
    )
    connection.data_received(HELLO)
    assert second.words == []
    connection.data_received(HELLO)
    assert second.words == ["head", "data", "end"]


def test_an_answer_that_overtakes_its_request_leaves_a_connection_of_no_use(
    connection: Connection, keeper: Keeper, transport: FakeTransport
) -> None:
    sink = Recorder()
    start(connection, keeper, sink)
    transport.unsent = 1
    connection.data_received(HELLO)
    assert (sink.words[-1], keeper.free, transport.closed) == ("end", [], True)


@pytest.mark.parametrize("word", ["head", "data"])
def test_a_cancel_from_inside_the_sink_is_the_last_it_hears(
    connection: Connection, keeper: Keeper, transport: FakeTransport, word: str
) -> None:
    def cancel(heard: str) -> None:
        if heard == word:
            assert sink.transfer is not None
            sink.transfer.cancel()

    sink = Recorder(cancel)
    start(connection, keeper, sink)
    connection.data_received(HELLO)
    connection.connection_lost(None)
    assert sink.words[-1] == word
    assert (keeper.free, keeper.active, transport.closed) == ([], set(), True)


def test_a_cancel_after_the_end_leaves_the_next_exchange_alone(
    connection: Connection, keeper: Keeper, transport: FakeTransport
) -> None:
    first = start(connection, keeper, Recorder())
    connection.data_received(HELLO)
    second = Recorder()
    start(connection, keeper, second)
    first.cancel()
    first.pause()
    assert transport.reading and not transport.closed
    connection.data_received(HELLO)
    assert second.words[-1] == "end"


def test_a_reused_connection_found_dead_costs_nobody_a_call(connection: Connection, keeper: Keeper) -> None:
    start(connection, keeper, Recorder())
    connection.data_received(HELLO)
    sink = Recorder()
    transfer = start(connection, keeper, sink)
    connection.connection_lost(ConnectionResetError())
    assert keeper.replaced == [transfer]
    assert sink.words == []


def test_a_fresh_connection_that_dies_is_a_fault(connection: Connection, keeper: Keeper) -> None:
    sink = Recorder()
    start(connection, keeper, sink)
    connection.eof_received()
    assert keeper.replaced == []
    assert sink.fault is not None and (sink.fault.kind, sink.fault.next) == ("reset", Next.SAME)
    assert "provider.test" in sink.fault.log_message and "provider.test" not in sink.fault.safe_message


@pytest.mark.parametrize("heard", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n", HALF])
def test_one_byte_of_an_answer_forbids_a_replacement(connection: Connection, keeper: Keeper, heard: bytes) -> None:
    start(connection, keeper, Recorder())
    connection.data_received(HELLO)
    sink = Recorder()
    start(connection, keeper, sink)
    connection.data_received(heard)
    connection.eof_received()
    connection.connection_lost(None)
    assert keeper.replaced == []
    assert sink.words.count("fault") == 1


def test_bytes_that_nobody_asked_for_close_the_connection(
    connection: Connection, keeper: Keeper, transport: FakeTransport
) -> None:
    connection.data_received(HELLO)
    assert transport.closed


def test_a_body_that_ends_with_the_connection_is_whole(
    connection: Connection, keeper: Keeper, transport: FakeTransport
) -> None:
    sink = Recorder()
    start(connection, keeper, sink)
    connection.data_received(b"HTTP/1.1 200 OK\r\n\r\nhello")
    connection.eof_received()
    assert (sink.data, sink.words[-1], keeper.free, transport.closed) == (b"hello", "end", [], True)


def test_a_body_without_length_that_is_reset_is_not_whole(connection: Connection, keeper: Keeper) -> None:
    sink = Recorder()
    start(connection, keeper, sink)
    connection.data_received(b"HTTP/1.1 200 OK\r\n\r\nhello")
    connection.connection_lost(ConnectionResetError("reset by peer"))
    assert sink.fault is not None and sink.fault.kind == "reset"


@pytest.mark.parametrize(
    ("heard", "now", "kind"),
    [
        (b"", 30, "first_byte_timeout"),
        (b"HTTP/1.1 200 OK\r\n", 30, "first_byte_timeout"),  # a head that drips is no answer yet
        (b"HTTP/1.1 100 Continue\r\n\r\n", 30, "first_byte_timeout"),
        (HALF, 10 + 45, "idle_timeout"),
    ],
)
def test_each_phase_has_its_own_limit(
    connection: Connection, keeper: Keeper, heard: bytes, now: float, kind: str
) -> None:
    sink = Recorder()
    start(connection, keeper, sink)
    keeper.now = 10
    if heard:
        connection.data_received(heard)
    assert not keeper.overdue()
    keeper.now = now - 0.1
    assert not keeper.overdue()
    keeper.now = now
    assert keeper.overdue()
    assert sink.fault is not None and (sink.fault.kind, sink.fault.next) == (kind, Next.SAME)


def test_every_byte_of_the_body_starts_the_idle_clock_anew_but_not_the_total(
    connection: Connection, keeper: Keeper
) -> None:
    sink = Recorder()
    start(connection, keeper, sink)
    connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    for _ in range(14):
        keeper.now += 40
        assert not keeper.overdue()
        connection.data_received(b".")
        assert not keeper.overdue()
    keeper.now += 40
    assert keeper.overdue()
    assert sink.fault is not None and (sink.fault.kind, sink.fault.next) == ("total_timeout", Next.OTHER)


def test_while_we_do_not_listen_the_upstream_is_not_idle(
    connection: Connection, keeper: Keeper, transport: FakeTransport
) -> None:
    transfer = start(connection, keeper, Recorder())
    connection.data_received(HALF)
    transfer.pause()
    assert (transfer.due_at, transport.reading) == (inf, False)
    connection.data_received(b"l")  # was already under way
    keeper.now = 500
    assert not keeper.overdue()
    transfer.resume()
    assert (transfer.due_at, transport.reading) == (545, True)


def test_a_paused_answer_that_ends_gives_back_a_connection_that_reads(
    connection: Connection, keeper: Keeper, transport: FakeTransport
) -> None:
    transfer = start(connection, keeper, Recorder())
    transfer.pause()
    connection.data_received(HELLO)
    assert keeper.free == [connection] and transport.reading


def test_a_transfer_paused_before_its_connection_starts_paused(
    connection: Connection, keeper: Keeper, transport: FakeTransport
) -> None:
    transfer = Transfer(keeper, request(timeouts=LIMITS), Recorder(), 0)
    transfer.pause()
    connection.start(transfer, 0)
    assert not transport.reading

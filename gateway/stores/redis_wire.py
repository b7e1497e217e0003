"""What the scripts in lua/ are told and what they answer: between the ledger's words and packed lists. No I/O here.

Rule 1: whatever goes in is at most MOST, since Lua's numbers are doubles. Limits above it are as good as MOST.
Rule 2: an account's key is its scope, unit and period with a zero byte between them; they sort as the parts do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.core.ledger_commands import (
    Accounts,
    Alerts,
    Arrive,
    Ask,
    Audits,
    BucketState,
    Circuits,
    CircuitState,
    Close,
    Delivered,
    Free,
    Give,
    Holders,
    Op,
    Open,
    Orphan,
    Outbox,
    Probe,
    Reap,
    Recalls,
    Refuse,
    Reply,
    Reset,
    Settle,
    Spend,
    Standing,
    Sync,
    Synced,
    Trip,
)
from gateway.core.ledger_rows import MOST, Account, AlertRow, Audit, Holder, Key, Process

Query = Circuits | Delivered | Accounts | Alerts | Outbox | Recalls | Holders | Audits
Line = list[Any]

# Numbers of operations in 2_operations.lua. TAKE and ERASE stand only in what is said again to a server that lost it: what was
# granted then, whatever would be granted now, and as much as was erased then, since others' usage may have come back before.
ARRIVE, OPEN, SETTLE, GIVE, ASK, REFUSE, RESET, REAP, TAKE, ERASE, TRIP, PROBE, CLOSE, FREE, SPEND = range(1, 16)
SETTLED = 3  # place of what is settled in an account's line that begins with its key
NEVER_S = 1e18  # repeated commands tell nothing about who is silent

pack = msgspec.msgpack.encode
unpack = msgspec.msgpack.decode


def key_text(key: Key) -> str:
    """A key as the scripts know it."""
    return "\0".join(key)


def key_of(text: str) -> Key:
    """`key_text` backwards. A scope may hold a zero byte, units and periods are ours."""
    return Key(*text.rsplit("\0", 2))


# ---------------------------------------------------------------- a Sync


def operation(op: Op) -> Line:
    """One operation for 2_operations.lua."""
    match op:
        case Settle(key, used, covered, estimated, suspect):
            return [SETTLE, key_text(key), *(min(MOST, amount) for amount in (used, covered, estimated, suspect))]
        case Give(key, amount):
            return [GIVE, key_text(key), min(MOST, amount)]
        case Ask(key, need, want, least):
            return [ASK, key_text(key), min(MOST, need), min(MOST, want), min(MOST, least)]
        case Open(key, limit):
            return [OPEN, key_text(key), None if limit is None else min(MOST, limit)]
        case Refuse(key):
            return [REFUSE, key_text(key)]
        case Reset(key, note):
            return [RESET, key_text(key), note]
        case Arrive(process):
            return [ARRIVE, process.boot, process.space, process.pid, process.started]
        case Reap(gone, after_s):
            return [REAP, gone, after_s]
        case _:
            return _shared_operation(op)


def _shared_operation(op: Trip | Probe | Close | Free | Spend) -> Line:
    match op:
        case Trip(name, open_s):
            return [TRIP, name, open_s]
        case Probe(name, lease_s):
            return [PROBE, name, lease_s]
        case Close(name):
            return [CLOSE, name]
        case Free(name):
            return [FREE, name]
        case Spend(name, seconds):
            return [SPEND, name, seconds]


def packed(command: Sync, operations: Sequence[Line]) -> bytes:
    """A Sync for 3_sync.lua."""
    return pack((command.holder, command.seq, operations, command.thresholds, command.notify, command.leave))


def as_it_happened(operations: Sequence[Line], answer: bytes) -> list[Line]:
    """The operations of an answered Sync, to be said again to a server that lost them: what they did, not what was asked."""
    *_, before, _, _, _, _, grants = unpack(answer)
    happened: list[Line] = []
    for op in operations:
        match op:
            case [int(kind), str(key), *_] if kind == ASK:
                happened.append([TAKE, key, grants.pop(0)])
            case [int(kind), str(key), note] if kind == RESET:
                if before and before[0][0] == key:  # otherwise there was no such account
                    happened.append([ERASE, key, before.pop(0)[SETTLED], note])
            case [int(kind), gone, _] if kind == REAP:
                happened.append([REAP, gone, NEVER_S])
            case [int(kind), *_] if kind >= TRIP:
                pass  # old news
            case _:
                happened.append(op)
    return happened


def synced(answer: bytes) -> Synced:
    """The answer of 3_sync.lua."""
    standings, holders, alerts, before, orphans, recalled, circuits, buckets, _ = unpack(answer)
    return Synced(
        [Standing(key_of(line[0]), _limit(line[1]), *line[2:]) for line in standings],
        holders,
        [_alert(line) for line in alerts],
        [_account(line[0], line[1:]) for line in before],
        [Orphan(holder, key_of(key), amount) for holder, key, amount in orphans],
        [key_of(key) for key in recalled],
        [
            CircuitState(name, float(open_for_s), probe, float(probe_for_s))
            for name, open_for_s, probe, probe_for_s in circuits
        ],
        [BucketState(name, float(full_in_s)) for name, full_in_s in buckets],
    )


# ---------------------------------------------------------------- everything else


def question(query: Query, now: str) -> list[str | int]:
    """The arguments of look.lua. `now` is "" for the server's own time."""
    match query:
        case Delivered(alert):
            return ["delivered", alert]
        case Accounts(periods, since):
            return ["accounts", since, *periods]
        case Alerts(month, limit):
            return ["alerts", month, max(0, limit)]
        case Outbox(limit):
            return ["outbox", max(0, limit)]
        case Recalls(holder):
            return ["recalls", holder]
        case Holders():
            return ["holders"]
        case Circuits():
            return ["circuits", now]
        case Audits(limit):
            return ["audits", max(0, limit)]


def answer(query: Query, told: Line) -> Reply:
    """What look.lua answered."""
    match query:
        case Delivered():
            return None
        case Accounts():
            return sorted((_account(field.decode(), unpack(row)) for field, row in _pairs(told)), key=lambda r: r.key)
        case Alerts(_, limit):
            pending = {id.decode() for id in told[1]}
            rows = [_alert_of(field.decode(), unpack(row), pending) for field, row in _pairs(told[0])]
            return sorted(rows, key=lambda row: (-row.at, -row.threshold, row.key))[: max(0, limit)]
        case Outbox():
            return [_alert(unpack(row)) for _, row in _pairs(told)]
        case Recalls(holder):
            return [key_of(place.decode()[len(holder) + 1 :]) for place in told]
        case Holders():
            return sorted((_holder(id.decode(), unpack(row)) for id, row in _pairs(told)), key=lambda row: row.id)
        case Circuits():
            return _circuits(float(told[0]), told[1])
        case Audits():
            return [Audit(float(at), action, key_of(key), *rest) for at, action, key, *rest in map(unpack, told)]


def _circuits(now: float, told: Line) -> list[CircuitState]:
    rows = sorted((name.decode(), unpack(row)) for name, row in _pairs(told))
    return [CircuitState(name, max(0.0, end - now), probe, max(0.0, last - now)) for name, (end, probe, last) in rows]


def _pairs(told: Line) -> list[tuple[bytes, bytes]]:
    return list(zip(told[::2], told[1::2], strict=True))


def _limit(limit: int | bool) -> int | None:
    return None if limit is False else limit  # Lua's tables cannot hold nil


def _account(text: str, line: Line) -> Account:
    return Account(key_of(text), _limit(line[0]), *line[1:])


def _alert(line: Line) -> AlertRow:
    text, threshold, epoch, used, limit, at, pending = line
    return AlertRow(key_of(text), threshold, epoch, used, limit, float(at), pending)


def _alert_of(field: str, line: Line, pending: set[str]) -> AlertRow:
    text, threshold, epoch = field.rsplit("\0", 2)
    row = AlertRow(key_of(text), int(threshold), int(epoch), line[0], line[1], float(line[2]))
    return msgspec.structs.replace(row, pending=True) if row.id in pending else row


def _holder(id: str, line: Line) -> Holder:
    """A holder as others need it: its last reply is kept apart and not told."""
    state, seq, beat_at, boot, space, pid, started = line
    return Holder(id, Process(boot, space, pid, started), float(beat_at), seq, b"", state)

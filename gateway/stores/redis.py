"""The quota ledger in Redis or Valkey, for gateways on many machines: each Sync is one script that the server runs whole.

Rule 1: a turn runs in a task of the store's own. Who is cancelled while waiting leaves no half-read answer behind, and after any
error the connection is thrown away.
Rule 2: nothing is retried here. Who sent a command sends it again as it was; the ledger knows it by (holder, seq).
Rule 3: a server may lose what it acknowledged: a replica that takes over, an old snapshot. It shows as a gap in the holder's
numbers, whatever proxy stands between. Then all that was answered in the last REPLAY_S is said again, as it happened then.
Rule 4: while a server that is new has not heard all gateways that its ledger calls live, it grants no new lease (3_sync.lua).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from hashlib import sha1
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct
from redis.asyncio import Redis
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    RedisError,
    ResponseError,
)

from gateway.core.ledger_commands import Command, Reply, Stale, Sync
from gateway.stores.base import StoreDown, StoreUnusable
from gateway.stores.redis_place import OLDEST, Place, connect, doubts, faults, fitness, place_of
from gateway.stores.redis_wire import answer, as_it_happened, operation, packed, question, synced

Answer = TypeVar("Answer")
PREFIX = "{gateway:quota}"  # in braces: the part that decides on the slot in a cluster
SCHEMA = 1
COMMAND_S = 2.0  # how long one command may take before the server counts as away
REPLAY_S = 60.0
REPLAY_MOST = 10_000  # commands kept for that at most, some MB
NOTE_TRIES = 100
LUA = Path(__file__).with_name("lua")
SYNC_FILES = ("1_rows.lua", "2_operations.lua", "3_sync.lua")


class Script(Struct, frozen=True):
    """A script, known to the server by its SHA-1."""

    text: str
    sha: str


class Said(Struct, frozen=True):
    """An answered Sync, as it can be said again."""

    at_s: float
    holder: str
    seq: int
    sync: bytes


class RedisStore:
    """The driver behind redis:// and rediss://.

    warn: gets what an operator should know. own_clock: the ledger's time is the server's; otherwise that of `run`, for tests.
    """

    local = False

    def __init__(self, url: str, warn: Callable[[str], None] = lambda _: None, own_clock: bool = True) -> None:
        self.place: Place = place_of(url)
        self._warn = warn
        self._own_clock = own_clock
        self._sync_script = _script(*SYNC_FILES)
        self._look_script = _script("look.lua")
        self._note_script = _script("note.lua")
        self._client: Redis | None = None
        self._moved: tuple[str, int] | None = None  # where a cluster keeps our slot
        self._lock = asyncio.Lock()
        self._turns: set[asyncio.Task[Any]] = set()
        self._said: deque[Said] = deque(maxlen=REPLAY_MOST)

    async def open(self) -> None:
        """Connect and check the server. Raises StoreUnusable when it is not fit, StoreDown when it cannot be reached."""
        try:
            async with self._lock, asyncio.timeout(COMMAND_S):
                await self._check()
                await self._create()
        except (AuthenticationError, AuthorizationError, NoPermissionError) as e:
            await self._drop()
            raise StoreUnusable(f"{self.place.name}: the server does not let us in ({e}). Check store.url.") from e
        except (RedisError, OSError) as e:
            await self._drop()
            raise self._down(e) from e
        except BaseException:
            await self._drop()
            raise

    async def run(self, command: Command, now: float) -> Reply:
        return await self._turn(self._run(command, "" if self._own_clock else repr(now)))

    async def note(self, name: str, change: Callable[[bytes], bytes]) -> bytes:
        return await self._turn(self._change(name, change))

    async def close(self) -> None:
        async with self._lock:
            await self._drop()

    # ------------------------------------------------------------ commands

    async def _turn(self, step: Coroutine[Any, Any, Answer]) -> Answer:
        turn = asyncio.create_task(self._alone(step), name="quota-redis")
        self._turns.add(turn)
        turn.add_done_callback(self._turns.discard)
        return await asyncio.shield(turn)

    async def _alone(self, step: Coroutine[Any, Any, Answer]) -> Answer:
        async with self._lock:
            try:
                return await step
            except (RedisError, OSError) as e:
                self._moved = None
                await self._drop()
                raise self._down(e) from e
            except StoreDown:
                raise
            except BaseException:
                await self._drop()
                raise

    async def _run(self, command: Command, now: str) -> Reply:
        if isinstance(command, Sync):
            return await self._sync(command, now)
        return answer(command, await self._eval(self._look_script, *question(command, now)))

    async def _change(self, name: str, change: Callable[[bytes], bytes]) -> bytes:
        """Read, change, and write where nobody wrote meanwhile."""
        before = b""
        for _ in range(NOTE_TRIES):
            after = change(before)
            written, found = await self._eval(self._note_script, name, before, after)
            if written:
                return after
            before = bytes(found)
        raise StoreDown(f"{self.place.name}: too many write the note '{name}' at once")

    async def _sync(self, command: Sync, now: str) -> Reply:
        operations = [operation(op) for op in command.ops]
        sync = packed(command, operations)
        told = await self._eval(self._sync_script, sync, now, "new")
        if told[0] == b"empty":
            await self._begin_anew()
            told = await self._eval(self._sync_script, sync, now, "new")
        if told[0] == b"gap":
            await self._say_again(command, int(told[1]), now)
            told = await self._eval(self._sync_script, sync, now, "forced")
        match told:
            case [b"ok", bytes() as reply]:
                happened = packed(command, as_it_happened(operations, reply))
                self._remember(command, happened)
                return synced(reply)
            case [b"stale", seq]:
                return Stale(int(seq))
        raise StoreDown(f"{self.place.name}: the server is new; it waits to hear what other gateways hold")

    def _remember(self, command: Sync, sync: bytes) -> None:
        now_s = asyncio.get_running_loop().time()
        self._said.append(Said(now_s, command.holder, command.seq, sync))
        while self._said[0].at_s < now_s - REPLAY_S:
            self._said.popleft()

    async def _say_again(self, command: Sync, last: int, now: str) -> None:
        """Repeat what the server lost of our acknowledged commands after number `last`."""
        lost = [said for said in self._said if said.holder == command.holder and last < said.seq < command.seq]
        for said in lost:
            await self._eval(self._sync_script, said.sync, now, "replay")
        older = (lost[0].seq if lost else command.seq) - last - 1
        self._warn(
            f"{self.place.name}: the server had lost {older + len(lost)} acknowledged transactions of this process; "
            f"{len(lost)} were repeated" + (f", {older} are older than {REPLAY_S:.0f} s and lost" if older else "")
        )

    async def _begin_anew(self) -> None:
        # A ledger that vanished must not come back empty: every quota would begin anew without a word.
        if not self.place.volatile:
            raise StoreDown(f"{self.place.name}: the ledger is gone. Restore it, or restart all gateways to begin anew")
        self._warn(f"{self.place.name}: the ledger was gone and begins anew")
        await self._create()

    # ------------------------------------------------------------ the connection

    async def _eval(self, script: Script, *arguments: str | int | bytes) -> Any:
        async with asyncio.timeout(COMMAND_S):
            try:
                return await self._do("EVALSHA", script.sha, 1, PREFIX, *arguments)
            except NoScriptError:
                return await self._do("EVAL", script.text, 1, PREFIX, *arguments)

    async def _do(self, *command: str | int | bytes) -> Any:
        try:
            return await self._send(*command)
        except MovedError as e:  # it did not run: another node of the cluster has our slot
            await self._drop()
            self._moved = (e.host, e.port)
            return await self._send(*command)

    async def _send(self, *command: str | int | bytes) -> Any:
        send: Callable[..., Awaitable[Any]] = self._connected().execute_command
        return await send(*command)

    def _connected(self) -> Redis:
        if self._client is None:
            self._client = connect(self.place, "gateway-quota", self._moved, single_connection_client=True)
        return self._client

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with suppress(RedisError, OSError):
                async with asyncio.timeout(COMMAND_S):
                    await client.aclose()

    def _down(self, e: Exception) -> StoreDown:
        said = str(e) or ("no answer" if isinstance(e, TimeoutError) else type(e).__name__)
        return StoreDown(f"{self.place.name}: {said}")

    # ------------------------------------------------------------ the start

    async def _check(self) -> None:
        """Refuse a server that may forget, unless the URL allows it; warn of what it does not say."""
        info, config = await self._ask("INFO"), None
        for name in ("maxmemory-policy", "appendonly", "save"):
            answered = await self._ask("CONFIG GET", name)
            config = config if answered is None else {**(config or {}), **answered}
        server = fitness(info, config)
        if server.version is not None and server.version < OLDEST:
            raise StoreUnusable(f"{self.place.name}: the server is older than {OLDEST[0]}.{OLDEST[1]}. Update it.")
        if self.place.volatile:
            return
        found = list(faults(server))
        if found:
            raise StoreUnusable(
                f"{self.place.name}: {'; and '.join(found)}. Or add ?allow_volatile=1 to store.url, if quotas may be forgotten."
            )
        for doubt in doubts(server):
            self._warn(f"{self.place.name}: {doubt}")

    async def _ask(self, *command: str) -> Mapping[str, object] | None:
        """What the server says of itself; None where that is forbidden."""
        try:
            told: Mapping[str, object] = await self._do(*command)
            return told
        except (NoPermissionError, ResponseError):
            return None

    async def _create(self) -> None:
        await self._do("SET", f"{PREFIX}:schema", SCHEMA, "NX")
        written = int(await self._do("GET", f"{PREFIX}:schema"))
        if written > SCHEMA:
            raise StoreUnusable(f"{self.place.name}: written by a newer version of the gateway (schema {written}).")


def _script(*files: str) -> Script:
    text = "\n".join((LUA / name).read_text(encoding="utf-8") for name in files)
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())

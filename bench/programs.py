"""The programs of a benchmark: started on chosen cores, asked what they cost, ended.

Rule 1: what is measured has its cores to itself; load and upstream stub share the others. Rule 2: CPU time is that of the
whole session, workers and threads too. Source of the fields: proc(5), /proc/PID/stat.
"""

from __future__ import annotations

import http.client
import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

REPOSITORY = Path(__file__).parents[1]
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
START_S = 60.0
STOP_S = 10.0
REST_S, LOOK_S = 5.0, 0.1


class NotStarted(Exception):
    """A program ended, or did not answer, before it was ready. The message ends with what it last wrote."""


class Cores:
    """Who runs where, for taskset. `pair` is where two workers run: both on one core when there are fewer than four, for the
    load needs one too. With a single core everything shares it, and only CPU time means anything."""

    def __init__(self, available: Sequence[int]) -> None:
        measured = 2 if len(available) >= 4 else 1
        self.measured = str(available[0])
        self.pair = _listed(available[:measured])
        self.others = _listed(available[measured:]) or self.measured

    @classmethod
    def of_this_machine(cls) -> Self:
        return cls(sorted(os.sched_getaffinity(0)))


def _listed(cores: Sequence[int]) -> str:
    return ",".join(map(str, cores))


class Program:
    """A running program and its children. `log` gets stdout and stderr."""

    def __init__(
        self, argv: Sequence[str], port: int, cores: str, log: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        self.port = port
        self.began = time.perf_counter()
        self._log = log
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                ["taskset", "-c", cores, *argv],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                cwd=REPOSITORY,
                env={**os.environ, **(environ or {})},
                start_new_session=True,
            )

    @property
    def session(self) -> int:
        return self._process.pid

    def wait_until(self, ready: Callable[[int], bool], pause_s: float = 0.005) -> float:
        """Seconds from the start until `ready(port)` holds."""
        while not ready(self.port):
            elapsed_s = time.perf_counter() - self.began
            if self._process.poll() is not None or elapsed_s > START_S:
                raise NotStarted(f"{self._process.args!r} after {elapsed_s:.1f} s: {self._last_words()}")
            time.sleep(pause_s)
        return time.perf_counter() - self.began

    def _last_words(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    def cpu_s(self) -> float:
        return cpu_s(self.session)

    def rss_mb(self) -> float:
        return rss_mb(self.session)

    def rest(self) -> None:
        """Wait until it has done what the last load left behind, or REST_S: the next to be measured wants the core for itself."""
        ends_at, used_s = time.monotonic() + REST_S, -1.0
        while (now_s := self.cpu_s()) != used_s and time.monotonic() < ends_at:
            used_s = now_s
            time.sleep(LOOK_S)

    def stop(self) -> None:
        """SIGTERM; what has not gone after STOP_S is killed."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.session, signal.SIGKILL)
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def cpu_s(session: int) -> float:
    """CPU seconds, user and system, of all processes of a session so far; those of children that ended included."""
    ticks = 0
    for pid in _session_pids(session):
        fields = _stat(pid)
        ticks += sum(map(int, fields[11:15]))  # utime stime cutime cstime
    return ticks / TICKS_PER_S


def rss_mb(session: int) -> float:
    """Resident memory of all processes of a session; pages that several share count for each."""
    return sum(_resident_kb(pid) for pid in _session_pids(session)) / 1024


def _session_pids(session: int) -> list[int]:
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return [pid for pid in pids if (fields := _stat(pid)) and int(fields[3]) == session]


def _stat(pid: int) -> list[str]:
    """The fields after the name, which may itself contain spaces; nothing when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return text.rpartition(")")[2].split()


def _resident_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Somebody accepts connections there."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def is_ready(port: int) -> bool:
    """The gateway's own word for it: /readyz answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def raise_file_limit() -> None:
    """As many open files as this user may have: 1,000 streams are 2,000 sockets."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

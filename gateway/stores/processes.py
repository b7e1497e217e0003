"""Whether another gateway process of this machine still lives, so that a restart need not wait for its heartbeat to grow old.

Process ids are used again: a process is known by (boot id, pid namespace, pid, start time), all from Linux's /proc. Where /proc
says nothing, only heartbeats tell.
"""

from __future__ import annotations

import os
from pathlib import Path

from gateway.core.ledger_rows import Holder, Process


def this_process() -> Process:
    """Who we are."""
    return Process(_boot(), _space(), os.getpid(), started(os.getpid()))


def started(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 when there is none (proc(5): field 22 of /proc/pid/stat)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    # The second field is the program's name in parentheses and may contain anything, also ")".
    fields = stat.rpartition(")")[2].split()
    return 0 if fields[0] in "ZX" else int(fields[19])  # a zombie has ended


def is_gone(holder: Holder, me: Process, alone: bool = True) -> bool:
    """Whether a holder is certainly dead. False also means: cannot tell. `alone`: all holders are of this machine."""
    who = holder.process
    if not who.boot or not me.boot:
        return False
    if who.boot != me.boot:
        return alone  # the machine was started anyway since; or it is another one
    if who.space != me.space:
        return False  # another container: its pids mean nothing here
    return started(who.pid) != who.started


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _space() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""

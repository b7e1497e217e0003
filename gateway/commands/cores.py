"""How many workers `server.workers` means."""

from __future__ import annotations

import os
from math import ceil
from pathlib import Path

CPU_MAX = Path("/sys/fs/cgroup/cpu.max")  # cgroup v2: "200000 100000" is two cores' time, "max 100000" all there is


def worker_count(setting: str | int, limit: Path = CPU_MAX) -> int:
    """`auto`: one for each core that this process may run on, and no more than a container's CPU limit is worth."""
    if setting != "auto":
        return int(setting)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = limit.read_text().split()[:2]
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, ceil(int(quota) / int(period))))

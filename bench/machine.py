"""What a result was measured on: figures of different machines, or of different builds of Python, say nothing about each other."""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
import sys
import sysconfig
import time
from importlib.metadata import version
from pathlib import Path

from bench.programs import Cores

PACKAGES = ("aiohttp", "uvloop", "httptools", "msgspec", "orjson")
DISTRIBUTION = Path("/usr/bin/python3")


def described(cores: Cores) -> list[tuple[str, str]]:
    """What to print: names and values."""
    return [
        ("date", datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("commit", _commit()),
        ("machine", f"{_cpu()}, {os.cpu_count()} cores, {_memory_gb():.0f} GB, Linux {platform.release()}"),
        ("cores", f"measured programs alone on {cores.measured}; load and upstream stub on {cores.others}"),
        ("load average", f"{os.getloadavg()[0]:.2f} before the run"),
        ("Python", python_build()),
        ("packages", ", ".join(f"{name} {version(name)}" for name in PACKAGES)),
        ("programs", ", ".join((_said("nginx", "-v"), _said("wrk", "-v"), _said("h2load", "--version")))),
    ]


def python_build() -> str:
    """Version and how it was built. A build without profile-guided optimisation is some 20 % slower than one with it."""
    arguments = str(sysconfig.get_config_var("CONFIG_ARGS") or "")
    if "--enable-optimizations" in arguments:
        built = "with profile-guided optimisation" + (" and LTO" if "--with-lto" in arguments else "")
    elif sys.base_prefix == "/usr":
        built = "as the distribution builds it"
    else:
        built = "without profile-guided optimisation"
    return f"{platform.python_version()}, {built}; {speed_us():.0f} us for a fixed loop"


def speed_us() -> float:
    """Microseconds that this interpreter takes for always the same work; the best of several."""
    return min(_loop_us() for _ in range(20))


def _loop_us() -> float:
    began = time.perf_counter()
    counts: dict[int, int] = {}
    for number in range(10_000):
        counts[number & 255] = counts.get(number & 255, 0) + 1
    return (time.perf_counter() - began) * 1e6


def distribution_python() -> tuple[str, dict[str, str]] | None:
    """The distribution's interpreter and the environment to run it with our packages; None when it is another version or our own."""
    if not DISTRIBUTION.exists() or sys.base_prefix == "/usr":
        return None
    said = _run(str(DISTRIBUTION), "-c", "import sys; print(*sys.version_info[:2])")
    if said != f"{sys.version_info[0]} {sys.version_info[1]}":
        return None
    return str(DISTRIBUTION), {"PYTHONPATH": sysconfig.get_path("purelib")}


def _commit() -> str:
    short = _run("git", "rev-parse", "--short=12", "HEAD") or "unknown"
    return short + (" and changes" if _run("git", "status", "--porcelain", "--", "gateway") else "")


def _cpu() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _said(program: str, flag: str) -> str:
    found = re.search(r"\d+\.\d[\w.]*", _run(program, flag))
    return f"{program} {found[0] if found else '?'}"


def _run(*argv: str) -> str:
    """Both outputs of a program; nothing when there is none of that name."""
    try:
        ran = subprocess.run(argv, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return (ran.stdout + ran.stderr).strip()

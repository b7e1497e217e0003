"""A Redis (or Valkey) server of a proof's own: empty, durable, and gone with it."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.programs import START_S, STOP_S, free_port, listens


@contextmanager
def own_server(folder: Path) -> Iterator[str]:
    """Its URL. Raises RuntimeError where no server is installed, or it does not start."""
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        raise RuntimeError("redis-server is not installed; Debian and Ubuntu have it in the package redis-server")
    port, log = free_port(), folder / "redis.log"
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", "", "--appendonly", "yes"]
    with log.open("ab") as stream:
        process = subprocess.Popen([program, *options], stdin=subprocess.DEVNULL, stdout=stream, stderr=stream)
    try:
        ends_at = time.monotonic() + START_S
        while not listens(port):
            if process.poll() is not None or time.monotonic() > ends_at:
                raise RuntimeError(f"redis-server did not start: {log.read_text()[-1000:]}")
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(STOP_S)

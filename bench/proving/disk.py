"""How long the disk takes, beside the proof: a store that waits for the disk for longer than its patience may say so."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

PAUSE_S = 0.05
SLOW_S = 0.1  # for one small write; a transaction has several, and others' before it


class Disk:
    """Writes a block and waits for the disk, again and again. `worst_s` since it was last asked for."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "probe"
        self._worst_s = 0.0
        self._began_at = 0.0  # of the write under way
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._path.open("wb", buffering=0) as file:
            while not self._ended.wait(PAUSE_S):
                self._began_at = began = time.monotonic()
                os.pwrite(file.fileno(), b"x" * 4096, 0)
                os.fsync(file.fileno())
                self._began_at = 0.0
                self._worst_s = max(self._worst_s, time.monotonic() - began)

    def worst_s(self) -> float:
        """The longest write since the last question, the one under way included."""
        began, worst_s, self._worst_s = self._began_at, self._worst_s, 0.0
        return max(worst_s, time.monotonic() - began if began else 0.0)

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

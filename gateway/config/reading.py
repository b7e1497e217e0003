"""The only I/O of the configuration: two kinds of files are read, each with a limit."""

from __future__ import annotations

import errno
import os
from pathlib import Path

MAX_CONFIG_BYTES = 1024 * 1024
MAX_SECRET_BYTES = 64 * 1024


def read_config(path: str) -> bytes:
    """The bytes of gateway.yaml. Raises OSError (EFBIG when it is larger than MAX_CONFIG_BYTES) or ValueError for a NUL in the path."""
    with open(path, "rb") as file:
        return _limited(file.read(MAX_CONFIG_BYTES + 1), MAX_CONFIG_BYTES)


def read_reference(path: str, folder: Path) -> str:
    """The text behind `${file:path}`, relative to `folder`. Raises OSError or ValueError (UnicodeDecodeError too).

    Only regular files: a pipe would block the start, and a reload, for ever.
    """
    full = folder / path
    if full.exists() and not full.is_file():
        raise OSError(errno.EINVAL, "it is not a regular file")
    with open(full, "rb") as file:
        return _limited(file.read(MAX_SECRET_BYTES + 1), MAX_SECRET_BYTES).decode("utf-8")


def _limited(content: bytes, limit: int) -> bytes:
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"{os.strerror(errno.EFBIG)}, at most {limit // 1024} KiB are read")
    return content

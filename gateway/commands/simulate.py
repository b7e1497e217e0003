"""`gateway simulate`: stand-ins for the providers on a port, until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from gateway.commands.failing import CommandError
from gateway.simulator.app import serve
from gateway.simulator.faults import Fault, load_script


def run(arguments: argparse.Namespace) -> int:
    script = _script(arguments.script) if arguments.script else []
    try:
        asyncio.run(serve(arguments.provider, arguments.host, arguments.port, script=script))
    except OSError as error:
        reason = error.strerror or str(error)
        raise CommandError(f"cannot listen on {arguments.host}:{arguments.port}: {reason}") from None
    return 0


def _script(path: str) -> list[Fault]:
    try:
        return load_script(Path(path).read_text())
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise CommandError(f"{path}: {error}", 2) from None

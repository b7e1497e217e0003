"""How programs for agents run one: a process for each job, in the folder of the program, which is its home as well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

MODULES, NODE = Path(sys.argv[1]), sys.argv[2]
ORIGIN = os.environ["GATEWAY_ORIGIN"]
LIMIT_S = 60


def run(command: list[Any], said: str = "", **environment: str) -> list[dict[str, Any]]:
    """The JSON objects that an agent prints, one a line; other lines are dropped. A single object over many lines is one."""
    done = subprocess.run(
        command, env={**os.environ, **environment}, input=said, capture_output=True, text=True, timeout=LIMIT_S
    )
    print(done.stderr, file=sys.stderr)
    whole = _decoded(done.stdout[done.stdout.find("{") :])
    if whole:
        return whole
    return [found for line in done.stdout.splitlines() for found in _decoded(line)]


def _decoded(text: str) -> list[dict[str, Any]]:
    try:
        found = json.loads(text)
    except ValueError:
        return []
    return [found] if isinstance(found, dict) else []

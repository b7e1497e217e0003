"""The full tier, `make clients`: installs every client, runs all of them, writes docs/compatibility.md.

Exits with 1 when something fails that KNOWN does not name, or when something that it names does not fail any more.
"""

from __future__ import annotations

import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from clients_house import House, HouseThread
from clients_kit import PROVIDERS
from rig import Cell, program, try_out
from rig_clients import CLIENTS, FEATURES, KNOWN, Client
from rig_install import command, install
from rig_page import PAGE, Seen, page

AT_ONCE = 2  # a gateway for each: faults of one must not meet another's client


def run(client: Client, house: House) -> Seen:
    """All cells of one row. What needs no answer of a provider is asked all the same: aliases differ by provider."""
    began = time.monotonic()
    with program(command(client), house) as running:
        seen: dict[tuple[str, str, str], Cell] = {
            (client.id, feature, provider): try_out(client, running, house, feature, provider)
            for feature in FEATURES
            for provider in PROVIDERS
        }
    wrong = [f"{feature} with {provider}: {cell.reason}" for (_, feature, provider), cell in seen.items() if cell.status == "fails"]  # fmt: skip
    print(f"{time.monotonic() - began:5.1f} s  {client.title}", *wrong, sep="\n           ", flush=True)
    return seen


def run_all(folder: Path) -> Seen:
    """Every client, several at once, each against a gateway that it has for itself meanwhile."""
    threads = [HouseThread(folder / f"gateway{number}.yaml") for number in range(AT_ONCE)]
    free: list[House] = []
    for thread in threads:
        thread.start()
        free.append(thread.house())

    def one(client: Client) -> Seen:
        house = free.pop()
        try:
            return run(client, house)
        finally:
            free.append(house)

    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return {cell: found for seen in pool.map(one, CLIENTS) for cell, found in seen.items()}
    finally:
        for thread in threads:
            thread.stop()


def main() -> int:
    install()
    with tempfile.TemporaryDirectory() as folder:
        seen = run_all(Path(folder))
    PAGE.write_text(page(seen), encoding="utf-8")
    failing = {cell for cell, found in seen.items() if found.status == "fails"}
    new, gone = sorted(failing - KNOWN.keys()), sorted(KNOWN.keys() - failing)
    print(*(f"fails, and is not known to: {cell}" for cell in new), sep="\n")
    print(*(f"does not fail any more: {cell}" for cell in gone), sep="\n")
    count = len(seen) - len(failing)
    print(f"{count} passed, {len(failing)} failed")
    return 1 if new or gone else 0


if __name__ == "__main__":
    sys.exit(main())

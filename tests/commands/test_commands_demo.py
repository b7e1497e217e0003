"""The demo: everything answers without a key, and nothing of it is open to others."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.commands import demo
from gateway.config import load

CONFIG = """
server: {host: 0.0.0.0, port: 0}
auth: {jwt: [{algorithm: HS256, secret: "0123456789012345678901234567890123"}]}
providers: {openai: {type: openai, api_key: "${AI_OPENAI_API_KEY}", default_model: gpt-5.4}}
tenants: {acme: {}}
"""


@pytest.fixture
def written(tmp_path: Path) -> str:
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG)
    return str(path)


@pytest.mark.parametrize(
    ("host", "public"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False)],
)
def test_metrics_are_open_to_this_machine_alone(written: str, host: str, public: bool) -> None:
    loaded = load(written, {}, allow_missing_provider_keys=True)
    assert demo.with_simulators(loaded, "http://127.0.0.1:1", host).admin.metrics_public is public


def test_metrics_that_the_operator_opened_stay_open(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG + "admin: {metrics_public: true}\n")
    loaded = load(str(path), {}, allow_missing_provider_keys=True)
    assert demo.with_simulators(loaded, "http://127.0.0.1:1", "0.0.0.0").admin.metrics_public is True


@pytest.mark.parametrize(("asked", "bound"), [(None, "127.0.0.1"), ("0.0.0.0", "0.0.0.0")])
def test_it_serves_this_machine_unless_it_is_told_otherwise(
    written: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str | None, bound: str
) -> None:
    hosts: list[Any] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(demo, "serve", lambda config, host, *more, **named: hosts.append(host))
    assert demo.run(argparse.Namespace(config=written, host=asked, port=None)) == 0
    assert hosts == [bound]


def test_simulators_that_do_not_end_when_told_are_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[str]] = []
    stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); print('http://x', flush=True); time.sleep(60)"

    def begin(command: list[str], **how: Any) -> subprocess.Popen[str]:
        started.append(popen([sys.executable, "-c", stubborn], **how))
        return started[0]

    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", begin)
    monkeypatch.setattr(demo, "END_S", 0.2)
    with demo._simulators() as origin:
        assert origin == "http://x"
    assert started[0].poll() is not None

"""What users install: the wheel, the lock files, the image and its health check. The image itself is not built here."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import tomllib
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gateway import __version__
from gateway.commands import health

REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
MAX_DEPENDENCIES = 12
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text().replace("\\\n", " ")
LOCKS = ("requirements.txt", "requirements-test.txt")

# ---------------------------------------------------------------- the wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    )
    [built] = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_package_its_catalogue_and_its_licence(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    sources = {
        path.relative_to(REPOSITORY).as_posix()
        for path in (REPOSITORY / "gateway").rglob("*.*")
        if path.suffix in (".py", ".lua")
    }
    assert wheel.name == f"passerelle-{__version__}-py3-none-any.whl"
    assert sources <= set(names)
    assert {"gateway/config/models.yaml", "gateway/config/prices.yaml"} <= set(names)
    assert f"passerelle-{__version__}.dist-info/licenses/LICENSE" in names


def test_the_wheel_holds_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert tops == {"gateway", f"passerelle-{__version__}.dist-info"}


def test_the_wheel_runs_without_the_repository(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = "from gateway import app; app.read_catalogue(); app.read_prices(); print(app.__file__)"
    version = run(["-m", "gateway", "--version"], tmp_path)
    assert version == f"passerelle {__version__}"
    assert run(["-c", code], tmp_path) == str(tmp_path / "gateway" / "app.py")


def run(arguments: list[str], folder: Path) -> str:
    """What Python prints in `folder`, with the packages of this environment and the gateway that lies there."""
    done = subprocess.run([sys.executable, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_command_is_the_module() -> None:
    assert PROJECT["scripts"] == {"gateway": "gateway.__main__:main"}
    assert run(["-m", "gateway", "--version"], REPOSITORY) == f"passerelle {__version__}"


# ---------------------------------------------------------------- the lock files


def pins(name: str) -> dict[str, tuple[str, set[str]]]:
    """package[extras] -> (its pin with its hashes, who needs it), as pip-compile writes them."""
    blocks = re.split(r"\n(?=\S)", re.sub(r"(?m)^#.*\n|^\n", "", (REPOSITORY / name).read_text()).strip())
    found = {}
    for block in blocks:
        pin, _, via = block.partition("    # via")
        needed_by = set(re.findall(r"[\w.-]+(?: \(pyproject\.toml\))?", via))
        found[re.split(r"[=\s]", block)[0]] = (pin.replace("\\\n", " ").strip(), needed_by)
    return found


def test_what_few_gateways_need_is_not_in_memory_before_it_is_asked_for() -> None:
    loaded = (
        "import sys, gateway.app, gateway.commands.serve; print(*{'redis', 'socketio', 'requests'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", loaded], cwd=REPOSITORY, text=True).split() == []


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_pinned_with_its_hashes_and_no_address(name: str) -> None:
    pin = re.compile(r"[a-z0-9._-]+(?:\[[a-z0-9,-]+\])?==[\w.!+]+(?: ; [^@:]+?)?(?:\s+--hash=sha256:[0-9a-f]{64})+")
    assert [text[:100] for text, _ in pins(name).values() if not pin.fullmatch(text)] == []
    assert len(pins(name)) > 20
    assert "://" not in (REPOSITORY / name).read_text()


def test_the_lock_files_agree_and_name_all_that_we_ask_for() -> None:
    """With its extras: by hash, pip 23 does not take `package` where `package[extra]` is asked for."""
    runtime, test = (pins(name) for name in LOCKS)
    asked = {re.split(r"[>=;]", wanted)[0].lower() for wanted in PROJECT["dependencies"]}
    assert asked <= runtime.keys()
    assert {name for name, (pin, _) in runtime.items() if test.get(name, ("",))[0] != pin} == set()


def test_we_stand_on_few_packages() -> None:
    assert len(PROJECT["dependencies"]) <= MAX_DEPENDENCIES


# ---------------------------------------------------------------- the image


def instructions(name: str) -> list[str]:
    """The arguments of each instruction of this name in the last stage, which is what is shipped."""
    return re.findall(rf"^{name} +(.*)$", DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :], re.MULTILINE)


def test_the_image_does_not_run_as_root() -> None:
    [user] = instructions("USER")
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user), "a number, so that Kubernetes can check runAsNonRoot"


def test_the_image_writes_in_one_place_only() -> None:
    assert instructions("VOLUME") == ["/app/data"]
    assert instructions("WORKDIR") == ["/app"]
    assert "PYTHONDONTWRITEBYTECODE=1" in instructions("ENV")[0]


def test_the_image_serves_and_checks_itself() -> None:
    assert instructions("ENTRYPOINT") == ['["gateway"]']
    assert instructions("CMD") == ['["serve", "--host", "0.0.0.0"]']
    assert instructions("EXPOSE") == ["8080"]
    assert '["python", "-m", "gateway.commands.health"]' in instructions("HEALTHCHECK")[0]


def test_the_image_holds_no_secret_and_installs_by_hash() -> None:
    assert re.findall(r"(?i)^(?:ARG|ENV) .*(?:key|secret|token|password)", DOCKERFILE, re.MULTILINE) == []
    installs = re.findall(r"pip \S+ \S+ install (.*?)(?:&&|$)", DOCKERFILE, re.MULTILINE)
    assert [line for line in installs if "--require-hashes" not in line and "--no-deps" not in line] == []
    assert len(installs) == 2


def test_the_image_keeps_nothing_that_only_the_build_needs() -> None:
    wanted = {"editables", "hatchling"}
    while more := {name for name, (_, via) in pins("requirements.txt").items() if via <= wanted} - wanted:
        wanted |= more
    [removed] = re.findall(r"uninstall --yes (.*)", DOCKERFILE)
    assert set(removed.split()) == wanted


def test_the_build_sees_only_what_it_needs() -> None:
    lines = (REPOSITORY / ".dockerignore").read_text().splitlines()
    let_in = [line[1:] for line in lines if line.startswith("!")]
    assert lines[1] == "*"
    assert [name for name in let_in if not (REPOSITORY / name).exists()] == []
    assert {"pyproject.toml", "requirements.txt", "gateway", PROJECT["readme"], *PROJECT["license-files"]} <= set(
        let_in
    )


# ---------------------------------------------------------------- its health check


class Probe(BaseHTTPRequestHandler):
    """Answers /readyz with the status that its server was given."""

    def do_GET(self) -> None:
        self.send_response(self.server.status if self.path == "/readyz" else 404)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Probe) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1), (301, 1)])
def test_only_a_ready_gateway_is_healthy(server: HTTPServer, status: int, code: int) -> None:
    server.status = status  # type: ignore[attr-defined]
    assert health.main(["--port", str(server.server_port)]) == code


def test_the_port_may_come_from_the_environment(server: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.status = 200  # type: ignore[attr-defined]
    monkeypatch.setenv("GATEWAY_PORT", str(server.server_port))
    assert health.main([]) == 0


def test_nobody_there_is_unhealthy_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        assert health.main(["--port", str(port)]) == 1
    assert f"no answer at 127.0.0.1:{port}" in capsys.readouterr().err


def test_a_gateway_that_does_not_answer_in_time_is_unhealthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "TIMEOUT_S", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "timed out" in health.not_ready(silent.getsockname()[1])


def test_what_speaks_no_http_is_unhealthy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as babbler:
        thread = threading.Thread(target=lambda: babbler.accept()[0].sendall(b"hello\r\n\r\n"))
        thread.start()
        assert health.not_ready(babbler.getsockname()[1]) != ""
        thread.join()

"""Who is measured: the gateway with everything on, and what it is held against. Each in front of the same upstream."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct, json

from bench import nginx
from bench.answers import Dialect
from bench.programs import Cores, Program, free_port, is_ready, listens
from gateway.config import load
from gateway.web.auth import mint

PATH = "/v1/chat/completions"
BASE = "/api/v1/acme/ai"
ENOUGH = 10**15  # tokens: quotas are counted, and refuse nobody
MANY = 1_000_000
CEILINGS = {"ceiling": "ceiling: two protocols", "constant": "ceiling: aiohttp's server"}


class System(Struct, frozen=True):
    """Something that runs and can be asked. `headers` go with every call."""

    name: str
    program: Program
    path: str
    headers: Mapping[str, str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.program.port}{self.path}"


class Bench:
    """Where a benchmark runs: a folder for what it writes, cores, and all programs it has started."""

    def __init__(self, folder: Path, cores: Cores) -> None:
        self.folder = folder
        self.cores = cores
        self._programs: list[Program] = []

    def start(
        self,
        name: str,
        argv: Sequence[str],
        port: int,
        *,
        cores: str | None = None,
        ready: Callable[[int], bool] = listens,
        environ: Mapping[str, str] | None = None,
    ) -> Program:
        """Start and wait until it is ready; on the cores for what is measured, unless others are named."""
        program = Program(argv, port, cores or self.cores.measured, self.folder / f"{name}-{port}.log", environ)
        self._programs.append(program)
        program.wait_until(ready)
        return program

    def stop(self, program: Program) -> None:
        self._programs.remove(program)
        program.stop()

    def close(self) -> None:
        while self._programs:
            self._programs.pop().stop()

    # ------------------------------------------------------------ upstreams

    def json_stub(self) -> int:
        """The port of nginx with fixed answers."""
        port = free_port()
        argv = nginx.stub(self.folder / f"nginx-{port}", port)
        return self.start("json-stub", argv, port, cores=self.cores.others).port

    def stream_stub(self) -> int:
        """The port of the stub that paces streams, and answers JSON too."""
        port = free_port()
        argv = [sys.executable, "-m", "bench.stub", str(port)]
        return self.start("stub", argv, port, cores=self.cores.others).port

    # ------------------------------------------------------------ what is measured

    def nginx(self, upstream_port: int, buffering: bool) -> System:
        port = free_port()
        argv = nginx.proxy(self.folder / f"nginx-{port}", port, upstream_port, buffering)
        return System("nginx", self.start("nginx", argv, port), PATH, JSON_TYPE)

    def bare(self, upstream_port: int) -> System:
        port = free_port()
        argv = [sys.executable, "-m", "bench.bare_proxy", str(port), str(upstream_port)]
        return System("bare", self.start("bare", argv, port), PATH, JSON_TYPE)

    def ceilings(self, upstream_port: int) -> dict[str, System]:
        """What this machine allows at most, by the row in the report: bench.ceiling and bench.constant."""
        found = {}
        for name, arguments in (("ceiling", [str(upstream_port)]), ("constant", [])):
            port = free_port()
            argv = [sys.executable, "-m", f"bench.{name}", str(port), *arguments]
            found[CEILINGS[name]] = System(name, self.start(name, argv, port), PATH, JSON_TYPE)
        return found

    def ours(
        self,
        upstream_port: int,
        name: str = "ours",
        *,
        fast_lane: bool = True,
        workers: int = 1,
        cores: str | None = None,
        python: str = sys.executable,
        environ: Mapping[str, str] | None = None,
    ) -> System:
        """`gateway serve` with everything on; its access log goes to a file."""
        port = free_port()
        path = write_config(self.folder / f"gateway-{port}", upstream_port, fast_lane=fast_lane, workers=workers)
        program = self.start(name, serve(python, path, port), port, cores=cores, ready=is_ready, environ=environ)
        headers = {**JSON_TYPE, "authorization": f"Bearer {token(path)}"}
        return System(name, program, BASE + "/chat/completions", headers)


JSON_TYPE = {"content-type": "application/json"}


def serve(python: str, config: Path, port: int) -> list[str]:
    return [python, "-m", "gateway", "serve", "--config", str(config), "--port", str(port)]


def token(config: Path) -> str:
    return mint(load(str(config), {}).config.auth, "acme", "bench", ["user"], 86400, time.time())


def write_config(folder: Path, upstream_port: int, *, fast_lane: bool = True, workers: int = 1) -> Path:
    """A gateway.yaml (JSON is YAML) with everything on, and limits so high that nothing is refused."""
    folder.mkdir()
    upstream = f"http://127.0.0.1:{upstream_port}"
    quota = {"daily_tokens": ENOUGH, "monthly_tokens": ENOUGH}
    addresses: dict[Dialect, tuple[str, str]] = {
        "openai": (upstream + "/v1", "gpt-5.4"),
        "anthropic": (upstream, "claude-sonnet-4-6"),
        "gemini": (upstream, "gemini-3.8-flash"),
    }
    providers = {
        name: {"type": name, "api_key": "sk-bench", "base_url": url, "default_model": model, "quota": quota}
        for name, (url, model) in addresses.items()
    }
    config = {
        "server": {"fast_lane": fast_lane, "workers": workers, "max_in_flight": MANY, "drain_s": 2},
        "auth": {"jwt": [{"algorithm": "HS256", "secret": "a secret of a benchmark, long enough for HS256"}]},
        "store": {"url": f"sqlite:///{folder}/quota.db"},
        "providers": providers,
        "limits": {"concurrency": MANY},
        "tenants": {"acme": {"quota": quota}},
    }
    path = folder / "gateway.yaml"
    path.write_bytes(json.encode(config))
    return path

"""`gateway demo`: the shipped configuration, with a simulator for each provider that has no key. Writes only under ./data.

The signing secret is kept in data/demo.secret, so that a token still works after a restart; GATEWAY_JWT_SECRET wins. The
simulators live in a process of their own: what they cost is not the gateway's.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path

from msgspec import structs

from gateway.commands.failing import CommandError
from gateway.commands.reloading import Reloader
from gateway.commands.serve import serve
from gateway.config import Loaded, load
from gateway.settings import Config, Secret
from gateway.simulator.app import BASES, VENDORS
from gateway.web.auth import mint

DATA = Path("data")
TENANT = "acme"
TOKEN_TTL_S = 30 * 86_400
LOOPBACK = "127.0.0.1"
END_S = 5.0  # for the simulators to end by themselves


def run(arguments: argparse.Namespace) -> int:
    environ = {"GATEWAY_JWT_SECRET": _secret(), **{k: v for k, v in os.environ.items() if v}}
    loaded = load(arguments.config, environ, allow_missing_provider_keys=True)
    host = arguments.host or LOOPBACK  # whatever the configuration says: a demo is for this machine
    with _simulators() as origin:

        def adapt(loaded: Loaded) -> Config:
            return with_simulators(loaded, origin, host)

        reloader = Reloader(arguments.config, environ, adapt)
        config = reloader.load()
        token = mint(config.auth, TENANT, "demo", ["admin"], TOKEN_TTL_S, time.time())
        serve(
            config,
            host,
            arguments.port,
            environ,
            reloader,
            ready=lambda port: print(banner(loaded, config, host, port, token), flush=True),
        )
    return 0


def with_simulators(loaded: Loaded, origin: str, host: str) -> Config:
    """The configuration with a simulator in the place of each provider without a key. Metrics are open where `host`, on which
    it is served, is reached from this machine alone."""
    config = loaded.config
    providers = {
        name: structs.replace(
            provider,
            api_key=Secret("simulated"),
            api_keys=[],
            base_url=f"{origin}{VENDORS[provider.type].prefix}{BASES[provider.type]}",
        )
        if name in loaded.missing_keys and provider.type in VENDORS
        else provider
        for name, provider in config.providers.items()
    }
    admin = structs.replace(config.admin, metrics_public=config.admin.metrics_public or _is_loopback(host))
    return structs.replace(config, providers=providers, admin=admin, log=structs.replace(config.log, format="text"))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def banner(loaded: Loaded, config: Config, host: str, port: int, token: str) -> str:
    """What the newcomer reads: which providers are simulated, and calls that work when pasted."""
    shown = "127.0.0.1" if host in ("0.0.0.0", "::", "") else host
    base = f"http://{f'[{shown}]' if ':' in shown else shown}:{port}"
    api = f"{base}/api/v1/{TENANT}/ai"
    rows = "\n".join(
        f"  {name:<12} {provider.default_model:<22} "
        + (f"simulated (set {loaded.missing_keys[name]} for the real one)" if name in loaded.missing_keys else "real")
        for name, provider in sorted(config.providers.items(), key=lambda item: -item[1].priority)
    )
    return f"""
Passerelle is running at {base}

{rows}

  Tenant {TENANT}, a token for 30 days:
export PASSERELLE_TOKEN={token}

  curl:
curl -s {api}/chat/completions \\
  -H "Authorization: Bearer $PASSERELLE_TOKEN" -H "Content-Type: application/json" \\
  -d '{{"model": "gpt-5.4", "messages": [{{"role": "user", "content": "Hello!"}}]}}'

  Python (pip install openai):
python3 - <<'PY'
import os
from openai import OpenAI
client = OpenAI(base_url="{api}", api_key=os.environ["PASSERELLE_TOKEN"])
for model in ("gpt-5.4", "claude-sonnet-4-6", "gemini-3.8-flash"):
    answer = client.chat.completions.create(model=model, messages=[{{"role": "user", "content": "Hello!"}}])
    print(model, "->", answer.choices[0].message.content)
PY

  Look around:
curl -s {api}/providers -H "Authorization: Bearer $PASSERELLE_TOKEN"
curl -s {base}/metrics

  Ctrl-C stops it.
"""


def _secret() -> str:
    path = DATA / "demo.secret"
    try:
        if path.exists():
            return path.read_text().strip()
        DATA.mkdir(exist_ok=True)
        text = secrets.token_hex(32)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text + "\n")
    except OSError as error:
        raise CommandError(f"cannot keep the demo's secret in {path}: {error.strerror}") from None
    return text


@contextlib.contextmanager
def _simulators() -> Iterator[str]:
    """Run all simulators in a child process; gives their origin. The child ends with us, however we end."""
    child = subprocess.Popen(
        [sys.executable, "-m", "gateway.commands.simulators_child", str(os.getpid())],
        stdout=subprocess.PIPE,
        text=True,
        env=_plain(os.environ),
    )
    assert child.stdout is not None
    try:
        origin = child.stdout.readline().strip()
        if not origin:
            raise CommandError("the simulators did not start")
        yield origin
    finally:
        child.terminate()
        try:
            child.wait(timeout=END_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _plain(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without the providers' keys: a simulator has no business with them."""
    return {name: value for name, value in environ.items() if not name.startswith("AI_") and "SECRET" not in name}

"""Other gateways, each installed by name into a folder of its own (PEERS=1): LiteLLM's proxy and Portkey's gateway.

They run in front of the same upstream, with one process, the same three providers, and a key that is checked where they check
one. Neither keeps quotas without a database of its own, so they do less per call than ours here.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import json

from bench.answers import MODELS
from bench.programs import NotStarted, free_port
from bench.systems import JSON_TYPE, PATH, Bench, System

FOLDER = Path(__file__).parents[1] / "build" / "peers"  # git ignores it, `make clean` removes it
INSTALL_S = 600.0
KEY = "sk-bench-peers"


class PeerMissing(Exception):
    """A peer could not be installed or did not start. The message is for the report."""


def peers(bench: Bench, upstream_port: int) -> tuple[list[System], list[str]]:
    """Those that run, and a line about each that does not."""
    running, missing = [], []
    for begin in (_litellm, _portkey):
        try:
            running.append(begin(bench, upstream_port))
        except (PeerMissing, NotStarted) as error:
            missing.append(f"{begin.__name__.strip('_')}: not run: {error}")
    return running, missing


def _litellm(bench: Bench, upstream_port: int) -> System:
    folder = FOLDER / "litellm"
    program = folder / "bin" / "litellm"
    if not program.exists():
        _install([sys.executable, "-m", "venv", str(folder)])
        _install([str(folder / "bin" / "pip"), "install", "--quiet", "litellm[proxy]"])
    origin = f"http://127.0.0.1:{upstream_port}"
    bases = {"openai": origin + "/v1", "anthropic": origin, "gemini": origin}
    models = [
        {
            "model_name": model,
            "litellm_params": {"model": f"{name}/{model}", "api_base": bases[name], "api_key": "sk-x"},
        }
        for name, model in MODELS.items()
    ]
    config = bench.folder / f"litellm-{upstream_port}.yaml"
    config.write_bytes(json.encode({"model_list": models, "general_settings": {"master_key": KEY}}))
    port = free_port()
    argv = [str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    return _started(
        bench, "litellm", argv, port, {"authorization": f"Bearer {KEY}"}, {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    )


def _portkey(bench: Bench, upstream_port: int) -> System:
    folder = FOLDER / "portkey"
    server = folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    if not server.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _install(
            ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), "@portkey-ai/gateway"]
        )
    port = free_port()
    headers = {
        "authorization": f"Bearer {KEY}",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{upstream_port}/v1",
    }
    environ = {"TRUSTED_CUSTOM_HOSTS": "localhost,127.0.0.1", "NODE_ENV": "production"}
    return _started(bench, "portkey", ["node", str(server), f"--port={port}", "--headless"], port, headers, environ)


def _started(
    bench: Bench, name: str, argv: list[str], port: int, headers: Mapping[str, str], environ: Mapping[str, str]
) -> System:
    program = bench.start(name, argv, port, environ=environ)
    return System(name, program, PATH, {**JSON_TYPE, **headers})


def _install(argv: list[str]) -> None:
    try:
        subprocess.run(argv, check=True, capture_output=True, timeout=INSTALL_S)
    except FileNotFoundError as error:
        raise PeerMissing(f"{argv[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        raise PeerMissing(f"it could not be installed: {error.stderr.decode(errors='replace')[-300:]}") from error
    except subprocess.TimeoutExpired as error:
        raise PeerMissing(f"its installation took more than {INSTALL_S:.0f} s") from error

"""The command line: `gateway serve | demo | check | schema | token | explain | quota | simulate`.

Exit codes: 0 ok, 1 failed at run time, 2 usage or configuration. Errors are one line on stderr, never a traceback.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Callable, Sequence

from gateway import __version__
from gateway.commands import check, demo, explain, quota, serve, simulate
from gateway.commands.failing import CommandError, exit_code, known_tenant
from gateway.config import load, schema_text
from gateway.web.auth import mint

DURATION = re.compile(r"(\d+)([smhd]?)")
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; what `gateway` on the path calls."""
    arguments = _parser().parse_args(argv)
    return exit_code(lambda: arguments.run(arguments))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gateway", description="Passerelle: a multi-tenant LLM gateway.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"passerelle {__version__}")
    commands = parser.add_subparsers(metavar="command", required=True)

    def command(name: str, help: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help, allow_abbrev=False)
        sub.set_defaults(run=run)
        return sub

    sub = command("serve", "Serve the gateway.", serve.run)
    _config(sub)
    _listen(sub)
    sub.add_argument("--workers", type=_workers, metavar="N|auto", help="instead of server.workers")
    sub = command("demo", "Serve with a simulator for each provider that has no key, and show first calls.", demo.run)
    _config(sub)
    _listen(sub)
    sub = command("check", "Check a configuration; calls nobody.", check.run)
    _config(sub)
    sub.add_argument("--format", choices=("text", "json"), default="text")
    command("schema", "Print the JSON Schema of the configuration.", _schema)
    sub = command("token", "Mint a JWT with the configured secret.", _token)
    _config(sub)
    sub.add_argument("--tenant", required=True)
    sub.add_argument("--user", required=True)
    sub.add_argument("--role", choices=("user", "admin"), default="user")
    sub.add_argument("--ttl", type=_duration, default=3600, metavar="1h", help="how long it is valid: 30m, 1h, 7d")
    sub = command("explain", "Say who would be called for a model, in which order, and why.", explain.run)
    _config(sub)
    sub.add_argument("--tenant", required=True)
    sub.add_argument("--model", default="")
    sub.add_argument("--provider", help="as X-Preferred-Provider")
    sub = command("quota", "Show or reset the quotas and budgets of a tenant.", quota.run)
    sub.add_argument("action", choices=("show", "reset"))
    _config(sub)
    sub.add_argument("--tenant", required=True)
    sub = command("simulate", "Serve stand-ins for the providers.", simulate.run)
    sub.add_argument("--provider", choices=("openai", "anthropic", "gemini", "all"), default="all")
    sub.add_argument("--host", default="127.0.0.1", metavar="H")
    sub.add_argument("--port", type=_port, default=9100, metavar="N")
    sub.add_argument("--script", metavar="faults.yaml", help="faults to begin with")
    return parser


def _config(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--config", default="gateway.yaml", metavar="F", help="the configuration (gateway.yaml)")


def _listen(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--host", metavar="H", help="instead of server.host")
    sub.add_argument("--port", type=_port, metavar="N", help="instead of server.port")


def _schema(arguments: argparse.Namespace) -> int:
    print(schema_text(), end="")
    return 0


def _token(arguments: argparse.Namespace) -> int:
    config = load(arguments.config, os.environ, allow_missing_provider_keys=True).config
    known_tenant(config, arguments.tenant)
    try:
        print(mint(config.auth, arguments.tenant, arguments.user, [arguments.role], arguments.ttl, time.time()))
    except ValueError as error:
        raise CommandError(str(error), 2) from None
    return 0


def _port(text: str) -> int:
    if not text.isdigit() or not 0 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port (0 to 65535)")
    return int(text)


def _workers(text: str) -> int | str:
    if text == "auto":
        return text
    if not text.isdigit() or not 1 <= int(text) <= 512:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of workers (1 to 512, or auto)")
    return int(text)


def _duration(text: str) -> int:
    match = DURATION.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write 30m, 1h or 7d")
    return int(match[1]) * SECONDS[match[2]]


if __name__ == "__main__":
    sys.exit(main())

"""`gateway check`: every problem of a configuration at once, and what an operator should know of one that has none."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.app import load_routes, read_catalogue, read_prices
from gateway.config import check, load


def run(arguments: argparse.Namespace) -> int:
    code, text = check(arguments.config, os.environ, arguments.format)
    print(text, file=sys.stderr if code and arguments.format == "text" else sys.stdout)
    if not code:
        for warning in _warnings(arguments.config):
            print(f"{arguments.config}: warning: {warning}", file=sys.stderr)
    return code


def _warnings(path: str) -> Iterator[str]:
    config = load(path, os.environ).config
    for at, key in enumerate(config.auth.jwt):
        if key.jwks_url is not None and _is_open(key.jwks_url):
            yield f"auth.jwt[{at}].jwks_url has no TLS: whoever can answer in its place can make tokens that are believed"
    routes = load_routes(config, read_catalogue(), read_prices())
    for model in routes.unpriced(time.time()):
        yield f"nobody knows the price of {model}: its calls cost no budget"
    for tenant, name, near in routes.unserved():
        hint = f"; did you mean '{near[0]}'?" if near else ""
        yield f"tenants.{tenant}.models: no provider of this tenant serves '{name}'{hint}"


def _is_open(url: str) -> bool:
    """Whether others could answer: http, and not within this machine."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "http" and host != "localhost" and not host.startswith("127.") and host != "::1"

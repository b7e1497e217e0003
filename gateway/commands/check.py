"""`gateway check`: every problem of a configuration at once, and what an operator should know of one that has none."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator

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
    routes = load_routes(load(path, os.environ).config, read_catalogue(), read_prices())
    for model in routes.unpriced(time.time()):
        yield f"nobody knows the price of {model}: its calls cost no budget"
    for tenant, name, near in routes.unserved():
        hint = f"; did you mean '{near[0]}'?" if near else ""
        yield f"tenants.{tenant}.models: no provider of this tenant serves '{name}'{hint}"

"""`gateway check`: every problem of a configuration at once, and what an operator should know of one that has none."""

from __future__ import annotations

import argparse
import os
import sys
import time

from gateway.app import load_routes, read_catalogue, read_prices
from gateway.config import check, load


def run(arguments: argparse.Namespace) -> int:
    code, text = check(arguments.config, os.environ, arguments.format)
    print(text, file=sys.stderr if code and arguments.format == "text" else sys.stdout)
    if not code:
        config = load(arguments.config, os.environ).config
        for model in load_routes(config, read_catalogue(), read_prices()).unpriced(time.time()):
            print(
                f"{arguments.config}: warning: nobody knows the price of {model}: its calls cost no budget",
                file=sys.stderr,
            )
    return code

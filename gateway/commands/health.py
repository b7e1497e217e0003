"""`python -m gateway.commands.health [--port N]`: whether the gateway on this host takes calls. For container health checks.

Asks /readyz, which needs no credential and never makes a paid call. The port is --port, else GATEWAY_PORT, else 8080.
Exit codes: 0 ready, 1 not ready or no answer within two seconds, 2 usage. Standard library only, so that a check costs little.
"""

from __future__ import annotations

import argparse
import http.client
import os
import sys
from collections.abc import Sequence

TIMEOUT_S = 2.0


def main(argv: Sequence[str] | None = None) -> int:
    """Ask once and say why when the answer is no."""
    parser = argparse.ArgumentParser(prog="python -m gateway.commands.health", description="Ask /readyz on this host.")
    parser.add_argument("--port", type=int, default=os.environ.get("GATEWAY_PORT") or 8080, metavar="N")
    reason = not_ready(parser.parse_args(argv).port)
    if reason:
        print(f"gateway: {reason}", file=sys.stderr)
    return 1 if reason else 0


def not_ready(port: int) -> str:
    """Why the gateway at 127.0.0.1:`port` should get no calls; "" when it should."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
    except (OSError, OverflowError, http.client.HTTPException) as error:
        return f"no answer at 127.0.0.1:{port}: {error}"
    finally:
        connection.close()
    return "" if status == 200 else f"not ready: /readyz answers {status}"


if __name__ == "__main__":
    sys.exit(main())

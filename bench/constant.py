"""What aiohttp's server alone allows: every request is read and answered with the same bytes, on uvloop, without a log.

python -m bench.constant PORT
"""

from __future__ import annotations

import sys

import uvloop
from aiohttp import web

from bench.answers import JSON_ANSWERS

BACKLOG = 4096


async def answer(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(body=JSON_ANSWERS["openai"].encode(), content_type="application/json")


def main(port: int) -> None:
    app = web.Application(client_max_size=1 << 30)
    app.router.add_post("/{path:.*}", answer)
    loop = uvloop.new_event_loop()
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, loop=loop, backlog=BACKLOG)


if __name__ == "__main__":
    main(int(sys.argv[1]))

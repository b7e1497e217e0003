"""A bare reverse proxy in aiohttp, server and client: no features at all. The yardstick for what a gateway in Python costs.

    python -m bench.bare_proxy PORT UPSTREAM_PORT

It gets every advantage: uvloop, no access log, answers of known length read and written at once, streams passed on as they come.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import uvloop
from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, TCPConnector, web

UPSTREAM = web.AppKey("upstream", str)
SESSION = web.AppKey("session", ClientSession)
OWN_HEADERS = {"host", "content-length", "connection", "transfer-encoding"}
BACKLOG = 4096


async def session(app: web.Application) -> AsyncIterator[None]:
    connector = TCPConnector(limit=0)
    timeout = ClientTimeout(total=600)
    async with ClientSession(
        connector=connector, timeout=timeout, cookie_jar=DummyCookieJar(), auto_decompress=False
    ) as opened:
        app[SESSION] = opened
        yield


async def proxy(request: web.Request) -> web.StreamResponse:
    headers = {name: value for name, value in request.headers.items() if name.lower() not in OWN_HEADERS}
    body = await request.read()
    url = request.app[UPSTREAM] + request.path_qs
    async with request.app[SESSION].post(url, data=body, headers=headers) as answer:
        kind = {"content-type": answer.headers["content-type"]}
        if answer.content_length is not None:
            return web.Response(status=answer.status, body=await answer.read(), headers=kind)
        relayed = web.StreamResponse(status=answer.status, headers=kind)
        await relayed.prepare(request)
        async for piece in answer.content.iter_any():
            await relayed.write(piece)
        return relayed


def main(port: int, upstream_port: int) -> None:
    app = web.Application(client_max_size=1 << 30)
    app[UPSTREAM] = f"http://127.0.0.1:{upstream_port}"
    app.cleanup_ctx.append(session)
    app.router.add_post("/{path:.*}", proxy)
    loop = uvloop.new_event_loop()
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None, loop=loop, backlog=BACKLOG)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

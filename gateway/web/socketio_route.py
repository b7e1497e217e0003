"""The path of Socket.IO. Its server comes with its first client: the library takes eight megabytes that most gateways never need."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import Protocol

from aiohttp import web

from gateway.web.handlers import Handlers

PATH = "/socket.io/"
METHODS = ("GET", "POST", "OPTIONS")


class Server(Protocol):
    """gateway.web.socketio.SocketIoDoor, as far as it concerns the path."""

    async def serve(self, request: web.Request) -> web.StreamResponse: ...

    async def sweep(self) -> None: ...

    async def close(self) -> None: ...


class SocketIoRoute:
    """See the module. `server` is None until somebody asked."""

    def __init__(self, handlers: Handlers) -> None:
        self.server: Server | None = None
        self._handlers = handlers

    def attach(self, app: web.Application) -> None:
        for method in METHODS:
            app.router.add_route(method, PATH, self._serve)

    async def sweep(self) -> None:
        """Once a second."""
        if self.server is not None:
            await self.server.sweep()

    async def close(self) -> None:
        if self.server is not None:
            await self.server.close()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self.server is None:
            # In a thread, for it takes a twentieth of a second; of two that come at once the first makes the server.
            module = await asyncio.to_thread(import_module, "gateway.web.socketio")
            self.server = self.server or module.SocketIoDoor(self._handlers)
        return await self.server.serve(request)

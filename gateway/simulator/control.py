"""The simulator's own endpoints: what was sent, what was served, which faults are set.

GET | DELETE /_sim/requests      GET | DELETE /_sim/served      GET | POST | DELETE /_sim/faults
"""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
from aiohttp import web

from gateway.simulator.exchange import State
from gateway.simulator.faults import BadFault, parse
from gateway.simulator.journal import readable


class Control:
    """Handlers over one simulator's state."""

    def __init__(self, state: State) -> None:
        self.state = state

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/_sim/requests", self.requests),
            web.delete("/_sim/requests", self.forget_requests),
            web.get("/_sim/served", self.served),
            web.delete("/_sim/served", self.forget_served),
            web.get("/_sim/faults", self.faults),
            web.post("/_sim/faults", self.add_faults),
            web.delete("/_sim/faults", self.clear_faults),
        ]

    async def requests(self, request: web.Request) -> web.Response:
        """The last requests, oldest first."""
        return _json([readable(seen) for seen in self.state.journal.entries])

    async def forget_requests(self, request: web.Request) -> web.Response:
        self.state.journal.clear()
        return web.Response(status=204)

    async def served(self, request: web.Request) -> web.Response:
        """Per vendor what was really put on the wire."""
        return _json({name: msgspec.to_builtins(served) for name, served in self.state.journal.served.items()})

    async def forget_served(self, request: web.Request) -> web.Response:
        self.state.journal.served.clear()
        return web.Response(status=204)

    async def faults(self, request: web.Request) -> web.Response:
        """The faults still to come, in order; `times` says how often."""
        return _json([msgspec.to_builtins(fault) for fault in self.state.faults.faults])

    async def add_faults(self, request: web.Request) -> web.Response:
        """Add one fault object or a list of them behind those already set. 400 names what is wrong."""
        try:
            faults = parse(orjson.loads(await request.read()))
        except (BadFault, orjson.JSONDecodeError) as wrong:
            return _json({"error": {"message": str(wrong)}}, status=400)
        self.state.faults.faults += faults
        return _json([msgspec.to_builtins(fault) for fault in self.state.faults.faults], status=201)

    async def clear_faults(self, request: web.Request) -> web.Response:
        self.state.faults.faults = []
        return web.Response(status=204)


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")

"""Socket.IO seen from outside the process: what its clients can write to the log."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
from e2e_workers import Fleet, Run
from msgspec import json
from yarl import URL

FORGED = '{"event":"forged"}'
LINE = "x%0A%7B%22event%22%3A%22forged%22%7D%0A"  # FORGED on a line of its own
ENGINE_OPEN, CONNECT, EVENT = "0", "40", "42"


def engine(fleet: Fleet, query: str) -> URL:
    return URL(f"http://127.0.0.1:{fleet.port}/socket.io/?{query}", encoded=True)


async def opened(fleet: Fleet) -> str:
    """The session of a client that polls and is no further than the transport's own handshake."""
    async with fleet.keeping.get(engine(fleet, "EIO=4&transport=polling")) as answer:
        text = await answer.text()
    assert text.startswith(ENGINE_OPEN)
    return str(json.decode(text[1:])["sid"])


async def test_nothing_that_a_client_sends_stands_raw_in_the_log(run: Run) -> None:
    fleet = await run(1)

    async def get(query: str, **more: Any) -> int:
        async with fleet.session.get(engine(fleet, query), **more) as answer:
            return answer.status

    async def post(query: str, body: bytes) -> int:
        async with fleet.session.post(engine(fleet, query), data=body) as answer:
            return answer.status

    sid = await opened(fleet)
    for query in (
        f"EIO=4&transport=polling&sid={LINE}",
        f"EIO=4&transport={LINE}",
        f"EIO=4&transport={LINE}&sid={sid}",
        f"EIO={LINE}&transport=polling",
        f"EIO=3&transport=polling&b={LINE}",
        f"EIO=4&transport=websocket&sid={LINE}",
        f"EIO=4&transport=polling&j={LINE}&sid={sid}",
    ):
        assert await get(query) == 400, query
    await get("EIO=4&transport=polling&sid=x", headers={"origin": f"http://x/{LINE}"})
    assert await post(f"EIO=4&transport=polling&sid={LINE}", b"x") == 400
    await post(f"EIO=4&transport=polling&sid={sid}", f"\n{FORGED}\n".encode())
    await post(f"EIO=4&transport=polling&sid={await opened(fleet)}", f"{CONNECT}\n{FORGED}\n,".encode())
    async with fleet.session.ws_connect(engine(fleet, "EIO=4&transport=websocket")) as socket:
        await socket.receive()
        for text in (
            f"\n{FORGED}\n",
            f"{EVENT}/\n{FORGED}\n,[]",
            f'{EVENT}/ai/stream,["\n{FORGED}\n"',
            f"4\n{FORGED}\n",
        ):
            await socket.send_str(text)
    await asyncio.sleep(0.2)
    fleet.process.terminate()
    assert await fleet.ends() == 0

    assert fleet.plain == []
    assert fleet.told("forged") == []
    library = fleet.told("library")
    assert library, "faults of the library are told, in lines of ours"
    assert not [row for row in library if "forged" in row["message"]]


async def test_what_a_client_gets_wrong_with_the_transport_is_no_event(run: Run) -> None:
    fleet = await run(1)
    async with fleet.session.get(engine(fleet, f"EIO=4&transport=polling&sid={LINE}")) as answer:
        assert answer.status == 400
    with_version_3 = engine(fleet, "EIO=3&transport=polling")
    try:
        async with fleet.session.ws_connect(with_version_3):
            raise AssertionError("an old client was let in")
    except aiohttp.WSServerHandshakeError as error:
        assert error.status == 400
    fleet.process.terminate()
    assert await fleet.ends() == 0
    assert fleet.told("library") == []

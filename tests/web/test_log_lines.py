"""Lines that are made in batches: whoever keeps them back cannot be the end of all others."""

from __future__ import annotations

import asyncio
import io

from gateway.logs import FLUSH_S, AccessLine, LogWriter


async def test_a_bug_of_whoever_keeps_lines_back_does_not_stop_the_log() -> None:
    seen: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: seen.append(repr(context["exception"])))
    stream = io.BytesIO()
    writer = LogWriter(stream)

    def broken() -> None:
        raise RuntimeError("a bug")

    writer.before(broken)
    writer.soon()
    await asyncio.sleep(FLUSH_S * 2)
    writer.before(lambda: None)
    writer.access(0.0, AccessLine("req_1", "GET", "/livez", 200, 0.1))
    await asyncio.sleep(FLUSH_S * 2)
    writer.close()
    assert seen == ["RuntimeError('a bug')"]
    assert b'"request_id":"req_1"' in stream.getvalue()

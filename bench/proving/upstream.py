"""The simulators of a proof: streams that look like streams. Prints the origin; ends with SIGTERM, or when its parent is gone."""

from __future__ import annotations

import asyncio
import os
import signal

from gateway.simulator.app import start

CHUNK_DELAY_S = 0.005


async def main() -> None:
    parent = os.getppid()
    running = await start("all", chunk_delay_s=CHUNK_DELAY_S)
    print(running.origin, flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    while not stop.is_set() and os.getppid() == parent:
        try:
            await asyncio.wait_for(stop.wait(), 0.5)
        except TimeoutError:
            continue
    await running.stop()


if __name__ == "__main__":
    asyncio.run(main())

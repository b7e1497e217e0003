"""The demo's simulators, in a process of their own: prints its origin, ends when its parent is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from gateway.simulator.app import start

CHUNK_DELAY_S = 0.02  # so that a stream looks like one


async def main(parent: int) -> None:
    running = await start("all", chunk_delay_s=CHUNK_DELAY_S)
    print(running.origin, flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends us in order
    while not stop.is_set() and os.getppid() == parent:
        try:
            await asyncio.wait_for(stop.wait(), 0.5)
        except TimeoutError:
            continue
    await running.stop()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))

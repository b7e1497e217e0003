"""Gateways for the tests of the two doors: each once per run, in threads of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from doors_site import Site

DOORS = {"lean door": True, "aiohttp's door": False}


@pytest.fixture(scope="session")
def open_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[bool, str], Site]]:
    """Sites by door and loop, begun when they are first asked for."""
    open_ones: dict[tuple[bool, str], Site] = {}

    def find(lean: bool, loop: str) -> Site:
        if (lean, loop) not in open_ones:
            open_ones[lean, loop] = Site(tmp_path_factory.mktemp("site"), lean=lean, loop=loop).start()
        site = open_ones[lean, loop]
        site.forget()
        return site

    yield find
    for site in open_ones.values():
        site.stop()


@pytest.fixture(params=DOORS)
def site(request: pytest.FixtureRequest, open_site: Callable[[bool, str], Site]) -> Site:
    """Either door, on asyncio's own loop."""
    return open_site(DOORS[request.param], "asyncio")


@pytest.fixture(params=[(door, loop) for door in DOORS for loop in ("asyncio", "uvloop")], ids=" on ".join)
def any_site(request: pytest.FixtureRequest, open_site: Callable[[bool, str], Site]) -> Site:
    """Either door, on either loop."""
    door, loop = request.param
    return open_site(DOORS[door], loop)


@pytest.fixture
def both(open_site: Callable[[bool, str], Site]) -> tuple[Site, Site]:
    """The two doors, to be compared: the lean one first."""
    return open_site(True, "asyncio"), open_site(False, "asyncio")

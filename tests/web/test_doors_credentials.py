"""What a connection may do is asked anew whenever it may have changed, however often the same head comes again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from doors_site import Site, chat
from doors_wire import Client

from gateway.config import load
from gateway.web.auth import mint


@pytest.fixture(params=[True, False], ids=["lean door", "aiohttp's door"])
def own(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """A site whose configuration and clock a test may change."""
    site = Site(tmp_path, lean=request.param, loop="asyncio").start()
    yield site
    site.stop()
    assert site.trouble == []


def status(client: Client, request: bytes) -> int:
    client.send(request)
    return client.answer().status


def reload(site: Site, old: str, new: str) -> None:
    """Change this in the configuration, and reload it."""
    text = site._file.read_text()
    assert old in text
    site._file.write_text(text.replace(old, new))
    site.wait(lambda: site.gateway.reload(load(str(site._file), {}).config))


def test_a_credential_expires_while_its_connection_stays(own: Site) -> None:
    short = mint(own.gateway.config.auth, "acme", "tester", ["user"], 30, time.time())
    request = own.post(chat(), f"Authorization: Bearer {short}", credential=False)
    with own.connect() as client:
        assert [status(client, request) for _ in range(3)] == [200, 200, 200]
        wall = own.gateway.pipeline.wall
        own.gateway.pipeline.wall = lambda: wall() + 120  # more than the leeway, too
        assert status(client, request) == 401
        own.gateway.pipeline.wall = wall
        assert status(client, request) == 200


def test_a_reload_takes_a_credential_from_an_open_connection(own: Site) -> None:
    request = own.post(chat())
    with own.connect() as client:
        assert status(client, request) == 200
        reload(own, "a secret of the two doors", "another secret of the doors")
        assert status(client, request) == 401
        reload(own, "another secret of the doors", "a secret of the two doors")
        assert status(client, request) == 200


def test_a_reload_takes_a_provider_from_an_open_connection(own: Site) -> None:
    request = own.post(chat(model="gpt-5.4"))
    with own.connect() as client:
        assert status(client, request) == 200
        reload(own, "acme: {}", "acme: {models: [something-else]}")
        assert status(client, request) == 404


def test_another_credential_on_the_same_connection_is_another_client(own: Site) -> None:
    with own.connect() as client:
        good, bad = own.post(chat()), own.post(chat(), "Authorization: Bearer no.such.token", credential=False)
        assert [status(client, request) for request in (good, bad, good, bad)] == [200, 401, 200, 401]


def test_the_same_head_again_is_another_request(own: Site) -> None:
    request = own.post(chat())
    with own.connect() as client:
        ids = []
        for _ in range(3):
            client.send(request)
            ids.append(client.answer().header("x-request-id"))
    assert len(set(ids)) == 3


def test_an_id_of_the_client_is_kept_for_its_own_request_alone(own: Site) -> None:
    with own.connect() as client:
        ids = []
        for lines in (["X-Request-Id: one"], ["X-Request-Id: one"], [], ["X-Request-Id: two"]):
            client.send(own.post(chat(), *lines))
            ids.append(client.answer().header("x-request-id"))
    assert [ids[0], ids[1], ids[3]] == ["one", "one", "two"]
    assert str(ids[2]).startswith("req_")

"""The fast tier of the rig: the SDKs among our own test packages, every feature, every provider; and the page that is committed.

The other clients are run by `make clients`, which writes the page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from clients_house import House
from clients_kit import PROVIDERS
from rig import NOT_OFFERED, OK, Cell, Program, judge, program, try_out
from rig_clients import CLIENTS, FEATURES, FOLDER, KNOWN, NPM_LOCKS, PYTHON_LOCKS, SDKS, Client
from rig_install import command
from rig_page import PAGE, page, versions

CHAT = SDKS[0]


@pytest.fixture(scope="module", params=SDKS, ids=lambda client: client.id)
def sdk(request: pytest.FixtureRequest, running: House) -> Iterator[tuple[Client, Program]]:
    with program(command(request.param), running) as started:
        yield request.param, started


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("feature", FEATURES)
def test_an_official_sdk_does_what_it_does_with_its_own_vendor(
    sdk: tuple[Client, Program], running: House, feature: str, provider: str
) -> None:
    client, started = sdk
    found = try_out(client, started, running, feature, provider)
    if (client.id, feature, provider) in KNOWN:
        assert found.status == "fails", "it is known to fail and does not any more"
    else:
        assert found == OK


# ---------------------------------------------------------------- the judge


@pytest.mark.parametrize(
    ("feature", "told"),
    [
        ("text", {"text": "[simulated gpt-5.4] You said: Hello"}),
        ("text", {"text": None}),
        ("text", {"error": {"class": "APIError", "status": 500, "text": "x"}}),
        ("text", {"broken": "ModuleNotFoundError"}),
        ("stream", {"text": "[simulated gpt-5.4] You said: Hello there", "pieces": 1}),
        ("tools", {"calls": [], "text": "get_weather -> 21 degrees; get_time -> noon"}),
        ("tools", {"calls": [["get_weather", {"city": "Paris"}], ["get_time", {"city": "Rome"}]], "text": ""}),
        ("structured", {"parsed": {"name": "Ada"}}),
        ("structured", {"parsed": None}),
        ("structured", {"parsed_text": "Ada"}),
        ("image", {"text": "I see a PNG image of 1x1 pixels."}),
        ("unknown", {"text": "hi"}),
        ("unknown", {"error": {"class": "APIError", "status": 500, "text": "x"}}),
        ("down", {"error": {"class": "APIError", "status": 404, "text": "x"}}),
        ("cut", {"text": "[simulated gpt-5.4] You ", "pieces": 3}),
    ],
)
def test_what_is_not_right_is_not_called_right(feature: str, told: dict[str, object]) -> None:
    assert judge(CHAT, feature, "openai", told).status == "fails"


def test_what_a_client_does_not_offer_is_no_failure() -> None:
    assert judge(CHAT, "image", "openai", {"not_offered": True}) == NOT_OFFERED


# ---------------------------------------------------------------- the page


def test_the_page_names_every_client_in_the_version_that_is_locked() -> None:
    written = re.findall(r"^\| `([^`]+)` \| (\S+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(written) == versions(), "run make clients"
    assert len(written) == len(CLIENTS)


def test_a_failure_is_told_on_the_page_with_its_reason_and_its_provider() -> None:
    seen = {(client.id, feature, provider): OK for client in CLIENTS for feature in FEATURES for provider in PROVIDERS}
    seen[CHAT.id, "image", "gemini"] = Cell("fails", "it sees nothing")
    row = next(line for line in page(seen).splitlines() if line.startswith("| `openai`"))
    assert "OpenAI ok; Anthropic ok; Gemini fails (1)" in row
    assert "1. it sees nothing\n" in page(seen)


# ---------------------------------------------------------------- the lock files


@pytest.mark.parametrize("lock", [lock for name, lock in PYTHON_LOCKS.items() if name != "sdk"], ids=lambda path: path.stem)  # fmt: skip
def test_clients_of_python_are_pinned_with_hashes_and_no_address(lock: object) -> None:
    text = (FOLDER / str(lock)).read_text()
    pins = re.findall(r"^[a-z0-9._-]+(?:\[[a-z0-9,_-]+\])?==\S+(?: ; .*?)? \\\n +--hash=sha256:[0-9a-f]{64}", text, re.MULTILINE)  # fmt: skip
    assert pins and len(pins) == len(re.findall(r"^[a-z0-9]", text, re.MULTILINE))
    assert "://" not in text


@pytest.mark.parametrize("name", NPM_LOCKS)
def test_clients_of_npm_are_pinned_with_hashes_and_no_address(name: str) -> None:
    packages = json.loads(NPM_LOCKS[name].read_text())["packages"]
    pinned = [entry for place, entry in packages.items() if place]
    assert pinned and all(entry["integrity"].startswith("sha512-") for entry in pinned)
    assert [entry for entry in pinned if "resolved" in entry] == []

"""A plain call that meets trouble comes to the same end as one that went the long way: for its client, the breaker, the next provider,
the quotas and the log."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from express_kit import COMPLETIONS, MESSAGES, Side, chat, told_both
from express_stub import NOTHING, USAGE, Act, completion, ends, error, http, resets, says, silent

FAULTS: dict[str, Act] = {
    "400": says(error(400, code="bad_thing", param="messages")),
    "400 that quotes our key": says(error(400, message="You sent sk-key-of-first, did you?")),
    "400 too long": says(error(400, code="context_length_exceeded")),
    "401": says(error(401, code="invalid_api_key")),
    "401 without a scope": says(error(401, code="missing_scope")),
    "403 of a firewall": says(http(403, b"<html>Blocked</html>", kind="text/html")),
    "404 no such model": says(error(404, code="model_not_found")),
    "429": says(error(429, "retry-after: 2")),
    "429 at once": says(error(429, "retry-after-ms: 1")),
    "429 spent": says(error(429, code="insufficient_quota")),
    "500": says(error(500)),
    "502 of a proxy": says(http(502, b"<html>Bad gateway</html>", kind="text/html")),
    "503": says(error(503, "retry-after: 1")),
    "500 endless": says(http(500, b"x" * 300_000, kind="text/html")),
    "302": says(http(302, b"", "location: http://elsewhere.test/")),
    "204": says(b"HTTP/1.1 204 X\r\n\r\n"),
    "201": says(http(201, completion())),
    "closed": ends(),
    "reset": resets,
    "half a head": ends(b"HTTP/1.1 200 OK\r\ncontent-"),
    "half a body": ends(http(200, completion())[:-40]),
    "half a body in chunks": ends(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9999\r\n" + completion()),
    "garbage": says(b"\x00\x01\x02 garbage\r\n\r\n"),
    "another protocol": says(b"RTSP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n"),
    "101": says(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"),
    "HTML": says(http(200, b"<html>Welcome</html>", kind="text/html")),
    "no UTF-8": says(http(200, completion("\xe9").replace(b"\xc3\xa9", b"\xe9"))),
    "an error inside": says(http(200, b'{"error":{"message":"overloaded","type":"server_error","code":503}}')),
    "nothing": says(http(200, b"")),
    "an object": says(http(200, b"{}")),
    "a list": says(http(200, b"[1]")),
    "no choices": says(http(200, b'{"choices":[],"usage":null}')),
    "empty": says(http(200, completion(""))),
    "deep": says(http(200, b'{"choices":' + b"[" * 100_000)),
}
REPORTS: dict[str, Any] = {
    "missing": NOTHING,
    "null": None,
    "negative": {"prompt_tokens": -5, "completion_tokens": 3, "total_tokens": 10},
    "a negative total": {**USAGE, "total_tokens": -10},
    "zero": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    "a zero total": {**USAGE, "total_tokens": 0},
    "large": {"prompt_tokens": 7, "completion_tokens": 30_000, "total_tokens": 30_007},
    "absurd": {"prompt_tokens": 7, "completion_tokens": 10**9, "total_tokens": 10**9 + 7},
    "beyond 64 bits": {"prompt_tokens": 10**30, "completion_tokens": 3, "total_tokens": 10},
    "beyond all floats": {"prompt_tokens": 10**400, "completion_tokens": 3, "total_tokens": 10},
    "texts": {"prompt_tokens": "7", "completion_tokens": "3"},
    "fractions": {"prompt_tokens": 7.5, "completion_tokens": 3.5, "total_tokens": 11},
    "a list": [7, 3],
}
SOUND: dict[str, Act] = {
    "in chunks": says(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        + b"".join(b"1\r\n%c\r\n" % byte for byte in completion())
        + b"0\r\n\r\n"
    ),
    "to the end": ends(b"HTTP/1.1 200 OK\r\n\r\n", completion()),
    "for the last time": ends(http(200, completion(), "connection: close")),
    "after an interim one": says(b"HTTP/1.1 103 Early\r\nlink: </x>\r\n\r\n" + http(200, completion())),
    "and more": says(http(200, completion()) + b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"),
    "of HTTP/1.0": ends(b"HTTP/1.0 200 OK\r\n\r\n", completion()),
    "of a megabyte": says(http(200, completion("word " * 200_000))),
}
PATHS = {"relayed": COMPLETIONS, "translated": MESSAGES}
PLANS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "another one steps in": (("first", "second"), {}),
    "it is asked again": (("first",), {}),
    "nobody steps in": (("first", "second"), {"fallback": {"enabled": False}}),
}


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.core.retry.PAUSE_S", 0.001)
    monkeypatch.setattr("gateway.core.retry.MAX_PAUSE_S", 0.5)


async def met(side: Side, act: Act, *lines: str, **more: Any) -> None:
    """Single failures, then as many in a row as open a breaker, with sound calls in between."""
    line = await side.connect()
    for times in (0, 1, 3, 0):
        for _ in range(times):
            side.first.script = [act]
            await side.ask(line, chat("what fails", **more), *lines)
        side.first.script = []
        await side.ask(line, chat("that's ok.", **more), *lines)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_comes_to_the_same_end(tmp_path: Path, fault: str, plan: str, path: str) -> None:
    names, more = PLANS[plan]
    side = await told_both(
        tmp_path,
        lambda side: met(side, FAULTS[fault], "x-request-id: mine", max_tokens=50),
        names=names,
        path=PATHS[path],
        **more,
    )
    assert side.taken[:2] == [False, True]
    assert b"what fails" in side.first.heard[1][1]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("report", REPORTS)
async def test_a_strange_report_of_usage_is_charged_alike(tmp_path: Path, report: str, path: str) -> None:
    act = says(http(200, completion("An answer.", usage=REPORTS[report])))
    side = await told_both(tmp_path, lambda side: met(side, act, max_tokens=50), path=PATHS[path])
    assert [status for status, _, _ in side.answers] == [200] * len(side.answers)
    assert all(side.taken[1:])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", SOUND)
async def test_a_sound_answer_in_any_framing_is_given_alike(tmp_path: Path, kind: str, path: str) -> None:
    side = await told_both(tmp_path, lambda side: met(side, SOUND[kind], max_tokens=50), path=PATHS[path])
    assert [status for status, _, _ in side.answers] == [200] * len(side.answers)
    assert all(side.taken[1:])


async def test_a_plain_answer_ends_a_keys_row_of_refusals(tmp_path: Path) -> None:
    async def story(side: Side) -> None:
        line = await side.connect()
        for refused in (False, True, True, False, True):
            side.first.script = [FAULTS["401"]] if refused else []
            await side.ask(line, chat(max_tokens=50))
            side.clock.now += 6

    side = await told_both(tmp_path, story)
    assert [status for status, _, _ in side.answers] == [200, 502, 502, 200, 502]
    assert [dict(headers).get("retry-after") for _, headers, _ in side.answers] == [None, "1", "5", None, "1"]


TIMEOUTS: dict[str, Act] = {
    "first byte": silent,
    "idle": says(http(200, completion())[:-10]),
}


@pytest.mark.parametrize("kind", TIMEOUTS)
async def test_a_provider_that_says_nothing_is_left_alike(tmp_path: Path, kind: str) -> None:
    async def story(side: Side) -> None:
        line = await side.connect()
        await side.ask(line, chat())
        side.first.script = [TIMEOUTS[kind]]
        await side.ask(line, chat())
        await side.ask(line, chat())

    timeouts = {"first_byte_s": 0.05, "idle_s": 0.05}
    side = await told_both(tmp_path, story, names=("first", "second"), providers={"first": {"timeouts": timeouts}})
    assert side.taken == [False, True, True]
    assert [dict(headers)["x-gateway-provider"] for _, headers, _ in side.answers] == ["first", "second", "first"]

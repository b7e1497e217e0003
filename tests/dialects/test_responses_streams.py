"""Every stream that any provider's golden cases hold, written for a Responses client and read by the official one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from golden_case import Case, cases
from openai.types.responses import Response
from responses_kit import accumulated, check_request, echo, frames, read

from gateway.dialects.openai_responses import OPENAI_RESPONSES
from gateway.errors import UpstreamError
from gateway.types import Ended, Event, Failed, Notes, Request

STREAMS = [folder for folder in cases() if (folder / "stream.sse").exists()]
OWN_REQUESTS = sorted((Path(__file__).parent.parent / "golden" / "openai_responses").glob("*/upstream.json"))
ASKED = read(reasoning={"effort": "high", "summary": "auto"})
TERMINAL = ("response.completed", "response.incomplete", "response.failed", "error")


def name_of(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


def events_of(folder: Path) -> list[Event]:
    case = Case(folder)
    request = case.request()
    undo = case.provider.write_request(request, case.target(request), Notes()).undo
    return case.events((folder / "stream.sse").read_bytes(), undo, [])


def request_of(folder: Path) -> Request:
    """The case's own request when it is of this dialect, else one that wants to see all there is."""
    case = Case(folder)
    return case.request() if case.settings.client == "openai_responses" else ASKED


def written(events: list[Event], request: Request) -> list[dict[str, Any]]:
    writer = OPENAI_RESPONSES.writer(echo(request))
    out = writer.write([event for event in events if not isinstance(event, Failed)])
    if any(isinstance(event, Failed) for event in events):
        out += writer.error(UpstreamError("it broke"))
    return frames(out.decode())


@pytest.mark.parametrize("folder", STREAMS, ids=name_of)
def test_the_official_client_reads_every_stream(folder: Path) -> None:
    events = events_of(folder)
    found = written(events, request_of(folder))

    ended = any(isinstance(event, Ended) for event in events)
    whole = accumulated(found)
    assert [event["type"] for event in found if event["type"] in TERMINAL] == [found[-1]["type"]]
    assert (whole is not None) == (found[-1]["type"] == "response.completed")
    assert ended == (found[-1]["type"] in ("response.completed", "response.incomplete"))
    if "response" in found[-1]:
        Response.model_validate(found[-1]["response"], strict=False)


@pytest.mark.parametrize("folder", STREAMS, ids=name_of)
def test_a_stream_that_breaks_anywhere_never_looks_complete(folder: Path) -> None:
    events = [event for event in events_of(folder) if not isinstance(event, Failed | Ended)]
    request = request_of(folder)
    for cut in range(len(events) + 1):
        writer = OPENAI_RESPONSES.writer(echo(request))
        found = frames((writer.write(events[:cut]) + writer.error(UpstreamError("it broke"))).decode())

        assert found[-1]["type"] == ("response.failed" if len(found) > 1 else "error")
        assert len(found) == 1 or accumulated(found) is None
        calls = [item for item in found[-1].get("response", {}).get("output", []) if "call_id" in item]
        assert calls == []


@pytest.mark.parametrize("folder", STREAMS, ids=name_of)
def test_a_stream_says_in_pieces_what_it_says_at_the_end(folder: Path) -> None:
    found = written(events_of(folder), request_of(folder))
    if found[-1]["type"] not in ("response.completed", "response.incomplete"):
        return
    output = found[-1]["response"]["output"]
    done = {event["output_index"]: event["item"] for event in found if event["type"] == "response.output_item.done"}
    added = [event["output_index"] for event in found if event["type"] == "response.output_item.added"]
    assert sorted(added) == sorted(done) == list(range(len(output)))
    for index, item in enumerate(output):
        own = [event for event in found if event.get("output_index") == index]
        said = "".join(event["delta"] for event in own if event["type"].endswith(".delta"))
        assert (done[index]["id"], done[index]["type"]) == (item["id"], item["type"])
        assert said in (text_of(item), "")
        assert said or item["type"] not in ("message", "function_call", "custom_tool_call") or not text_of(item)


def text_of(item: dict[str, Any]) -> str:
    parts = [*item.get("content", []), *item.get("summary", [])]
    texts = [part.get("text", "") + part.get("refusal", "") for part in parts]
    return "".join(texts) + item.get("arguments", "") + item.get("input", "")


@pytest.mark.parametrize("path", OWN_REQUESTS, ids=lambda path: path.parent.name)
def test_what_goes_to_openai_is_a_request_by_its_own_types(path: Path) -> None:
    check_request(json.dumps(json.loads(path.read_bytes())).encode())


@pytest.mark.parametrize("path", [p for p in cases() if (p / "answer.json").exists()], ids=name_of)
def test_every_whole_answer_is_a_response_object(path: Path) -> None:
    case = Case(path)
    if "client.json" not in case.outputs():
        return
    request = request_of(path)
    own = case.request()
    undo = case.provider.write_request(own, case.target(own), Notes()).undo
    reply = case.provider.read_reply((path / "answer.json").read_bytes(), undo)

    body = json.loads(OPENAI_RESPONSES.write_reply(reply, echo(request)))
    whole = Response.model_validate(body)
    assert whole.usage is None or whole.usage.output_tokens_details is not None
    assert (whole.status, whole.object) in (("completed", "response"), ("incomplete", "response"))

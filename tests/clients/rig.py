"""The conformance rig: runs client programs against a gateway and judges what their clients gave them.

A program is a process of its own that does one job a line (programs/kit.py). It reaches loopback only: proxies lead to a closed
port, telemetry and update checks are off by each vendor's documented variable. Nothing of the caller's environment goes in.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from clients_house import House
from clients_kit import BASE, MODELS, PROVIDERS, answer_of, png
from msgspec import DecodeError, Struct, json
from rig_clients import FEATURES, Client

JOB_LIMIT_S = 90.0
NOBODYS_MODEL = "nobody-serves-this"
CALLS = [["get_weather", {"city": "Paris"}], ["get_time", {"city": "Rome"}]]
QUOTED = ("get_weather -> ", "21 degrees", "get_time -> ", "noon")  # some clients wrap a result in an object
SEEN = "I see a PNG image of 3x5 pixels."
CUT_AFTER = 3  # pieces of content
NOWHERE = "http://127.0.0.1:9"

QUIET = {
    **{name: NOWHERE for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")},
    **{name: "127.0.0.1,localhost" for name in ("NO_PROXY", "no_proxy")},
    "AI_SDK_LOG_WARNINGS": "false",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
    "CODEX_DISABLE_UPDATE_CHECK": "1",
    "DISABLE_AUTOUPDATER": "1",
    "DISABLE_ERROR_REPORTING": "1",
    "DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "GEMINI_TELEMETRY_ENABLED": "false",
    "LANGSMITH_TRACING": "false",
    "NO_COLOR": "1",
    "NO_UPDATE_NOTIFIER": "1",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUNBUFFERED": "1",
}


class Cell(Struct, frozen=True):
    """How one feature of one client does with one provider. `status`: ok, not offered, fails."""

    status: str
    reason: str = ""


OK = Cell("ok")
NOT_OFFERED = Cell("not offered")


class Program:
    """A running client program."""

    def __init__(self, command: list[str], folder: Path, house: House) -> None:
        given = {
            "GATEWAY_BASE": house.origin + BASE,
            "GATEWAY_ORIGIN": house.origin,
            "GATEWAY_TOKEN": house.token(),
            "GATEWAY_PICTURE": b64decode(png(3, 5)).hex(),
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
        }
        self._noise = (folder / "stderr").open("w+b")
        self._process = subprocess.Popen(
            command,
            env=QUIET | given,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._noise,
            start_new_session=True,
        )

    def ask(self, feature: str, model: str) -> dict[str, Any]:
        """What the client gave; {"error": …} when the program gave nothing."""
        assert self._process.stdin and self._process.stdout
        timer = threading.Timer(JOB_LIMIT_S, self._process.kill)
        timer.start()
        try:
            self._process.stdin.write(json.encode({"feature": feature, "model": model}) + b"\n")
            self._process.stdin.flush()
            told: dict[str, Any] = json.decode(self._process.stdout.readline())
            return told
        except (BrokenPipeError, DecodeError):
            return {"broken": self._last_words()}
        finally:
            timer.cancel()

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        self._process.kill()
        self._process.wait()
        with suppress(BrokenPipeError):  # a job that nobody read
            self._process.stdin.close()
        self._process.stdout.close()
        self._noise.close()

    def _last_words(self) -> str:
        self._noise.seek(0)
        lines = self._noise.read().decode("utf-8", "replace").strip().splitlines() or ["no answer in time"]
        return lines[-1]


@contextmanager
def program(command: list[str], house: House) -> Iterator[Program]:
    """Runs a client program in a folder of its own, which is its home as well."""
    with tempfile.TemporaryDirectory(prefix="client-") as folder:
        running = Program(command, Path(folder), house)
        try:
            yield running
        finally:
            running.close()


def try_out(client: Client, running: Program, house: House, feature: str, provider: str) -> Cell:
    """One cell: set the scene, let the client act, judge."""
    house.clear()
    match feature:
        case "unknown":
            told = running.ask("text", NOBODYS_MODEL)
        case "down":
            for each in PROVIDERS:
                house.fault(each, "status", status=503)
            told = running.ask("text", MODELS[provider])
        case "cut":
            house.fault(provider, "cut", after_events=CUT_AFTER)
            told = running.ask("stream", MODELS[provider])
        case _:
            told = running.ask(feature, MODELS[provider])
    house.clear()
    return judge(client, feature, provider, told)


def judge(client: Client, feature: str, provider: str, told: dict[str, Any]) -> Cell:
    """What to say of what a client gave."""
    if told.get("not_offered"):
        return NOT_OFFERED
    if "broken" in told:
        return Cell("fails", f"the client ended: {told['broken']}"[:300])
    if feature in ("unknown", "down", "cut"):
        return _judge_error(client, feature, provider, told)
    if "error" in told:
        error = told["error"]
        return Cell("fails", f"{error.get('class')}: {error.get('text')}"[:300])
    wrong = _WRONG[feature](client, provider, told)
    return Cell("fails", f"{wrong}: {json.encode(told).decode()}"[:300]) if wrong else OK


def _judge_error(client: Client, feature: str, provider: str, told: dict[str, Any]) -> Cell:
    error = told.get("error")
    if client.prompted and feature == "cut" and "Hello there" in (told.get("text") or ""):
        return OK  # agents ask again, and what they show in the end is whole
    if error is None:
        return Cell("fails", f"no error: {json.encode(told).decode()}"[:300])
    text, status = str(error.get("text")), error.get("status")
    # Clients that hide the status still have to say what is wrong.
    fits = {
        "unknown": status == 404 or (status is None and NOBODYS_MODEL in text),
        "down": status in (502, 503) or (status is None and ("503" in text or "overloaded" in text)),
        "cut": True,
    }
    return OK if fits[feature] else Cell("fails", f"{error.get('class')} {status}: {text}"[:300])


def _said(client: Client, provider: str, told: dict[str, Any]) -> str:
    text = told.get("text") or ""
    if client.prompted:
        right = text.startswith(f"[simulated {MODELS[provider]}]")
    else:
        right = text == answer_of(provider, "Hello there")
    return "" if right else "another text"


def _streamed(client: Client, provider: str, told: dict[str, Any]) -> str:
    return _said(client, provider, told) or ("" if told.get("pieces", 0) > 1 else "not in pieces")


def _tools(client: Client, provider: str, told: dict[str, Any]) -> str:
    text = told.get("text") or ""
    if client.prompted:
        return "" if told.get("calls") and "The tools answered" in text else "no tool went round"
    if told.get("calls") != CALLS:
        return "other calls"
    return "" if all(quote in text for quote in QUOTED) else "the results were not read"


def _structured(client: Client, provider: str, told: dict[str, Any]) -> str:
    try:
        person = told["parsed"] if "parsed" in told else json.decode(told["parsed_text"])
    except DecodeError:
        return "no JSON"
    right = (
        isinstance(person, dict)
        and isinstance(person.get("name"), str)
        and isinstance(person.get("tags"), list)
        and set(person) == {"name", "tags"}
    )
    return "" if right else "not by the schema"


def _image(client: Client, provider: str, told: dict[str, Any]) -> str:
    return "" if SEEN in (told.get("text") or "") else "the picture was not seen"


_WRONG = {"text": _said, "stream": _streamed, "tools": _tools, "structured": _structured, "image": _image}

assert set(_WRONG) <= set(FEATURES)

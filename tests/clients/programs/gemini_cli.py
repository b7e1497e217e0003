"""Google's Gemini CLI without its terminal, `gemini -p`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import kit
from agent_kit import MODULES, NODE, ORIGIN, run

PROGRAM = MODULES / "@google" / "gemini-cli" / "bundle" / "gemini.js"
SETTINGS = {
    "security": {"auth": {"selectedType": "gemini-api-key"}},
    "telemetry": {"enabled": False},
    "privacy": {"usageStatisticsEnabled": False},
    "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False, "maxAttempts": 1},
}


class Refused(Exception):
    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(str(error.get("message")))
        code = error.get("code")
        self.status = code if isinstance(code, int) and code >= 400 else None


def ask(model: str, prompt: str, *tools: str) -> list[dict[str, Any]]:
    """Its events. What it tells the model of its folder sounds like a wish to list it, so there is a tool only where asked."""
    Path(".gemini/settings.json").write_text(json.dumps({**SETTINGS, "tools": {"core": tools}}))
    command = [NODE, PROGRAM, "-p", prompt, "--model", model, "--skip-trust", "--output-format", "stream-json"]
    told = run(command, GEMINI_API_KEY=kit.TOKEN, GOOGLE_GEMINI_BASE_URL=ORIGIN)
    failed = [event for event in told if event["type"] == "error" or (event.get("status") == "error" and event["type"] == "result")]  # fmt: skip
    if failed:
        raise Refused(failed[-1].get("error") or failed[-1])
    return told


def pieces(told: list[dict[str, Any]]) -> list[str]:
    return [event["content"] for event in told if event["type"] == "message" and event["role"] == "assistant"]


def stream(model: str) -> dict[str, Any]:
    return kit.streamed(pieces(ask(model, kit.HELLO)))


def tools(model: str) -> dict[str, Any]:
    told = ask(model, "Use list_directory for Paris.", "list_directory")
    calls = [[event["tool_name"], event.get("parameters")] for event in told if event["type"] == "tool_use"]
    return {"calls": calls, "text": "".join(pieces(told))}


def image(model: str) -> dict[str, Any]:
    Path("picture.png").write_bytes(kit.PICTURE)
    return {"text": "".join(pieces(ask(model, f"{kit.LOOK} @picture.png")))}


Path(".gemini").mkdir()
kit.serve(text=stream, stream=stream, tools=tools, image=image)

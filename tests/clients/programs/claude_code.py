"""Claude Code without its terminal, `claude -p`."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from typing import Any

import kit
from agent_kit import MODULES, ORIGIN, run

[PROGRAM] = sorted(MODULES.glob("@anthropic-ai/claude-code-*/claude"))[:1]
SCHEMA = {name: value for name, value in kit.PERSON.items() if name != "additionalProperties"}


class Refused(Exception):
    def __init__(self, message: str, status: int | None) -> None:
        super().__init__(message)
        self.status = status


def ask(model: str, prompt: str | None, *options: str, said: str = "") -> list[dict[str, Any]]:
    """Its events, of which the last is the result."""
    told = run(
        [
            PROGRAM,
            "-p",
            *([prompt] if prompt else []),
            "--model",
            model,
            "--verbose",
            "--output-format",
            "stream-json",
            *options,
        ],
        said,
        ANTHROPIC_BASE_URL=ORIGIN,
        ANTHROPIC_AUTH_TOKEN=kit.TOKEN,
    )
    result = told[-1]
    if result.get("is_error"):
        raise Refused(f"{result.get('api_error_code')}: {result.get('result')}", result.get("api_error_status"))
    return told


def text(model: str) -> dict[str, Any]:
    return {"text": ask(model, kit.HELLO, "--tools", "")[-1]["result"]}


def stream(model: str) -> dict[str, Any]:
    told = ask(model, kit.HELLO, "--tools", "", "--include-partial-messages")
    deltas = [event["event"].get("delta", {}) for event in told if event["type"] == "stream_event"]
    return {**kit.streamed(delta.get("text") for delta in deltas), "text": told[-1]["result"]}


def tools(model: str) -> dict[str, Any]:
    """The simulator fills a path from the prompt; there is no such file, and that is an answer."""
    told = ask(model, "Use Read for Paris.", "--tools", "Read")
    blocks = [block for event in told if event["type"] == "assistant" for block in event["message"]["content"]]
    calls = [[block["name"], block["input"]] for block in blocks if block["type"] == "tool_use"]
    return {"calls": calls, "text": told[-1]["result"]}


def structured(model: str) -> dict[str, Any]:
    told = ask(model, kit.ABOUT, "--tools", "", "--json-schema", json.dumps(SCHEMA))
    return {"parsed": told[-1].get("structured_output")}


def image(model: str) -> dict[str, Any]:
    source = {"type": "base64", "media_type": "image/png", "data": b64encode(kit.PICTURE).decode()}
    content = [{"type": "image", "source": source}, {"type": "text", "text": kit.LOOK}]
    message = {"type": "user", "message": {"role": "user", "content": content}}
    told = ask(model, None, "--tools", "", "--input-format", "stream-json", said=json.dumps(message) + "\n")
    return {"text": told[-1]["result"]}


os.environ["CLAUDE_CODE_MAX_RETRIES"] = "1"
kit.serve(text=text, stream=stream, tools=tools, structured=structured, image=image)

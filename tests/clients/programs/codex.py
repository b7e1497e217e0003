"""OpenAI's Codex without its terminal, `codex exec`, with a provider of its own in config.toml."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import kit
from agent_kit import MODULES, NODE, ORIGIN, run

PROGRAM = MODULES / "@openai" / "codex" / "bin" / "codex.js"
HOME = Path("codex").absolute()
CONFIG = f"""\
model_provider = "gateway"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.gateway]
name = "gateway"
base_url = "{ORIGIN}/v1"
env_key = "GATEWAY_TOKEN"
wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1
"""


class Refused(Exception):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        found = re.search(r"status (\d{3})", message)
        self.status = int(found[1]) if found else 404 if '"code":"model_not_found"' in message else None


def ask(model: str, prompt: str, *options: str) -> list[dict[str, Any]]:
    """What it did, in order: thoughts, commands, messages."""
    command = [NODE, PROGRAM, "exec", "--json", "--skip-git-repo-check", "--model", model, *options, "--", prompt]
    told = run(command, CODEX_HOME=str(HOME))
    failed = [event["error"]["message"] for event in told if event["type"] == "turn.failed"]
    if failed:
        raise Refused(failed[0])
    return [event["item"] for event in told if event["type"] == "item.completed"]


def words(items: list[dict[str, Any]]) -> str:
    return [str(item["text"]) for item in items if item["type"] == "agent_message"][-1]


def text(model: str) -> dict[str, Any]:
    """It streams whatever it asks, and shows whole messages only."""
    return {"text": words(ask(model, kit.HELLO))}


def tools(model: str) -> dict[str, Any]:
    """The simulator fills a command from the prompt; there is none of that name."""
    items = ask(model, "Use exec_command for Paris.", "--sandbox", "read-only")
    calls = [["exec_command", item["command"]] for item in items if item["type"] == "command_execution"]
    return {"calls": calls, "text": words(items)}


def structured(model: str) -> dict[str, Any]:
    Path("schema.json").write_text(json.dumps(kit.PERSON))
    return {"parsed_text": words(ask(model, kit.ABOUT, "--output-schema", "schema.json"))}


def image(model: str) -> dict[str, Any]:
    Path("picture.png").write_bytes(kit.PICTURE)
    return {"text": words(ask(model, kit.LOOK, "--image", "picture.png"))}


HOME.mkdir()
(HOME / "config.toml").write_text(CONFIG)
kit.serve(text=text, tools=tools, structured=structured, image=image)

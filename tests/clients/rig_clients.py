"""Which clients the rig runs: their programs, where they are installed, and which package's version the page names."""

from __future__ import annotations

import json
import re
from pathlib import Path

from msgspec import Struct

FOLDER = Path(__file__).parent
REPOSITORY = FOLDER.parents[1]
FEATURES = {
    "text": "text",
    "stream": "stream",
    "tools": "tools, round trip",
    "structured": "structured output",
    "image": "image",
    "unknown": "unknown model",
    "down": "provider down",
    "cut": "stream cut",
}
PYTHON_LOCKS = {
    "sdk": REPOSITORY / "requirements-test.txt",
    "openai1": FOLDER / "requirements-openai1.txt",
    "openai2": FOLDER / "requirements-openai2.txt",
    "frameworks": FOLDER / "requirements-frameworks.txt",
    "node": FOLDER / "requirements-node.txt",
}
NPM_LOCKS = {"npm": FOLDER / "npm" / "package-lock.json", "agents": FOLDER / "agents" / "package-lock.json"}


class Client(Struct, frozen=True):
    """One row of the page.

    `where`: the lock file and so the environment; `program`: its file and arguments; `api`: what it speaks to the gateway.
    `prompted`: an agent, which wraps what it is asked in a prompt of its own.
    """

    package: str
    where: str
    program: tuple[str, ...]
    api: str
    prompted: bool = False

    @property
    def language(self) -> str:
        return "Python" if self.where in PYTHON_LOCKS else "Agents" if self.prompted else "Node"

    @property
    def title(self) -> str:
        return f"{self.package} {version(self)}, {self.api}"

    @property
    def id(self) -> str:
        return f"{self.where}-{self.package}-{self.api}".replace(" ", "-").lower()


CHAT, RESPONSES, MESSAGES, GEMINI = "Chat Completions", "Responses", "Messages", "Gemini"

SDKS = (
    Client("openai", "sdk", ("openai_sdk.py", "chat"), CHAT),
    Client("openai", "sdk", ("openai_sdk.py", "responses"), RESPONSES),
    Client("anthropic", "sdk", ("anthropic_sdk.py",), MESSAGES),
    Client("google-genai", "sdk", ("google_genai.py",), GEMINI),
    Client("google-generativeai", "sdk", ("google_generativeai.py",), GEMINI),
)
OTHERS = (
    Client("openai", "openai1", ("openai_sdk.py", "chat"), CHAT),
    Client("openai", "openai1", ("openai_sdk.py", "responses"), RESPONSES),
    Client("openai", "openai2", ("openai_sdk.py", "chat"), CHAT),
    Client("openai", "openai2", ("openai_sdk.py", "responses"), RESPONSES),
    Client("langchain-openai", "frameworks", ("langchain_openai_chat.py", "chat"), CHAT),
    Client("langchain-openai", "frameworks", ("langchain_openai_chat.py", "responses"), RESPONSES),
    Client("llama-index-llms-openai-like", "openai2", ("llama_like.py",), CHAT),
    Client("instructor", "openai2", ("instructor_openai.py",), CHAT),
    Client("pydantic-ai-slim", "frameworks", ("pydantic_agent.py", "chat"), CHAT),
    Client("pydantic-ai-slim", "frameworks", ("pydantic_agent.py", "responses"), RESPONSES),
    Client("pydantic-ai-slim", "frameworks", ("pydantic_agent.py", "messages"), MESSAGES),
    Client("pydantic-ai-slim", "frameworks", ("pydantic_agent.py", "gemini"), GEMINI),
    Client("openai-agents", "frameworks", ("openai_agent.py", "chat"), CHAT),
    Client("openai-agents", "frameworks", ("openai_agent.py", "responses"), RESPONSES),
    Client("llm", "frameworks", ("llm_models.py",), CHAT),
    Client("openai", "npm", ("openai.mjs", "chat"), CHAT),
    Client("openai", "npm", ("openai.mjs", "responses"), RESPONSES),
    Client("@anthropic-ai/sdk", "npm", ("anthropic.mjs",), MESSAGES),
    Client("@google/genai", "npm", ("google.mjs",), GEMINI),
    Client("@ai-sdk/openai", "npm", ("ai.mjs", "chat"), CHAT),
    Client("@ai-sdk/openai", "npm", ("ai.mjs", "responses"), RESPONSES),
    Client("@ai-sdk/openai-compatible", "npm", ("ai.mjs", "compatible"), CHAT),
    Client("@ai-sdk/anthropic", "npm", ("ai.mjs", "messages"), MESSAGES),
    Client("@ai-sdk/google", "npm", ("ai.mjs", "gemini"), GEMINI),
    Client("socket.io-client", "npm", ("socketio.mjs",), "Socket.IO"),
    Client("@openai/codex", "agents", ("codex.py",), RESPONSES, prompted=True),
    Client("@anthropic-ai/claude-code", "agents", ("claude_code.py",), MESSAGES, prompted=True),
    Client("@google/gemini-cli", "agents", ("gemini_cli.py",), GEMINI, prompted=True),
)
CLIENTS = (*SDKS, *OTHERS)

# (client id, feature, provider) -> why it fails, where neither we nor the one who runs the client can do anything about it.
KNOWN: dict[tuple[str, str, str], str] = {}


def version(client: Client) -> str:
    """The version that the lock file of a client names."""
    if client.where in NPM_LOCKS:
        packages = json.loads(NPM_LOCKS[client.where].read_text())["packages"]
        return str(packages[f"node_modules/{client.package}"]["version"])
    pin = rf"^{re.escape(client.package)}(?:\[[^\]]*\])?==(\S+)"
    [found] = re.findall(pin, PYTHON_LOCKS[client.where].read_text(), re.MULTILINE)
    return str(found)

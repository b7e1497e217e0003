"""Simon Willison's `llm`, with a model as `extra-openai-models.yaml` declares one."""

from __future__ import annotations

import json
from typing import Any

import kit
import llm
from llm.default_plugins.openai_models import Chat


def asked(model: str) -> Any:
    more: dict[str, Any] = {"vision": True, "supports_schema": True, "supports_tools": True}
    chat = Chat(model, model_name=model, api_base=f"{kit.BASE}/v1", **more)
    chat.key = kit.TOKEN
    return chat


def text(model: str) -> dict[str, Any]:
    return {"text": asked(model).prompt(kit.HELLO, stream=False).text()}


def stream(model: str) -> dict[str, Any]:
    return kit.streamed(asked(model).prompt(kit.HELLO, stream=True))


def tools(model: str) -> dict[str, Any]:
    calls = kit.Calls()
    text = asked(model).chain(kit.QUESTION, tools=[calls.get_weather, calls.get_time]).text()
    return {"text": text, "calls": calls.made}


def structured(model: str) -> dict[str, Any]:
    return {"parsed": json.loads(asked(model).prompt(kit.ABOUT, schema=kit.PERSON).text())}


def image(model: str) -> dict[str, Any]:
    picture = llm.Attachment(type="image/png", content=kit.PICTURE)
    return {"text": asked(model).prompt(kit.LOOK, attachments=[picture], stream=False).text()}


kit.serve(text=text, stream=stream, tools=tools, structured=structured, image=image)

"""The official `anthropic` package."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import anthropic
import kit
from pydantic import BaseModel

CLIENT = anthropic.Anthropic(base_url=kit.BASE, api_key=kit.TOKEN)
TOOLS: list[Any] = [{"name": name, "input_schema": kit.CITY} for name in kit.RESULTS]


class Person(BaseModel):
    name: str
    tags: list[str]


def user(content: Any) -> list[Any]:
    return [{"role": "user", "content": content}]


def words(message: Any) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def ask(model: str, messages: list[Any], **more: Any) -> Any:
    return CLIENT.messages.create(model=model, max_tokens=1000, messages=messages, **more)


def text(model: str) -> dict[str, Any]:
    return {"text": words(ask(model, user(kit.HELLO)))}


def stream(model: str) -> dict[str, Any]:
    with CLIENT.messages.stream(model=model, max_tokens=1000, messages=user(kit.HELLO)) as stream:
        told = kit.streamed(stream.text_stream)
        assert words(stream.get_final_message()) == told["text"]
    return told


def tools(model: str) -> dict[str, Any]:
    asked = user(kit.QUESTION)
    first = ask(model, asked, tools=TOOLS)
    calls = [block for block in first.content if block.type == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": kit.RESULTS[call.name]} for call in calls]
    end = ask(model, [*asked, {"role": "assistant", "content": first.content}, *user(results)], tools=TOOLS)
    return {"calls": [[call.name, call.input] for call in calls], "text": words(end)}


def structured(model: str) -> dict[str, Any]:
    answer = CLIENT.messages.parse(model=model, max_tokens=1000, messages=user(kit.ABOUT), output_format=Person)
    return {"parsed": answer.parsed_output and answer.parsed_output.model_dump()}


def image(model: str) -> dict[str, Any]:
    source = {"type": "base64", "media_type": "image/png", "data": b64encode(kit.PICTURE).decode()}
    return {"text": words(ask(model, user([{"type": "image", "source": source}, {"type": "text", "text": kit.LOOK}])))}


kit.serve(text=text, stream=stream, tools=tools, structured=structured, image=image)

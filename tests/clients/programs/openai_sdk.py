"""The official `openai` package, 1.x and current: `openai_sdk.py chat` or `openai_sdk.py responses`."""

from __future__ import annotations

import json
import sys
from typing import Any

import kit
import openai
from pydantic import BaseModel

CLIENT = openai.OpenAI(base_url=kit.BASE, api_key=kit.TOKEN)
FUNCTIONS: list[Any] = [{"name": name, "parameters": kit.CITY, "strict": True} for name in kit.RESULTS]


class Person(BaseModel):
    name: str
    tags: list[str]


def user(content: Any) -> list[Any]:
    return [{"role": "user", "content": content}]


def chat_text(model: str) -> dict[str, Any]:
    answer = CLIENT.chat.completions.create(model=model, messages=user(kit.HELLO))
    return {"text": answer.choices[0].message.content}


def chat_stream(model: str) -> dict[str, Any]:
    usage = {"include_usage": True}
    frames = CLIENT.chat.completions.create(model=model, messages=user(kit.HELLO), stream=True, stream_options=usage)
    return kit.streamed(frame.choices[0].delta.content for frame in frames if frame.choices)


def chat_tools(model: str) -> dict[str, Any]:
    tools: list[Any] = [{"type": "function", "function": function} for function in FUNCTIONS]
    asked = user(kit.QUESTION)
    said = CLIENT.chat.completions.create(model=model, messages=asked, tools=tools).choices[0].message
    calls = [call for call in said.tool_calls or [] if call.type == "function"]
    results = [{"role": "tool", "tool_call_id": c.id, "content": kit.RESULTS[c.function.name]} for c in calls]
    end = CLIENT.chat.completions.create(model=model, messages=[*asked, said, *results], tools=tools)
    made = [[call.function.name, json.loads(call.function.arguments)] for call in calls]
    return {"calls": made, "text": end.choices[0].message.content}


def chat_structured(model: str) -> dict[str, Any]:
    # `parse` stands below `beta` in 1.x until 1.92.
    answer = CLIENT.chat.completions.parse(model=model, messages=user(kit.ABOUT), response_format=Person)
    person = answer.choices[0].message.parsed
    return {"parsed": person and person.model_dump()}


def chat_image(model: str) -> dict[str, Any]:
    parts = [{"type": "text", "text": kit.LOOK}, {"type": "image_url", "image_url": {"url": kit.PICTURE_URL}}]
    return {"text": CLIENT.chat.completions.create(model=model, messages=user(parts)).choices[0].message.content}


def responses_text(model: str) -> dict[str, Any]:
    return {"text": CLIENT.responses.create(model=model, input=kit.HELLO).output_text}


def responses_stream(model: str) -> dict[str, Any]:
    with CLIENT.responses.stream(model=model, input=kit.HELLO) as stream:
        told = kit.streamed(event.delta for event in stream if event.type == "response.output_text.delta")
        assert stream.get_final_response().output_text == told["text"]
    return told


def responses_tools(model: str) -> dict[str, Any]:
    tools: list[Any] = [{"type": "function", **function} for function in FUNCTIONS]
    first = CLIENT.responses.create(model=model, input=kit.QUESTION, tools=tools)
    calls = [item for item in first.output if item.type == "function_call"]
    results: list[Any] = [
        {"type": "function_call_output", "call_id": call.call_id, "output": kit.RESULTS[call.name]} for call in calls
    ]
    end = CLIENT.responses.create(model=model, input=results, previous_response_id=first.id, tools=tools)
    return {"calls": [[call.name, json.loads(call.arguments)] for call in calls], "text": end.output_text}


def responses_structured(model: str) -> dict[str, Any]:
    person = CLIENT.responses.parse(model=model, input=kit.ABOUT, text_format=Person).output_parsed
    return {"parsed": person and person.model_dump()}


def responses_image(model: str) -> dict[str, Any]:
    parts: list[Any] = [{"type": "input_text", "text": kit.LOOK}, {"type": "input_image", "image_url": kit.PICTURE_URL, "detail": "auto"}]  # fmt: skip
    return {"text": CLIENT.responses.create(model=model, input=user(parts)).output_text}


if sys.argv[1] == "chat":
    kit.serve(text=chat_text, stream=chat_stream, tools=chat_tools, structured=chat_structured, image=chat_image)
else:
    kit.serve(
        text=responses_text,
        stream=responses_stream,
        tools=responses_tools,
        structured=responses_structured,
        image=responses_image,
    )

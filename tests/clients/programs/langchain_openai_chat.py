"""LangChain's `langchain-openai`: `chat`, or `responses`."""

from __future__ import annotations

import sys
from typing import Any

import kit
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel


class Person(BaseModel):
    """A person."""

    name: str
    tags: list[str]


def chat(model: str) -> ChatOpenAI:
    return ChatOpenAI(
        model=model,
        base_url=f"{kit.BASE}/v1",
        api_key=kit.TOKEN,  # type: ignore[arg-type]
        use_responses_api=sys.argv[1] == "responses",
    )


def text(model: str) -> dict[str, Any]:
    return {"text": chat(model).invoke(kit.HELLO).text}


def stream(model: str) -> dict[str, Any]:
    return kit.streamed(chunk.text for chunk in chat(model).stream(kit.HELLO))


def tools(model: str) -> dict[str, Any]:
    calls = kit.Calls()
    asked = chat(model).bind_tools([calls.get_weather, calls.get_time])
    question = HumanMessage(kit.QUESTION)
    first = asked.invoke([question])
    results = [ToolMessage(kit.RESULTS[call["name"]], tool_call_id=call["id"]) for call in first.tool_calls]
    end = asked.invoke([question, first, *results])
    return {"calls": [[call["name"], call["args"]] for call in first.tool_calls], "text": end.text}


def structured(model: str) -> dict[str, Any]:
    person: Any = chat(model).with_structured_output(Person).invoke(kit.ABOUT)
    return {"parsed": person.model_dump()}


def image(model: str) -> dict[str, Any]:
    parts: list[Any] = [
        {"type": "text", "text": kit.LOOK},
        {"type": "image_url", "image_url": {"url": kit.PICTURE_URL}},
    ]
    return {"text": chat(model).invoke([HumanMessage(parts)]).text}


kit.serve(text=text, stream=stream, tools=tools, structured=structured, image=image)

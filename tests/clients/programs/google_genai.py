"""The official `google-genai` package."""

from __future__ import annotations

from typing import Any

import kit
from google import genai
from google.genai import types
from pydantic import BaseModel

CLIENT = genai.Client(api_key=kit.TOKEN, http_options={"base_url": kit.BASE})


class Person(BaseModel):
    name: str
    tags: list[str]


def ask(model: str, contents: Any, **config: Any) -> types.GenerateContentResponse:
    return CLIENT.models.generate_content(
        model=model, contents=contents, config=types.GenerateContentConfig(**config) if config else None
    )


def text(model: str) -> dict[str, Any]:
    return {"text": ask(model, kit.HELLO).text}


def stream(model: str) -> dict[str, Any]:
    chunks = CLIENT.models.generate_content_stream(model=model, contents=kit.HELLO)
    return kit.streamed(chunk.text for chunk in chunks)


def tools(model: str) -> dict[str, Any]:
    """Python functions, which this client calls by itself until there is an answer."""
    calls = kit.Calls()
    answer = ask(model, kit.QUESTION, tools=[calls.get_weather, calls.get_time])
    return {"calls": calls.made, "text": answer.text}


def structured(model: str) -> dict[str, Any]:
    answer = ask(model, kit.ABOUT, response_mime_type="application/json", response_schema=Person)
    person = answer.parsed
    return {"parsed": person.model_dump() if isinstance(person, Person) else None}


def image(model: str) -> dict[str, Any]:
    return {"text": ask(model, [types.Part.from_bytes(data=kit.PICTURE, mime_type="image/png"), kit.LOOK]).text}


kit.serve(text=text, stream=stream, tools=tools, structured=structured, image=image)

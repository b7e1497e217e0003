"""`instructor` over the OpenAI client: structured output by a forced tool; it runs no tools itself."""

from __future__ import annotations

from typing import Any

import instructor
import kit
import openai
from pydantic import BaseModel

CLIENT = instructor.from_openai(openai.OpenAI(base_url=f"{kit.BASE}/v1", api_key=kit.TOKEN), mode=instructor.Mode.TOOLS)


class Person(BaseModel):
    """A person."""

    name: str
    tags: list[str]


def user(content: Any) -> list[Any]:
    return [{"role": "user", "content": content}]


def text(model: str) -> dict[str, Any]:
    answer: Any = CLIENT.chat.completions.create(model=model, messages=user(kit.HELLO), response_model=None)
    return {"text": answer.choices[0].message.content}


def structured(model: str) -> dict[str, Any]:
    """Whole, and then in pieces, of which the last must be the same."""
    whole = CLIENT.chat.completions.create(model=model, messages=user(kit.ABOUT), response_model=Person)
    pieces = list(CLIENT.chat.completions.create_partial(model=model, messages=user(kit.ABOUT), response_model=Person))
    assert pieces[-1].model_dump() == whole.model_dump()
    return {"parsed": whole.model_dump()}


def image(model: str) -> dict[str, Any]:
    parts = [kit.LOOK, instructor.Image.from_base64(kit.PICTURE_URL)]
    answer: Any = CLIENT.chat.completions.create(model=model, messages=user(parts), response_model=None)
    return {"text": answer.choices[0].message.content}


kit.serve(text=text, structured=structured, image=image)

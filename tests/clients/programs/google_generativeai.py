"""Google's retired `google-generativeai` package over REST, which deployed applications still use."""

from __future__ import annotations

from typing import Any

import google.generativeai as genai
import kit
from google.api_core.retry import Retry

# By itself it repeats a 503 for a minute.
OPTIONS: dict[str, Any] = {"retry": Retry(timeout=1), "timeout": 20}
genai.configure(api_key=kit.TOKEN, transport="rest", client_options={"api_endpoint": kit.BASE})


def text(model: str) -> dict[str, Any]:
    return {"text": genai.GenerativeModel(model).generate_content(kit.HELLO, request_options=OPTIONS).text}


def stream(model: str) -> dict[str, Any]:
    chunks = genai.GenerativeModel(model).generate_content(kit.HELLO, stream=True, request_options=OPTIONS)
    return kit.streamed(chunk.text for chunk in chunks if chunk.parts)


def tools(model: str) -> dict[str, Any]:
    """Python functions, which this client calls by itself until there is an answer."""
    calls = kit.Calls()
    asked = genai.GenerativeModel(model, tools=[calls.get_weather, calls.get_time])
    chat = asked.start_chat(enable_automatic_function_calling=True)
    return {"text": chat.send_message(kit.QUESTION, request_options=OPTIONS).text, "calls": calls.made}


def structured(model: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}},
        "required": ["name", "tags"],
    }
    config = genai.GenerationConfig(response_mime_type="application/json", response_schema=schema)
    answer = genai.GenerativeModel(model).generate_content(kit.ABOUT, generation_config=config, request_options=OPTIONS)
    return {"parsed_text": answer.text}


def image(model: str) -> dict[str, Any]:
    parts = [{"mime_type": "image/png", "data": kit.PICTURE}, kit.LOOK]
    return {"text": genai.GenerativeModel(model).generate_content(parts, request_options=OPTIONS).text}


kit.serve(text=text, stream=stream, tools=tools, structured=structured, image=image)

"""LlamaIndex's `OpenAILike`, its class for what is no OpenAI but speaks like it."""

from __future__ import annotations

from typing import Any

import kit
from llama_index.core.llms import ChatMessage, ImageBlock, TextBlock
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel


class Person(BaseModel):
    """A person."""

    name: str
    tags: list[str]


def llm(model: str, **more: Any) -> OpenAILike:
    return OpenAILike(
        model=model, api_base=f"{kit.BASE}/v1", api_key=kit.TOKEN, is_chat_model=True, context_window=100_000, **more
    )


def text(model: str) -> dict[str, Any]:
    return {"text": llm(model).chat([ChatMessage(kit.HELLO)]).message.content}


def stream(model: str) -> dict[str, Any]:
    return kit.streamed(chunk.delta for chunk in llm(model).stream_chat([ChatMessage(kit.HELLO)]))


def tools(model: str) -> dict[str, Any]:
    made = kit.Calls()
    asked = llm(model, is_function_calling_model=True)
    functions = [FunctionTool.from_defaults(fn=one) for one in (made.get_weather, made.get_time)]
    question = ChatMessage(kit.QUESTION)
    first = asked.chat_with_tools(functions, chat_history=[question], allow_parallel_tool_calls=True)
    calls = asked.get_tool_calls_from_response(first)
    results = [
        ChatMessage(kit.RESULTS[call.tool_name], role="tool", additional_kwargs={"tool_call_id": call.tool_id})
        for call in calls
    ]
    end = asked.chat_with_tools(functions, chat_history=[question, first.message, *results])
    return {"calls": [[call.tool_name, call.tool_kwargs] for call in calls], "text": end.message.content}


def structured(model: str) -> dict[str, Any]:
    asked = llm(model, should_use_structured_outputs=True).as_structured_llm(Person)
    person: Any = asked.chat([ChatMessage(kit.ABOUT)]).raw
    return {"parsed": person.model_dump()}


def image(model: str) -> dict[str, Any]:
    parts: list[Any] = [TextBlock(text=kit.LOOK), ImageBlock(image=kit.PICTURE, image_mimetype="image/png")]
    return {"text": llm(model).chat([ChatMessage(parts)]).message.content}


kit.serve(text=text, stream=stream, tools=tools, structured=structured, image=image)

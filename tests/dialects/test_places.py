"""A provider's refusal names the place as the client wrote it, whichever dialect that is."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from gateway.core.envelope import unsealed
from gateway.core.places import respelled
from gateway.dialects.anthropic_messages import ANTHROPIC
from gateway.dialects.gemini import GEMINI
from gateway.dialects.openai_chat import OPENAI_CHAT
from gateway.dialects.openai_completions import OPENAI_COMPLETIONS
from gateway.dialects.openai_responses import OPENAI_RESPONSES
from gateway.types import Abilities, Notes, Target, Unsupported

PDF = base64.b64encode(b"PK odd").decode()
WAV = {"data": "UklG", "format": "wav"}
TEXT = {"type": "text", "text": "a"}
PNG = {"type": "image_url", "image_url": {"url": "data:image/tiff;base64,UklG"}}
ZIP = {"type": "file", "file": {"file_data": f"data:application/zip;base64,{PDF}"}}
LINK = {"type": "document", "source": {"type": "url", "url": "https://a.org/a.pdf"}}
CALLED = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
THOUGHT = {"type": "thinking", "thinking": "hm", "signature": "gw1.x"}
USE = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}


def refused(client: Any, provider: Any, body: dict[str, Any], **abilities: Any) -> Unsupported:
    """What the client is told when `provider` cannot take its request."""
    sent = json.dumps(body).encode()
    request = unsealed(client.read_request(sent), lambda text: [])
    with pytest.raises(Unsupported) as caught:
        provider.write_request(request, Target("m", Abilities(**abilities)), Notes())
    told: Unsupported = client.retold(caught.value, sent)
    return told


def chat(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages), **fields}


def claude(*messages: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 9, "messages": list(messages), **fields}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (chat({"role": "system", "content": "s"}, {"role": "user", "content": [TEXT, PNG]}), "messages[1].content[1]"),
        (chat({"role": "user", "content": [{"type": "input_audio", "input_audio": WAV}]}), "messages[0].content[0]"),
        (chat({"role": "user", "content": "a"}, {"role": "assistant", "reasoning_content": "h", "content": "b", "audio": {"id": "x"}}), "messages[1].audio"),
        (chat({"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "audio": {"id": "x"},
               "extra_content": {"google": {"server_blocks": [{"toolCall": {}}]}}}), "messages[1].audio"),
        (chat({"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": CALLED},
              {"role": "tool", "tool_call_id": "c1", "content": [TEXT, ZIP]}), "messages[2].content[1]"),
        (chat({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}), "messages[1]"),
        (chat({"role": "user", "content": "a"}, tools=[{"type": "mcp", "name": "x"}]), "tools[0]"),
        (chat({"role": "user", "content": "a"}, n=2), "n"),
    ],
)  # fmt: skip
def test_a_chat_client_reads_its_own_places(body: dict[str, Any], param: str) -> None:
    assert refused(OPENAI_CHAT, ANTHROPIC, body, prefill=False).param == param


def test_a_signature_that_is_none_is_found_on_its_call() -> None:
    extra = {"google": {"thought_signature": "???"}}
    said = {
        "role": "assistant",
        "reasoning_content": "h",
        "content": "b",
        "tool_calls": [{**CALLED[0], "extra_content": extra}],
    }
    body = chat({"role": "user", "content": "a"}, said, {"role": "tool", "tool_call_id": "c1", "content": "c"})

    told = refused(OPENAI_CHAT, GEMINI, body)
    assert told.param == "messages[1].tool_calls[0].extra_content.google.thought_signature"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (claude({"role": "user", "content": [TEXT, LINK]}), "messages.0.content.1"),
        (claude({"role": "user", "content": [TEXT, LINK]}, system="s"), "messages.0.content.1"),
        (claude({"role": "user", "content": [TEXT, LINK]}, system=[{"type": "text", "text": ""}]), "messages.0.content.1"),
        (claude({"role": "user", "content": [{**LINK, "context": "c"}]}, system=[TEXT]), "messages.0.content.0"),
        (claude({"role": "user", "content": "a"}, {"role": "assistant", "content": [THOUGHT | {"thinking": ""}, USE]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": [TEXT, LINK]}]}),
         "messages.2.content.0.content.1"),
        (claude({"role": "user", "content": "a"}, {"role": "assistant", "content": [TEXT, LINK]}), "messages.1.content.1"),
        (claude({"role": "user", "content": "a"}, tools=[{"type": "web_search_20250305", "name": "web_search"}]), "tools.0"),
    ],
)  # fmt: skip
def test_an_anthropic_client_reads_its_own_places_and_first_of_all(body: dict[str, Any], param: str) -> None:
    told = refused(ANTHROPIC, OPENAI_CHAT, body)

    assert told.param == param
    assert told.message.startswith(f"{param}: ") or told.message.startswith(f"{param} is not")


AUDIO = {"type": "input_audio", "input_audio": WAV}
FILE = {"type": "input_file", "file_id": "file-1"}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "a"}, AUDIO]}]}, "input[0].content[1]"),
        ({"instructions": "i", "input": [{"role": "user", "content": [FILE]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": "a"},
                    {"type": "reasoning", "id": "r", "summary": []},
                    {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "a"}, FILE]}]},
         "input[3].output[1]"),
        ({"input": "a", "tools": [{"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "g"}]},
                                  {"type": "web_search", "external_web_access": False}], "tool_choice": {"type": "web_search"}},
         "tools"),
    ],
)  # fmt: skip
def test_a_responses_client_reads_its_own_places(body: dict[str, Any], param: str) -> None:
    if "tool_choice" in body:
        body = {**body, "tools": body["tools"][1:]} | {"tools": body["tools"]}
    told = refused(OPENAI_RESPONSES, ANTHROPIC, {"model": "m", **body})
    assert told.param == param


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"contents": [{"parts": [{"text": "a"}, {"inlineData": {"mimeType": "audio/wav", "data": "UklG"}}]}]}, "contents[0].parts[1]"),
        ({"systemInstruction": "s", "contents": [{"parts": [{"inlineData": {"mimeType": "audio/wav", "data": "UklG"}}]}]},
         "contents[0].parts[0]"),
        ({"contents": [{"parts": [{"text": "a"}]}, {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
                       {"parts": [{"text": "b"}, {"functionResponse": {"name": "f", "response": {}, "parts": [
                           {"inlineData": {"mimeType": "audio/wav", "data": "UklG"}}]}}]}]}, "contents[2].parts[1].functionResponse"),
        ({"contents": "a", "generationConfig": {"candidateCount": 2}}, "generationConfig.candidateCount"),
        ({"contents": "a", "tools": [{"codeExecution": {}}]}, "tools"),
    ],
)  # fmt: skip
def test_a_gemini_client_reads_its_own_places(body: dict[str, Any], param: str) -> None:
    assert refused(GEMINI, ANTHROPIC, body).param == param


def test_fields_are_named_as_the_client_wrote_them() -> None:
    asked = Unsupported("max_tokens")
    bodies = (
        (OPENAI_CHAT, chat({"role": "user", "content": "a"}, max_completion_tokens=5), "max_completion_tokens"),
        (OPENAI_CHAT, chat({"role": "user", "content": "a"}, max_tokens=5), "max_tokens"),
        (ANTHROPIC, claude({"role": "user", "content": "a"}), "max_tokens"),
        (OPENAI_RESPONSES, {"model": "m", "input": "a"}, "max_output_tokens"),
        (GEMINI, {"contents": "a"}, "generationConfig.maxOutputTokens"),
        (OPENAI_COMPLETIONS, {"model": "m", "prompt": "a"}, "max_tokens"),
    )
    for client, body, name in bodies:
        told = client.retold(asked, json.dumps(body).encode())
        assert told.param == name and told.message.startswith(name)


def test_a_place_beyond_what_the_body_tells_is_never_a_wrong_one() -> None:
    body = json.dumps(chat({"role": "user", "content": "a"})).encode()

    assert OPENAI_CHAT.retold(Unsupported("messages[7].content[0]"), body).param == "messages"
    assert OPENAI_CHAT.retold(Unsupported("messages[0].content[7]"), body).param == "messages[0]"
    assert OPENAI_CHAT.retold(Unsupported("tools[x]"), body).param == "tools[x]"


def test_what_is_left_out_has_the_clients_names_each_once() -> None:
    names = ["reasoning_effort", "thinking", "verbosity", "truncation", "tools.web_search"]

    assert respelled(names, OPENAI_RESPONSES.words) == [
        *("reasoning.effort", "text.verbosity", "truncation", "tools.web_search"),
    ]
    assert respelled(names, OPENAI_CHAT.words) == names
    assert respelled(["top_k", "user"], ANTHROPIC.words) == ["top_k", "metadata.user_id"]
    assert respelled(["top_k", "speechConfig", "labels"], GEMINI.words) == [
        *("generationConfig.topK", "generationConfig.speechConfig", "labels"),
    ]

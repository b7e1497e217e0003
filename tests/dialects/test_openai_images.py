"""Pictures and citations of documents in Chat's own answers, as the official client collects them."""

from __future__ import annotations

import json
from typing import Any

from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

from gateway.dialects.openai_chat import OPENAI_CHAT
from gateway.types import (
    Annotated,
    BlockDone,
    Choice,
    Continue,
    Echo,
    Ended,
    Event,
    Finished,
    Image,
    ImageDone,
    Opaque,
    Part,
    Paused,
    Reply,
    Text,
    TextDelta,
    VendorBlock,
)

ECHO = Echo(id="0" * 24, model="m", created=7)
PICTURES = [Image(media_type="image/png", data="aGk="), Image(url="https://x/y.png")]
SOURCE = {"type": "char_location", "cited_text": "c", "document_index": 0}
WEB = {"type": "web_search_result_location", "url": "https://x"}


def cited(*citations: dict[str, Any]) -> VendorBlock:
    return VendorBlock(Opaque("anthropic", "text", {"type": "text", "text": "t", "citations": list(citations)}))


def collected(*events: Event) -> Any:
    """The message that the official client makes of the stream."""
    state: Any = ChatCompletionStreamState()
    text = OPENAI_CHAT.writer(ECHO).write([*events, Finished("stop"), Ended()]).decode()
    for frame in text.split("\n\n")[:-2]:
        state.handle_chunk(ChatCompletionChunk.model_validate_json(frame.removeprefix("data: ")))
    return state.get_final_completion().choices[0].message


def message(*parts: Part) -> dict[str, Any]:
    reply = OPENAI_CHAT.write_reply(Reply("r", "m", [Choice(list(parts), "stop")], None), ECHO)
    whole: dict[str, Any] = json.loads(reply)["choices"][0]["message"]
    return whole


def test_pictures_are_numbered_in_streams_as_in_whole_answers() -> None:
    whole = message(Text("Look: "), *PICTURES)
    streamed = collected(TextDelta("Look: "), *map(ImageDone, PICTURES))

    assert [image["image_url"]["url"] for image in whole["images"]] == ["data:image/png;base64,aGk=", "https://x/y.png"]
    assert streamed.images == whole["images"]
    assert streamed.content == whole["content"] == "Look: "


def test_a_picture_alone_has_no_text() -> None:
    assert message(PICTURES[0])["content"] is None


def test_citations_of_documents_are_numbered_through_the_whole_stream() -> None:
    blocks = [
        cited(SOURCE, WEB),
        cited(SOURCE),
        cited(WEB),
        VendorBlock(Opaque("anthropic", "server_block", {"type": "x"})),
    ]
    streamed = collected(TextDelta("t"), *map(BlockDone, blocks))

    found = streamed.extra_content["anthropic"]["citations"]
    assert [{**citation, "index": 0} for citation in found] == [{"index": 0, **SOURCE}] * 2
    assert [citation["index"] for citation in found] == [0, 1]
    texts = [Text("t", opaque=block.opaque) for block in blocks[:3]]
    assert message(*texts)["extra_content"] == {"anthropic": {"citations": [SOURCE, SOURCE]}}


def test_annotations_that_come_in_two_parts_are_both_kept() -> None:
    note = {
        "type": "url_citation",
        "url_citation": {"url": "https://x", "title": "X", "start_index": 0, "end_index": 1},
    }

    assert len(collected(TextDelta("t"), Annotated([note]), Annotated([note])).annotations) == 2


def test_a_pause_says_nothing_to_the_client() -> None:
    assert OPENAI_CHAT.writer(ECHO).write([Paused(Continue(b"{}", [], None))]) == b""

"""Which of OpenAI's two APIs a call goes to. Rule: Chat, unless what the request holds or asks for is had on the other one only.

Source: the deployment checklist of OpenAI's documentation (function tools and reasoning effort by model); what a model takes is
data (config/models.yaml). Compatible servers speak Chat.
"""

from __future__ import annotations

from gateway.dialects.openai_effort import effort_of
from gateway.types import Abilities, Document, Message, Notes, Part, Reasoning, Request, ToolResult


def needs_responses(request: Request, abilities: Abilities) -> bool:
    """Whether `request` goes to /v1/responses: for its tools, for thoughts that only that API shows and takes back, or for
    documents that only it fetches."""
    if _replays_thoughts(request) or any(_names_a_document(message) for message in request.messages):
        return True
    # Where nobody says how much to think the model thinks.
    effort = effort_of(request, abilities, Notes()) or abilities.default_effort
    if _wants_thoughts(request) and abilities.reasoning and effort != "none" and request.n == 1:
        return True
    if not request.tools:
        return False
    return abilities.requires_responses or (abilities.chat_tools_effort_none and effort != "none")


def _wants_thoughts(request: Request) -> bool:
    """Anthropic's clients ask with `thinking`, Gemini's with `includeThoughts`; those of Chat know them as no part of OpenAI's API."""
    thinks = request.thinking is not None and request.thinking.get("type") in ("adaptive", "enabled")
    return thinks or request.show_thoughts is True


def _names_a_document(message: Message) -> bool:
    shown: list[Part] = [*message.parts]
    for part in message.parts:
        if isinstance(part, ToolResult):
            shown += part.parts
    return any(isinstance(part, Document) and part.url != "" for part in shown)


def _replays_thoughts(request: Request) -> bool:
    return any(
        isinstance(part, Reasoning) and part.opaque is not None and part.opaque.vendor == "openai"
        for message in request.messages
        for part in message.parts
    )

"""Which of OpenAI's two APIs a call goes to. Rule: Chat, unless the model takes what the request holds on the other one only.

Source: the deployment checklist of OpenAI's documentation (function tools and reasoning effort by model); what a model takes is
data (config/models.yaml). Compatible servers speak Chat.
"""

from __future__ import annotations

from gateway.dialects.openai_effort import effort_of
from gateway.types import Abilities, Notes, Reasoning, Request


def needs_responses(request: Request, abilities: Abilities) -> bool:
    """Whether `request` goes to /v1/responses: for its tools, or because it replays thoughts that only that API takes back."""
    if _replays_thoughts(request):
        return True
    if not request.tools:
        return False
    if abilities.requires_responses:
        return True
    # Where nobody says how much to think the model thinks: only an effort of none keeps tools on Chat.
    effort = effort_of(request, abilities, Notes()) or abilities.default_effort
    return abilities.chat_tools_effort_none and effort != "none"


def _replays_thoughts(request: Request) -> bool:
    return any(
        isinstance(part, Reasoning) and part.opaque is not None and part.opaque.vendor == "openai"
        for message in request.messages
        for part in message.parts
    )

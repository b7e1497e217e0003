"""Servers that speak OpenAI's Chat API under their own address: a row in gateway.yaml, not a file here."""

from __future__ import annotations

from gateway.dialects.openai_chat import COMPATIBLE_CHAT, OPENAI_CHAT
from gateway.dialects.openai_responses import OPENAI_RESPONSES
from gateway.providers.openai import OpenAI
from gateway.types import Abilities, ProviderHalf, Request, Target, Written


class Compatible(OpenAI):
    """As OpenAI, at the configured base_url. Model names are what the operator lists: no spelling belongs to it."""

    type = "openai_compatible"
    base_url = ""

    def half(self, client: str) -> ProviderHalf | None:
        """Chat, which all of them speak; embeddings and moderations where the server has them."""
        half = OPENAI_CHAT if client == OPENAI_RESPONSES.name else super().half(client)
        return COMPATIBLE_CHAT if half is OPENAI_CHAT else half

    def looks(self, client: str, abilities: Abilities) -> tuple[bytes, ...]:
        return ()

    def count(self, request: Request, target: Target) -> tuple[str, Written] | None:
        return None

    def family(self, model: str) -> bool:
        return False

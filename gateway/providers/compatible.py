"""Servers that speak OpenAI's Chat API under their own address: a row in gateway.yaml, not a file here."""

from __future__ import annotations

from gateway.providers.openai import OpenAI


class Compatible(OpenAI):
    """As OpenAI, at the configured base_url. Model names are what the operator lists: no spelling belongs to it."""

    type = "openai_compatible"
    base_url = ""

    def family(self, model: str) -> bool:
        return False

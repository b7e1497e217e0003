"""Vendors by the `type` of a provider in gateway.yaml."""

from __future__ import annotations

from gateway.providers.anthropic import AnthropicVendor
from gateway.providers.compatible import Compatible
from gateway.providers.gemini import GeminiVendor
from gateway.providers.openai import OpenAI
from gateway.types import Vendor

PROVIDERS: dict[str, Vendor] = {
    "openai": OpenAI(),
    "anthropic": AnthropicVendor(),
    "gemini": GeminiVendor(),
    "openai_compatible": Compatible(),
}

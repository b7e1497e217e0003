"""Credentials in every spelling, on every surface; a key in the URL stays out of the log; none of them travels upstream."""

from __future__ import annotations

import pytest
from e2e_stack import Stack
from e2e_surfaces import CHAT, GEMINI, GEMINI_ARRAY, MESSAGES, MODELS, NATIVE, RESPONSES, Surface
from msgspec import json

WAYS = ("authorization", "x-api-key", "x-goog-api-key", "api-key", "?key=", "empty x-api-key", "bad x-api-key")
PROVIDER = {"openai": "openai", "anthropic": "anthropic", "gemini": "gemini", "": "openai"}


def credentials(way: str, token: str) -> tuple[dict[str, str], str]:
    """Headers and query."""
    match way:
        case "authorization":
            return {"authorization": f"Bearer {token}"}, ""
        case "?key=":
            return {}, f"key={token}"
        case "empty x-api-key":
            return {"x-api-key": "", "authorization": f"Bearer {token}"}, ""
        case "bad x-api-key":
            return {"x-api-key": "sk-of-another-time", "authorization": f"Bearer {token}"}, ""
    return {way: token}, ""


@pytest.mark.parametrize("surface", [CHAT, RESPONSES, MESSAGES, GEMINI, GEMINI_ARRAY, NATIVE], ids=str)
async def test_every_spelling_is_understood_and_none_is_passed_on(stack: Stack, surface: Surface) -> None:
    token = stack.token()
    model = MODELS[PROVIDER[surface.dialect]]
    for way in WAYS:
        for stream in (False, True):
            headers, query = credentials(way, token)
            path = surface.path(model, stream)
            url = stack.base() + path + ("&" if "?" in path else "?" if query else "") + query
            body = json.encode(surface.body(model, "Hello", stream))
            more = {"cookie": "session=mine", "content-type": "application/json", "openai-organization": "org-mine"}
            async with stack.session.post(url, data=body, headers=headers | more) as answer:
                assert answer.status == 200, (way, await answer.text())
    for row in await stack.sim("requests"):
        sent = str(row["headers"]) + str(row["query"])
        assert token not in sent and "mine" not in sent and "another-time" not in sent, row
    assert token not in stack.log_text()


async def test_a_key_in_the_url_is_in_no_line_of_the_log_even_when_it_is_refused(stack: Stack) -> None:
    for path in ("/v1beta/models?key=secret-1234", "/v1beta/nothing?key=secret-1234"):
        async with stack.session.get(stack.base() + path) as answer:
            assert answer.status in (401, 404)
            assert "secret-1234" not in await answer.text()
    assert "secret-1234" not in stack.log_text()

"""A reload changes what was changed, for everybody and at once, and forgets nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from e2e_heard import breaker, seen
from e2e_script import Say, Scripted, http, scripted
from e2e_stack import Stack, Start
from e2e_tools import error_of, serving, until
from msgspec import structs

from gateway.settings import Config, JwtKey, Limits, Tenant


async def reload(stack: Stack, **sections: Any) -> Config:
    """Swap to the running configuration with these sections in place of its own."""
    config = structs.replace(stack.gateway.config, **sections)
    await stack.gateway.reload(config)
    return config


def tenant(stack: Stack, name: str, **more: Any) -> dict[str, Tenant]:
    """The tenants of the running configuration, one of them changed."""
    tenants = stack.gateway.config.tenants
    return {**tenants, name: structs.replace(tenants[name], **more)}


async def metrics(stack: Stack) -> list[str]:
    async with stack.session.get(f"{stack.origin}/metrics") as answer:
        return (await answer.text()).splitlines()


# ------------------------------------------------------------ limits


async def test_lower_limits_count_the_calls_that_already_run(stack: Stack) -> None:
    await stack.fault("openai", "slow_first_byte", delay_s=0.5, times=2)
    running = [asyncio.create_task(stack.chat()) for _ in range(2)]
    await until(lambda: len(seen(stack, "openai")) == 2)
    await reload(stack, tenants=tenant(stack, "acme", limits=Limits(concurrency=2)))
    await error_of(await stack.chat(), 429, "concurrency_exceeded")
    await asyncio.gather(*running)
    assert (await stack.chat()).status == 200


async def test_new_limits_hold_on_connections_that_are_kept(stack: Stack) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as stack.session:
        assert (await stack.chat()).status == 200
        await reload(stack, tenants=tenant(stack, "acme", limits=Limits(requests_per_minute=1)))
        assert (await stack.chat()).status == 200
        await error_of(await stack.chat(), 429, "rate_limit_exceeded")
        await reload(stack, tenants=tenant(stack, "acme", limits=Limits()))
        assert (await stack.chat()).status == 200


async def test_a_tenant_that_is_gone_is_gone_on_kept_connections_too(start_stack: Start) -> None:
    stack = await start_stack({"tenants": {"default": {"allow_unlisted": False}}})
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as stack.session:
        assert (await stack.chat()).status == 200
        await reload(stack, tenants={"default": Tenant()})
        await error_of(await stack.chat(), 403, "tenant_forbidden")


# ------------------------------------------------------------ keys of an issuer


async def test_keys_that_were_fetched_outlive_a_reload_though_their_issuer_is_away(start_stack: Start) -> None:
    fetched = []

    async def keys(request: web.Request) -> web.StreamResponse:
        fetched.append(request.path)
        return web.json_response({"keys": []})

    async with serving({"/keys": keys}) as origin:
        issuer = {"algorithm": "RS256", "jwks_url": f"{origin}/keys"}
        stack = await start_stack()
        auth = structs.replace(stack.gateway.config.auth, jwt=[*stack.gateway.config.auth.jwt, JwtKey(**issuer)])
        await reload(stack, auth=auth)
        await stack.gateway._jwks[f"{origin}/keys"].refresh()
        before = stack.gateway._jwks
        await reload(stack, limits=Limits(concurrency=5))
        await reload(stack, auth=structs.replace(auth, user_claim="name"))
        assert stack.gateway._jwks == before
        assert fetched == ["/keys"]


async def test_who_waits_for_keys_is_answered_though_a_reload_takes_their_issuer_away(start_stack: Start) -> None:
    asked = asyncio.Event()

    async def keys(request: web.Request) -> web.StreamResponse:
        asked.set()
        await asyncio.sleep(2)
        return web.json_response({"keys": []})

    async with serving({"/keys": keys}) as origin:
        stack = await start_stack()
        own = stack.gateway.config.auth
        await reload(stack, auth=structs.replace(own, jwt=[JwtKey(algorithm="RS256", jwks_url=f"{origin}/keys")]))
        forged = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ.eyJ0ZW5hbnQiOiJhY21lIn0.c2lnbmF0dXJl"
        url, headers = stack.base() + "/chat/completions", {"authorization": f"Bearer {forged}"}
        waiting = asyncio.create_task(stack.session.post(url, json={"messages": []}, headers=headers))
        await asked.wait()
        await reload(stack, auth=own)
        answer = await asyncio.wait_for(waiting, 1)
        await error_of(answer, 401, "invalid_api_key")


# ------------------------------------------------------------ providers


async def test_another_retry_budget_holds_from_the_reload_on(start_stack: Start) -> None:
    stack = await start_stack({"tenants": {"acme": {"providers": ["openai"]}}})
    await stack.fault("openai", "status", status=500)
    await stack.chat()
    assert len(seen(stack, "openai")) == 2
    await reload(stack, fallback=structs.replace(stack.gateway.config.fallback, retry_budget_percent=0))
    assert (await breaker(stack))["consecutiveFailures"] == 2, "what is known of the provider stays known"
    await stack.chat()
    assert len(seen(stack, "openai")) == 3


async def test_a_key_that_was_refused_stays_so_though_a_shorter_wait_is_asked_for_after(start_stack: Start) -> None:
    answers = iter(
        [http(401, {"error": {"message": "no"}}), http(429, {"error": {"message": "busy"}}, "retry-after: 0.1")]
    )
    both = asyncio.Event()

    async def two_answers(upstream: Scripted, say: Say) -> None:
        if len(upstream.heads) == 2:
            both.set()
        await both.wait()
        await asyncio.sleep(0.02 * len(upstream.bodies))
        await say(next(answers))

    async with scripted(two_answers) as upstream:
        stack = await start_stack({"providers": {"own": upstream.provider()}, "fallback": {"enabled": False}})
        await asyncio.gather(*(stack.chat(model="own/m") for _ in range(2)))
        await error_of(await stack.chat(model="own/m"), 502, "upstream_auth")


# ------------------------------------------------------------ labels and lines


async def test_names_that_a_reload_brought_are_labels_from_then_on(stack: Stack) -> None:
    for _ in range(2):
        await stack.chat(model="gpt-4.1")
        provider = stack.gateway.config.providers["openai"]
        providers = {
            **stack.gateway.config.providers,
            "openai": structs.replace(provider, models={"gpt-4.1": "gpt-4.1"}),
        }
        await reload(stack, providers=providers)
    counted = [
        line for line in await metrics(stack) if line.startswith("gateway_requests_total{") and "/chat" not in line
    ]
    assert any('model="other"' in line and line.endswith(" 1.0") for line in counted), counted
    assert any('model="gpt-4.1"' in line and line.endswith(" 1.0") for line in counted), counted


@pytest.mark.parametrize(("level", "kept"), [("error", 0), ("info", 1)])
async def test_another_log_level_holds_from_the_reload_on(stack: Stack, level: str, kept: int) -> None:
    await reload(stack, log=structs.replace(stack.gateway.config.log, level=level))
    before = len(stack.log_lines())
    await stack.chat()
    assert len(stack.log_lines()) - before == kept


async def test_text_instead_of_json_begins_with_the_reload(stack: Stack) -> None:
    await reload(stack, log=structs.replace(stack.gateway.config.log, format="text"))
    await stack.chat()
    stack.gateway.log.flush()
    await until(lambda: b" 200 POST /api/v1/acme/ai/chat/completions openai/gpt-5.4 " in stack._log.getvalue())

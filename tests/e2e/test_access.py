"""Who may call what: credentials in all their spellings, tenants that never cross, and the doors that stand open."""

from __future__ import annotations

import time
from hashlib import sha256
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from e2e_stack import SECRET, Stack, Start
from e2e_tools import error_of, send_raw, serving
from msgspec import json
from yarl import URL

from gateway.web.surfaces import SOCKETS, UNDER_BASE, Route

BODY = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]}
TENANTS = ["acme", "globex", "initech"]  # the last one is not listed, and served as `default`


def signed(key: Any, algorithm: str = "HS256", header: dict[str, Any] | None = None, **changes: Any) -> str:
    """A token for acme's ada, changed; None takes a claim out."""
    now = int(time.time())
    claims = {"tenant": "acme", "sub": "ada", "roles": ["user"], "iat": now, "exp": now + 600} | changes
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, key, algorithm, headers=header)


def pem(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


async def ask(stack: Stack, headers: dict[str, str] | None = None, tenant: str = "acme") -> aiohttp.ClientResponse:
    url = URL(stack.base(tenant) + "/chat/completions", encoded=True)
    async with stack.session.post(url, json=BODY, headers=headers) as answer:
        await answer.read()
        return answer


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


# ---------------------------------------------------------------- spellings


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "x-goog-api-key", "api-key", "?key="])
async def test_a_credential_is_read_wherever_clients_put_it(stack: Stack, name: str) -> None:
    token = stack.token()
    for path in ("/chat/completions", "/v1/chat/completions", "/chat"):
        url = stack.base() + path + (f"?key={token}" if name == "?key=" else "")
        value = f"Bearer {token}" if name == "authorization" else token
        headers = {} if name == "?key=" else {name: value}
        async with stack.session.post(url, json=BODY, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
    assert {line["user"] for line in stack.log_lines() if line["event"] == "request"} == {"tester"}
    assert token not in stack.log_text()


async def test_a_valid_credential_wins_over_a_stale_one_beside_it(stack: Stack) -> None:
    both = {"authorization": "Bearer sk-ant-somebody-elses", "x-api-key": stack.token()}
    assert (await ask(stack, both)).status == 200
    assert (await ask(stack, {"authorization": f"bearer {stack.token()}"})).status == 200


# ---------------------------------------------------------------- 401


def forgeries() -> dict[str, str]:
    now, other = int(time.time()), "another secret, as long as the true one is"
    header, payload, signature = signed(SECRET).split(".")
    return {
        "nothing": "",
        "an unknown key": "sk-1234567890",
        "no token at all": "a.b.c",
        "another key": signed(other),
        "expired": signed(SECRET, exp=now - 60),
        "not yet valid": signed(SECRET, nbf=now + 600),
        "without an end": signed(SECRET, exp=None),
        "without a tenant": signed(SECRET, tenant=None),
        "no algorithm": signed("", "none"),
        "another algorithm": signed(SECRET, "HS512"),
        "its signature cut off": f"{header}.{payload}.",
        "its signature cut short": f"{header}.{payload}.{signature[:-4]}",
        "a tenant that is a path": signed(SECRET, tenant="../globex"),
    }


@pytest.mark.parametrize("how", sorted(forgeries()))
async def test_who_has_no_valid_credential_is_told_so_in_json(stack: Stack, how: str) -> None:
    token = forgeries()[how]
    error = await error_of(await ask(stack, bearer(token) if token else None), 401, "invalid_api_key")
    assert error["type"] == "authentication_error"
    assert not token or token not in error["message"]
    assert await stack.sim("requests") == []


async def test_the_body_of_a_stranger_is_not_waited_for(stack: Stack) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9999999\r\n\r\n"
    answer = await send_raw(stack.port, head, within_s=2)
    assert b" 401 " in answer.split(b"\r\n")[0]
    assert b"invalid_api_key" in answer


# ---------------------------------------------------------------- tenants


@pytest.mark.parametrize("unlisted", [True, False])
async def test_unknown_and_forbidden_tenants_are_told_apart_by_nobody(start_stack: Start, unlisted: bool) -> None:
    stack = await start_stack({"tenants": {"default": {"allow_unlisted": unlisted}}})
    headers = bearer(stack.token("acme")) | {"x-request-id": "the-same"}
    seen = set()
    for tenant in ("globex", "no-such-tenant", "default", "%2e%2e", "acme%00", "ACME"):
        answer = await ask(stack, headers, tenant)
        await error_of(answer, 403, "tenant_forbidden")
        kept = tuple(sorted((k, v) for k, v in answer.headers.items() if k.lower() != "date"))
        seen.add((answer.status, await answer.text(), kept))
    assert len(seen) == 1
    assert await stack.sim("requests") == []


async def test_an_unlisted_tenant_is_served_only_where_the_operator_lets_it_in(start_stack: Start) -> None:
    closed = await start_stack({"tenants": {"default": {"allow_unlisted": False}}})
    answer = await ask(closed, bearer(closed.token("initech")), "initech")
    await error_of(answer, 403, "tenant_forbidden")
    open_to_all = await start_stack()
    assert (await ask(open_to_all, bearer(open_to_all.token("initech")), "initech")).status == 200


async def test_at_the_bare_root_the_credential_names_the_tenant(stack: Stack) -> None:
    for tenant in ("acme", "globex"):
        headers = bearer(stack.token(tenant))
        async with stack.session.post(stack.origin + "/v1/chat/completions", json=BODY, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
        async with stack.session.get(stack.origin + "/v1/quotas", headers=headers) as answer:
            assert (await answer.json())["tenant"] == tenant
    lines = [line for line in stack.log_lines() if line.get("path") == "/v1/chat/completions"]
    assert [line["tenant"] for line in lines] == ["acme", "globex"]


async def test_a_token_for_several_tenants_acts_for_each_and_must_say_for_which(stack: Stack) -> None:
    headers = bearer(stack.token(["acme", "globex"]))
    for tenant in ("acme", "globex"):
        assert (await ask(stack, headers, tenant)).status == 200
    await error_of(await ask(stack, headers, "initech"), 403, "tenant_forbidden")
    async with stack.session.post(stack.origin + "/v1/chat/completions", json=BODY, headers=headers) as answer:
        error = await error_of(answer, 400, "invalid_request")
    assert error["param"] == "tenant"
    used = {tenant: (await stack.get("/quotas", tenant))["accounts"][0]["used"] for tenant in ("acme", "globex")}
    assert used["acme"] == used["globex"] > 0


def filled(route: Route) -> str:
    return route.pattern.replace("{id}", "gpt-5.4")


async def knock(stack: Stack, route: Route, tenant: str, headers: dict[str, str]) -> tuple[int, str]:
    """Status and text of a route of a tenant. A socket's refusal is its close code, told as a status."""
    url = stack.base(tenant) + filled(route)
    if route in SOCKETS:
        async with stack.session.ws_connect(url, headers=headers) as socket:
            if not headers:
                await socket.send_json({"event": "auth", "data": {"token": ""}})
            else:
                await socket.send_json({"event": "ping"})
            await socket.receive(timeout=5)
            return {4401: 401, 4403: 403, None: 200}[socket.close_code], ""
    async with stack.session.request(route.method, url, json=BODY, headers=headers) as answer:
        return answer.status, await answer.text()


def forbidden(route: Route, body: dict[str, Any]) -> bool:
    """Whether a refusal says, in its surface's own shape, that the tenant is closed to the caller."""
    error = body["error"]
    if route.shape == "anthropic":
        return bool(error["type"] == "permission_error" and error["details"]["error_code"] == "tenant_forbidden")
    if route.shape == "gemini":
        return bool(error["status"] == "PERMISSION_DENIED")
    return bool(error["code"] == "tenant_forbidden")


async def test_no_route_lets_one_tenant_into_another(stack: Stack) -> None:
    crossings, served = [], 0
    for route in (*UNDER_BASE, *SOCKETS):
        assert (await knock(stack, route, "acme", {}))[0] == 401, route
        for mine in TENANTS:
            headers = stack.headers(mine, "admin")
            for theirs in TENANTS:
                status, text = await knock(stack, route, theirs, headers)
                if mine == theirs:
                    served += status not in (401, 403, 500)
                elif status != 403 or (text and not forbidden(route, json.decode(text))):
                    crossings.append((route.pattern, mine, theirs, status))
    assert crossings == []
    assert served == len(TENANTS) * len((*UNDER_BASE, *SOCKETS))


# ---------------------------------------------------------------- roles and open doors


async def test_what_is_the_operators_needs_the_role_admin(start_stack: Start) -> None:
    stack = await start_stack({"admin": {"metrics_public": False}})
    for method, url in (("POST", stack.base() + "/quotas/reset"), ("GET", stack.origin + "/metrics")):
        async with stack.session.request(method, url) as answer:
            await error_of(answer, 401, "invalid_api_key")
        async with stack.session.request(method, url, headers=stack.headers(role="user")) as answer:
            await error_of(answer, 403, "admin_required")
        async with stack.session.request(method, url, headers=stack.headers(role="admin")) as answer:
            assert answer.status == 200


async def test_only_the_probes_are_open_and_metrics_where_the_operator_says_so(stack: Stack) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        for method in ("GET", "HEAD"):
            async with stack.session.request(method, stack.origin + path) as answer:
                assert answer.status == 200, (method, path)
    assert await stack.sim("requests") == []


# ---------------------------------------------------------------- keys and issuers


async def test_an_api_key_is_known_by_its_hash_alone(start_stack: Start) -> None:
    key, both = "gw-0123456789-canary", "gw-for-two-tenants"
    rows = [
        {"sha256": sha256(key.encode()).hexdigest(), "tenant": "acme", "name": "ci", "roles": ["admin"]},
        {"sha256": sha256(both.encode()).hexdigest(), "tenant": ["acme", "globex"], "name": "two"},
    ]
    stack = await start_stack({"auth": {"api_keys": rows}})
    assert (await ask(stack, bearer(key))).status == 200
    assert (await ask(stack, {"x-api-key": both}, "globex")).status == 200
    await error_of(await ask(stack, bearer(key), "globex"), 403, "tenant_forbidden")
    await error_of(await ask(stack, bearer(rows[0]["sha256"])), 401, "invalid_api_key")
    async with stack.session.post(stack.base() + "/quotas/reset", headers=bearer(key)) as answer:
        assert answer.status == 200
    async with stack.session.post(stack.base() + "/quotas/reset", headers=bearer(both)) as answer:
        await error_of(answer, 403, "admin_required")
    assert [line["key"] for line in stack.log_lines() if line.get("provider")] == ["ci", "two"]
    assert "canary" not in stack.log_text()


async def test_tokens_of_an_issuer_are_checked_with_its_published_keys(start_stack: Start) -> None:
    first, second = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    published, fetches = {"old": first}, []

    async def keys(request: web.Request) -> web.Response:
        fetches.append(request.path)
        rows = [jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) for key in published.values()]
        marked = [row | {"kid": kid, "use": "sig"} for row, kid in zip(rows, published, strict=True)]
        return web.json_response({"keys": marked})

    async with serving({"/keys": keys}) as issuer:
        way = {"algorithm": "RS256", "jwks_url": f"{issuer}/keys", "issuer": "https://idp", "audience": "gateway"}
        stack = await start_stack({"auth": {"jwt": [way]}})

        def token(key: Any, kid: str, **changes: Any) -> dict[str, str]:
            claims = {"iss": "https://idp", "aud": "gateway"} | changes
            return bearer(signed(key, "RS256", {"kid": kid}, **claims))

        assert (await ask(stack, token(first, "old"))).status == 200
        assert (await ask(stack, token(first, "old", sub="bob"))).status == 200
        assert len(fetches) == 1
        for bad in (token(second, "old"), token(first, "old", iss="https://evil"), token(first, "old", aud="mail")):
            await error_of(await ask(stack, bad), 401, "invalid_api_key")
        # HS256 with the issuer's public key as the secret: the classic confusion of algorithms.
        forged = signed_with_public_key(first)
        await error_of(await ask(stack, bearer(forged)), 401, "invalid_api_key")


def signed_with_public_key(key: Any) -> str:
    """What PyJWT refuses to make: HMAC keyed with a PEM."""
    algorithm = jwt.get_algorithm_by_name("HS256")
    head, payload, _ = signed(SECRET, iss="https://idp", aud="gateway").split(".")
    signature = algorithm.sign(f"{head}.{payload}".encode(), pem(key).encode())
    return f"{head}.{payload}.{jwt.utils.base64url_encode(signature).decode()}"


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
async def test_tokens_are_checked_with_a_public_key_of_the_configuration(start_stack: Start, algorithm: str) -> None:
    def make() -> Any:
        return ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else ed25519.Ed25519PrivateKey.generate()

    mine, other = make(), make()
    stack = await start_stack({"auth": {"jwt": [{"algorithm": algorithm, "public_key": pem(mine)}]}})
    assert (await ask(stack, bearer(signed(mine, algorithm)))).status == 200
    await error_of(await ask(stack, bearer(signed(other, algorithm))), 401, "invalid_api_key")
    await error_of(await ask(stack, bearer(signed(SECRET))), 401, "invalid_api_key")

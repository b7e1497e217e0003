"""Key sets: read from an issuer on loopback, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import jwt
import pytest
from aiohttp import web
from auth_tokens import EC, ED, NOW, OTHER_RSA, RSA, SECRET, good
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidApiKey
from gateway.settings import Auth, JwtKey, Secret
from gateway.web import jwks as module
from gateway.web.auth import Authenticator, Principal
from gateway.web.jwks import FetchFailed, Jwks, fits, open_jwks, read_keys, url_problem

READERS = {"RS": jwt.algorithms.RSAAlgorithm, "ES": jwt.algorithms.ECAlgorithm, "Ed": jwt.algorithms.OKPAlgorithm}


def jwk(key: Any, kid: str | None = "one", algorithm: str = "RS256", **more: Any) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(READERS[algorithm[:2]].to_jwk(key.public_key()))
    written.pop("key_ops", None)
    return written | {"use": "sig", "alg": algorithm} | ({"kid": kid} if kid else {}) | more


def key_set(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


class Issuer:
    """What the identity provider answers, how often it was asked, and the gateway's clock."""

    def __init__(self) -> None:
        self.body = key_set(jwk(RSA))
        self.status = 200
        self.headers: dict[str, str] = {}
        self.fetches = 0
        self.asked = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.now = 0.0
        self.reports: list[str] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.fetches += 1
        self.asked.set()
        await self.open.wait()
        return web.Response(body=self.body, status=self.status, headers=self.headers)

    def jwks(self) -> Jwks:
        return Jwks(self.url, clock=lambda: self.now, report=self.reports.append)

    def gate(self, algorithm: str = "RS256", jwks: Jwks | None = None) -> Authenticator:
        entries = [JwtKey(algorithm=algorithm, jwks_url=self.url), JwtKey(algorithm="HS256", secret=Secret(SECRET))]
        return Authenticator(Auth(jwt=entries), {self.url: jwks or self.jwks()})


@pytest.fixture
async def issuer(aiohttp_server):
    issuer = Issuer()
    app = web.Application()
    app.router.add_get("/keys", issuer.answer)
    server = await aiohttp_server(app)
    issuer.url = str(server.make_url("/keys"))
    yield issuer
    issuer.open.set()


async def enter(gate: Authenticator, token: str, at: float = NOW) -> Principal:
    get = {"authorization": f"Bearer {token}"}.get
    return gate.authenticate(get, None, at) or await gate.authenticate_slow(get, None, at)


async def refused(gate: Authenticator, token: str, at: float = NOW) -> None:
    with pytest.raises(InvalidApiKey):
        await enter(gate, token, at)


def by(key: Any, kid: str | None = "one", algorithm: str = "RS256", **changes: Any) -> str:
    return good(algorithm, header={"kid": kid} if kid else {}, key=key, **changes)


# ---------------------------------------------------------------- fetching


async def test_the_first_token_fetches_the_keys_and_later_ones_do_not(issuer):
    gate = issuer.gate()
    for user in ("ada", "bob", "eve"):
        assert (await enter(gate, by(RSA, sub=user))).user == user
    assert issuer.fetches == 1


@pytest.mark.parametrize(("algorithm", "key"), [("RS256", RSA), ("ES256", EC), ("EdDSA", ED)])
async def test_keys_of_each_kind_verify(issuer, algorithm, key):
    issuer.body = key_set(jwk(OTHER_RSA, "rsa"), jwk(key, "mine", algorithm))
    assert await enter(issuer.gate(algorithm), by(key, "mine", algorithm))


async def test_a_token_without_a_key_id_is_tried_with_the_keys_that_fit(issuer):
    issuer.body = key_set(jwk(EC, "ec", "ES256"), jwk(OTHER_RSA, "old"), jwk(RSA, "new"))
    assert await enter(issuer.gate(), by(RSA, kid=None))


async def test_the_key_id_chooses_and_the_other_keys_do_not_help(issuer):
    issuer.body = key_set(jwk(OTHER_RSA, "old"), jwk(RSA, "new"))
    await refused(issuer.gate(), by(RSA, "old"))


async def test_no_request_is_made_until_a_token_needs_it(issuer):
    gate = issuer.gate()
    assert (await enter(gate, good("HS256"))).user == "ada"
    await refused(gate, "no-token")
    await refused(gate, good("ES256"))
    assert issuer.fetches == 0


async def test_keys_are_fetched_again_when_they_are_five_minutes_old_and_one_that_is_gone_no_longer_counts(issuer):
    gate = issuer.gate()
    await enter(gate, by(RSA))
    issuer.body = key_set(jwk(OTHER_RSA, "two"))
    issuer.now = 299
    assert await enter(gate, by(RSA, sub="in time"))
    issuer.now = 301
    await refused(gate, by(RSA, sub="too late"))
    assert issuer.fetches == 2


async def test_a_withdrawn_key_takes_its_tokens_with_it_even_those_already_seen(issuer):
    gate, token = issuer.gate(), by(RSA, exp=int(NOW) + 86_400)
    await enter(gate, token)
    issuer.body = key_set(jwk(OTHER_RSA, "two"))
    issuer.now = 301.0
    await refused(gate, token, at=NOW + 301)


async def test_a_new_key_is_found_at_once_when_the_issuer_rotates(issuer):
    gate = issuer.gate()
    await enter(gate, by(RSA))
    issuer.body = key_set(jwk(RSA), jwk(OTHER_RSA, "two"))
    issuer.now = 31
    assert await enter(gate, by(OTHER_RSA, "two"))
    assert issuer.fetches == 2


async def test_a_storm_of_made_up_key_ids_costs_one_fetch_in_thirty_seconds(issuer):
    gate = issuer.gate()
    for second in range(60):
        issuer.now = float(second)
        await asyncio.gather(*(refused(gate, by(OTHER_RSA, f"made-up-{second}-{n}")) for n in range(3)))
    assert issuer.fetches == 2


async def test_a_storm_of_forged_signatures_under_a_true_key_id_costs_no_fetch(issuer):
    gate = issuer.gate()
    await enter(gate, by(RSA))
    for second in range(31, 60):
        issuer.now = float(second)
        await refused(gate, by(OTHER_RSA, "one"))
    assert issuer.fetches == 1


async def test_all_who_wait_share_one_fetch(issuer):
    gate = issuer.gate()
    assert len(await asyncio.gather(*(enter(gate, by(RSA, sub=f"user-{n}")) for n in range(20)))) == 20
    assert issuer.fetches == 1


async def test_who_asks_for_a_refresh_just_after_one_gets_none(issuer):
    jwks = issuer.jwks()
    await jwks.refresh()
    issuer.now = 29.0
    await jwks.refresh()
    assert issuer.fetches == 1
    issuer.now = 30.0
    await jwks.refresh()
    assert issuer.fetches == 2


async def test_while_the_issuer_is_slow_everybody_else_is_served(issuer):
    gate = issuer.gate()
    issuer.open.clear()
    waiting = asyncio.create_task(enter(gate, by(RSA)))
    await issuer.asked.wait()
    get = {"authorization": f"Bearer {good('HS256')}"}.get
    assert gate.authenticate(get, None, NOW) is not None
    assert not waiting.done()
    issuer.open.set()
    assert (await waiting).user == "ada"


async def test_who_leaves_does_not_take_the_keys_from_those_who_wait(issuer):
    gate = issuer.gate()
    issuer.open.clear()
    first = asyncio.create_task(enter(gate, by(RSA, sub="first")))
    await issuer.asked.wait()
    second = asyncio.create_task(enter(gate, by(RSA, sub="second")))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    issuer.open.set()
    assert (await second).user == "second"
    assert issuer.fetches == 1


async def test_a_valid_credential_beside_it_makes_a_fetch_needless(issuer):
    gate = issuer.gate()
    get = {"authorization": f"Bearer {by(RSA)}", "x-api-key": good("HS256", sub="bob")}.get
    principal = gate.authenticate(get, None, NOW)
    assert principal is not None and principal.user == "bob"
    assert issuer.fetches == 0


async def test_closing_gives_up_the_fetch_under_way_and_who_waits_goes_on_without(issuer):
    jwks = issuer.jwks()
    issuer.open.clear()
    waiting = asyncio.create_task(jwks.refresh())
    await issuer.asked.wait()
    await jwks.close()
    await asyncio.wait_for(waiting, 1)
    assert issuer.fetches == 1
    await jwks.close()


# ---------------------------------------------------------------- when the issuer fails


async def break_issuer(issuer: Issuer, how: str) -> None:
    issuer.body, issuer.status = {
        "an error": (b"down", 503),
        "a login page": (b"<html>", 200),
        "half a document": (b'{"keys": [', 200),
        "no list": (b'{"keys": {}}', 200),
        "another document": (b"[1]", 200),
        "a redirect": (b"", 302),
        "a flood": (b" " * (64 * 1024) + key_set(jwk(RSA)), 200),
    }[how]
    issuer.headers = {"location": issuer.url.replace("/keys", "/elsewhere")} if issuer.status == 302 else {}


FAILURES = ["an error", "a login page", "half a document", "no list", "another document", "a redirect", "a flood"]


@pytest.mark.parametrize("how", FAILURES)
async def test_when_the_issuer_is_ill_the_keys_of_before_stay_valid(issuer, how):
    gate = issuer.gate()
    await enter(gate, by(RSA))
    await break_issuer(issuer, how)
    issuer.now = 400
    assert await enter(gate, by(RSA, sub="still there"))
    assert issuer.fetches == 2
    assert len(issuer.reports) == 1 and "127.0.0.1" in issuer.reports[0]


@pytest.mark.parametrize("how", FAILURES)
async def test_without_keys_nobody_enters_and_the_next_try_is_thirty_seconds_later(issuer, how):
    gate, healthy = issuer.gate(), issuer.body
    await break_issuer(issuer, how)
    for issuer.now in (0.0, 10.0, 29.0):
        await refused(gate, by(RSA))
    assert issuer.fetches == 1
    issuer.body, issuer.status, issuer.now = healthy, 200, 30.0
    assert await enter(gate, by(RSA))


async def test_an_issuer_that_does_not_answer_is_given_up(issuer, monkeypatch):
    monkeypatch.setattr(module, "FETCH_TIMEOUT_S", 0.05)
    issuer.open.clear()
    await refused(issuer.gate(), by(RSA))
    assert "did not arrive within" in issuer.reports[0]


async def test_an_issuer_that_is_not_there_is_a_401_and_a_report(unused_tcp_port):
    reports: list[str] = []
    url = f"http://127.0.0.1:{unused_tcp_port}/keys?token=private"
    gate = Authenticator(Auth(jwt=[JwtKey(algorithm="RS256", jwks_url=url)]), {url: Jwks(url, report=reports.append)})
    await refused(gate, by(RSA))
    assert len(reports) == 1 and "private" not in reports[0]


# ---------------------------------------------------------------- reading


def test_a_key_is_read_with_its_id_and_serves_its_algorithm_only():
    (key,) = read_keys(key_set(jwk(RSA)))
    assert (key.kid, key.serves("RS256"), key.serves("RS512"), key.serves("ES256")) == ("one", True, False, False)


def test_a_key_without_an_algorithm_serves_all_of_its_kind():
    (key,) = read_keys(key_set({k: v for k, v in jwk(RSA).items() if k != "alg"}))
    assert [name for name in ("RS256", "RS384", "RS512", "ES256", "HS256", "PS256", "EdDSA") if key.serves(name)] == [
        "RS256",
        "RS384",
        "RS512",
    ]


SMALL_RSA = rsa.generate_private_key(public_exponent=65537, key_size=1024)
USELESS = {
    "a shared secret": {"kty": "oct", "k": "AAAA", "kid": "one"},
    "of no known kind": {"kty": "LMS", "kid": "one"},
    "without a kind": {"kid": "one"},
    "of a strange kind": {"kty": ["RSA"]},
    "for encryption": jwk(RSA, use="enc"),
    "for signing only": jwk(RSA, key_ops=["sign"]),
    "with operations that are no list": jwk(RSA, key_ops="verify"),
    "with its private part": json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA))
    | {"use": "sig", "key_ops": ["verify"]},
    "too short": jwk(SMALL_RSA),
    "without its numbers": {"kty": "RSA", "kid": "one"},
    "with numbers that are none": jwk(RSA, n="!!!"),
    "with numbers of another type": jwk(RSA, n=5),
    "on no curve": jwk(EC, algorithm="ES256", crv="P-1"),
    "off its curve": jwk(EC, algorithm="ES256", y="AAAA"),
    "with an id that is a number": jwk(RSA, kid=None) | {"kid": 7},
    "with an algorithm that is a list": jwk(RSA) | {"alg": ["RS256"]},
}


@pytest.mark.parametrize("name", USELESS)
def test_a_key_that_cannot_be_used_is_left_out_and_spoils_nothing(name):
    assert [key.kid for key in read_keys(key_set(USELESS[name], jwk(OTHER_RSA, "two")))] == ["two"]


def test_entries_that_are_no_keys_are_left_out():
    assert len(read_keys(key_set(None, 1, "x", [], {}, jwk(RSA)))) == 1


@given(
    st.dictionaries(
        st.sampled_from(["kty", "n", "e", "crv", "x", "y", "kid", "alg", "use"]),
        st.one_of(
            st.none(),
            st.integers(),
            st.sampled_from(["RSA", "EC", "OKP", "P-256", "Ed25519", "AQAB", "AA", "sig", ""]),
            st.text(max_size=8),
        ),
    )
)
def test_whatever_an_issuer_writes_is_read_or_left_out(entry):
    assert len(read_keys(key_set(entry))) <= 1


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b'{"keys": null}', b"\xff", b"[" * 5000])
def test_what_is_no_key_set_is_a_failed_fetch(body):
    with pytest.raises(FetchFailed):
        read_keys(body)


def test_a_curve_fits_its_own_algorithm_only():
    keys = {"ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()}
    for own, curve in keys.items():
        key = ec.generate_private_key(curve).public_key()
        assert [name for name in ("ES256", "ES384", "ES512", "RS256", "HS256") if fits(key, name)] == [own]
    assert not fits("a text", "HS256") and not fits(RSA, "RS256")


@pytest.mark.parametrize(
    "url", ["https://id.example/keys", "http://127.0.0.1:80/k", "http://localhost/k", "http://[::1]:9/k"]
)
def test_keys_come_over_https_or_from_this_machine(url):
    assert url_problem(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "http://id.example/k",
        "http://10.0.0.1/k",
        "http://localhost.evil.example/k",
        "file:///k",
        "ftp://x/k",
        "https://",
        "",
        "http://[::1/k",
    ],
)
def test_keys_come_from_nowhere_else(url):
    assert url_problem(url)
    with pytest.raises(ValueError, match="jwks_url"):
        Jwks(url)


async def test_entries_with_one_address_share_its_keys(issuer):
    auth = Auth(jwt=[JwtKey(algorithm="RS256", jwks_url=issuer.url), JwtKey(algorithm="ES256", jwks_url=issuer.url)])
    issuer.body = key_set(jwk(RSA, "r"), jwk(EC, "e", "ES256"))
    sets = open_jwks(auth)
    assert list(sets) == [issuer.url]
    gate = Authenticator(auth, sets)
    assert await enter(gate, by(RSA, "r"))
    assert await enter(gate, by(EC, "e", "ES256"))
    assert issuer.fetches == 1

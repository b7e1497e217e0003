"""Credentials in, principals out: or 401, and nothing else."""

from __future__ import annotations

from hashlib import sha256

import jwt
import pytest
from auth_tokens import EC, ED, FORGED, KEYS, NOW, OTHER_RSA, RSA, SECRET, claims, good, pem, sealed

from gateway.errors import InvalidApiKey, TenantForbidden
from gateway.settings import ApiKey, Auth, JwtKey, Secret
from gateway.web.auth import Authenticator, Principal, authorize, mint, offered, startup_problems

API_KEY = "pg-0123456789abcdef"
HS = JwtKey(algorithm="HS256", secret=Secret(SECRET))
AUTH = Auth(
    jwt=[
        HS,
        JwtKey(algorithm="RS256", public_key=pem(RSA)),
        JwtKey(algorithm="ES256", public_key=pem(EC)),
        JwtKey(algorithm="EdDSA", public_key=pem(ED)),
    ],
    api_keys=[
        ApiKey(sha256=sha256(API_KEY.encode()).hexdigest(), tenant=["acme", "globex"], name="ci", roles=["admin"])
    ],
)
GATE = Authenticator(AUTH)


def enter(gate: Authenticator = GATE, now: float = NOW, query: str | None = None, **headers: str) -> Principal:
    """Authenticate with headers (underscores for dashes); a key set is never needed here."""
    principal = gate.authenticate({name.replace("_", "-"): value for name, value in headers.items()}.get, query, now)
    assert principal is not None
    return principal


def refusal(gate: Authenticator = GATE, now: float = NOW, query: str | None = None, **headers: str) -> InvalidApiKey:
    with pytest.raises(InvalidApiKey) as caught:
        enter(gate, now, query, **headers)
    return caught.value


# ---------------------------------------------------------------- what is good


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_token_of_each_configured_algorithm_is_let_in(algorithm):
    principal = enter(authorization=f"Bearer {good(algorithm)}")
    assert (principal.tenants, principal.user, principal.roles) == (frozenset({"acme"}), "ada", frozenset({"user"}))
    assert (principal.key_name, principal.is_admin) == ("", False)
    assert principal.expires_at == NOW + 600 + 30


def test_tokens_that_pyjwt_writes_are_read():
    assert enter(authorization=f"Bearer {jwt.encode(claims(), SECRET, algorithm='HS256')}").user == "ada"
    assert (
        enter(authorization=f"Bearer {jwt.encode(claims(), RSA, algorithm='RS256', headers={'kid': 'k'})}").user
        == "ada"
    )


@pytest.mark.parametrize("typ", ["JWT", "jwt", "at+jwt", "application/at+jwt"])
def test_the_usual_types_are_accepted_and_so_is_none(typ):
    assert enter(authorization=f"Bearer {good(header={'typ': typ})}")
    assert enter(authorization=f"Bearer {sealed({'alg': 'HS256'}, claims())}")


def test_an_api_key_is_known_by_its_digest_and_does_not_end():
    principal = enter(authorization=f"Bearer {API_KEY}", now=NOW * 10)
    assert principal == Principal(frozenset({"acme", "globex"}), "ci", frozenset({"admin"}), "ci", None)
    assert principal.is_admin


def test_several_tenants_and_roles_may_be_a_list():
    principal = enter(authorization=f"Bearer {good(tenant=['acme', 'globex'], roles='admin')}")
    assert principal.tenants == {"acme", "globex"}
    assert principal.is_admin


def test_a_token_without_roles_is_a_users_and_one_without_a_subject_is_nameless():
    principal = enter(authorization=f"Bearer {good(roles=None, sub=None)}")
    assert (principal.roles, principal.user) == (frozenset({"user"}), "")


def test_the_claims_are_named_by_the_configuration():
    auth = Auth(jwt=[HS], tenant_claim="https://id.example/org", user_claim="email", roles_claim="groups")
    token = good(tenant=None, **{"https://id.example/org": "acme", "email": "ada@example.com", "groups": ["admin"]})
    principal = enter(Authenticator(auth), authorization=f"Bearer {token}")
    assert (principal.tenants, principal.user, principal.is_admin) == ({"acme"}, "ada@example.com", True)


# ---------------------------------------------------------------- where it may stand


@pytest.mark.parametrize("secret", [API_KEY, good()])
def test_every_client_finds_a_place_for_its_credential(secret):
    for scheme in ("Bearer", "bearer", "BEARER"):
        assert enter(authorization=f"{scheme} {secret}")
    assert enter(authorization=f"Bearer   {secret} ")
    assert enter(x_api_key=secret)
    assert enter(x_goog_api_key=secret)
    assert enter(api_key=secret)
    assert enter(query=secret)


@pytest.mark.parametrize("other", ["", " ", "sk-ant-stale", good(exp=int(NOW) - 999), "a.b.c"])
def test_whichever_credential_is_valid_lets_in(other):
    assert enter(authorization=f"Bearer {API_KEY}", x_api_key=other)
    assert enter(authorization=f"Bearer {other}", x_api_key=API_KEY)
    assert enter(authorization="Basic YTpi", x_api_key=other, x_goog_api_key=API_KEY)
    assert enter(x_api_key=other, query=API_KEY)
    assert enter(x_api_key=API_KEY, query=other)


def test_each_credential_is_tried_once_in_a_fixed_order():
    headers = {"authorization": "Bearer a", "x-api-key": "b", "api-key": " a "}
    assert offered(headers.get, "c") == ["a", "b", "c"]


def test_no_credential_is_told_how_to_send_one():
    for error in (
        refusal(),
        refusal(authorization=""),
        refusal(authorization="Bearer "),
        refusal(x_api_key="  "),
        refusal(query=""),
    ):
        assert "Authorization: Bearer" in error.message and "x-api-key" in error.message
    assert "Authorization: Bearer" in refusal(authorization="Basic YWxhZGRpbjpvcGVu").message


def test_nothing_is_no_api_key_even_where_the_digest_of_nothing_is_configured():
    gate = Authenticator(Auth(api_keys=[ApiKey(sha256=sha256(b"").hexdigest(), tenant="acme", name="oops")]))
    for headers in ({}, {"authorization": "Bearer "}, {"authorization": "Basic x"}, {"x_api_key": ""}):
        refusal(gate, **headers)


# ---------------------------------------------------------------- what is refused


def test_there_are_many_forgeries():
    assert len(FORGED) >= 120
    assert len(set(FORGED.values())) >= 120


@pytest.mark.parametrize("name", FORGED)
def test_a_forgery_is_refused_with_401_and_nothing_else(name):
    token = FORGED[name]
    for error in (refusal(authorization=f"Bearer {token}"), refusal(x_api_key=token), refusal(query=token)):
        assert (error.status, error.code) == (401, "invalid_api_key")
        assert SECRET not in error.message and len(error.message) < 300
        assert token.strip(".") == "" or token not in error.message


@pytest.mark.parametrize(
    ("token", "word"),
    [
        (good(exp=int(NOW) - 60), "expired"),
        (good(exp=None), "'exp'"),
        (good(exp=int(NOW * 1000)), "seconds"),
        (good(nbf=int(NOW) + 60), "not valid yet"),
        (good(iat=int(NOW) + 60), "future"),
        (good("RS256", key=OTHER_RSA), "signature"),
        (good(header={"jku": "https://evil.example"}), "'jku'"),
        (good(tenant=None), "'tenant'"),
        ("a.b.c", "malformed"),
        ("sk-proj-abcdef", "not one of this gateway"),
        ("x" * 20_000 + ".", "too long"),
    ],
)
def test_the_refusal_says_what_is_wrong(token, word):
    assert word in refusal(authorization=f"Bearer {token}").message


def test_of_several_bad_credentials_the_first_is_the_one_explained():
    error = refusal(authorization=f"Bearer {good(exp=int(NOW) - 60)}", x_api_key="sk-nonsense")
    assert "expired" in error.message


@pytest.mark.parametrize("changes", [{}, {"iss": "https://other.example"}, {"iss": 7}, {"iss": ["https://id.example"]}])
def test_a_configured_issuer_is_required(changes):
    gate = Authenticator(Auth(jwt=[JwtKey(algorithm="HS256", secret=Secret(SECRET), issuer="https://id.example")]))
    assert "issuer" in refusal(gate, authorization=f"Bearer {good(**changes)}").message
    assert enter(gate, authorization=f"Bearer {good(iss='https://id.example')}")


@pytest.mark.parametrize("aud", [None, "", "other", [], ["other"], 7, {"gateway": 1}, ["gateway", 7]])
def test_a_configured_audience_is_required(aud):
    gate = Authenticator(Auth(jwt=[JwtKey(algorithm="HS256", secret=Secret(SECRET), audience=["gateway", "gw"])]))
    assert "audience" in refusal(gate, authorization=f"Bearer {good(aud=aud)}").message
    assert enter(gate, authorization=f"Bearer {good(aud='gw')}")
    assert enter(gate, authorization=f"Bearer {good(aud=['other', 'gateway'])}")


def test_two_issuers_with_one_algorithm_each_have_their_own_rules():
    other = "another-secret-of-more-than-32-bytes"
    entries = [
        JwtKey(algorithm="HS256", secret=Secret(SECRET), issuer="a"),
        JwtKey(algorithm="HS256", secret=Secret(other), issuer="b"),
    ]
    gate = Authenticator(Auth(jwt=entries))
    assert enter(gate, authorization=f"Bearer {good(iss='a')}")
    assert enter(gate, authorization=f"Bearer {good(key=other, iss='b')}")
    assert "issuer" in refusal(gate, authorization=f"Bearer {good(iss='b')}").message


# ---------------------------------------------------------------- what is remembered


def test_a_remembered_token_still_ends():
    gate, token = Authenticator(AUTH), good(exp=int(NOW) + 60)
    first = enter(gate, authorization=f"Bearer {token}")
    assert enter(gate, now=NOW + 89, authorization=f"Bearer {token}") is first
    assert "expired" in refusal(gate, now=NOW + 90, authorization=f"Bearer {token}").message
    assert "expired" in refusal(gate, now=NOW + 90, x_api_key=token).message


def test_tokens_that_begin_or_end_alike_are_never_mixed_up():
    gate = Authenticator(AUTH)
    tokens = {tenant: good(tenant=tenant) for tenant in ("acme", "globex", "initech")}
    for _ in range(2):
        for tenant, token in tokens.items():
            assert enter(gate, authorization=f"Bearer {token}").tenants == {tenant}
    stem, _, signature = tokens["acme"].rpartition(".")
    refusal(gate, authorization=f"Bearer {stem}.{signature[::-1]}")


def test_what_is_remembered_is_bounded_and_forgetting_only_means_checking_again():
    gate = Authenticator(AUTH, max_remembered=10)
    tokens = [good(sub=f"user-{n}") for n in range(50)]
    for _ in range(2):
        assert [enter(gate, authorization=f"Bearer {token}").user for token in tokens] == [
            f"user-{n}" for n in range(50)
        ]
    assert len(gate._young) + len(gate._old) <= 10


def test_no_token_is_kept_in_memory():
    gate, token = Authenticator(AUTH), good(sub="remember-me-not")
    enter(gate, authorization=f"Bearer {token}")
    assert token not in repr(vars(gate))
    assert set(map(len, gate._young)) == {32}


def test_a_known_token_is_not_verified_again():
    gate, token = Authenticator(AUTH), good()
    first = enter(gate, authorization=f"Bearer {token}")
    gate._ways.clear()
    assert enter(gate, authorization=f"Bearer {token}") is first
    assert enter(gate, query=token) is first
    assert "signature" in refusal(gate, authorization=f"Bearer {good(sub='eve')}").message


# ---------------------------------------------------------------- tenants, minting, starting


def test_unknown_and_forbidden_tenants_are_told_apart_by_nobody():
    principal = enter(authorization=f"Bearer {good()}")
    authorize(principal, "acme")
    assert principal.may("acme") and not principal.may("globex")
    told = set()
    for tenant in ("globex", "no-such-tenant", "", "ACME", "acme/", "*"):
        with pytest.raises(TenantForbidden) as caught:
            authorize(principal, tenant)
        told.add((caught.value.status, caught.value.code, caught.value.message))
    assert len(told) == 1


def test_an_administrator_acts_for_their_own_tenants_only():
    principal = enter(authorization=f"Bearer {good(roles=['admin'])}")
    assert principal.is_admin and not principal.may("globex")


@pytest.mark.parametrize(
    "entry", [HS, JwtKey(algorithm="HS384", secret=Secret(SECRET * 2), issuer="us", audience=["gateway", "x"])]
)
def test_a_minted_token_is_let_in_until_it_ends(entry):
    auth = Auth(jwt=[JwtKey(algorithm="RS256", public_key=pem(RSA)), entry], tenant_claim="org")
    token = mint(auth, "acme", "ada", ["admin"], ttl_s=60, now=NOW)
    gate = Authenticator(auth)
    principal = enter(gate, authorization=f"Bearer {token}")
    assert (principal.tenants, principal.user, principal.is_admin) == ({"acme"}, "ada", True)
    refusal(gate, now=NOW + 100, authorization=f"Bearer {token}")


def test_without_a_secret_nothing_can_be_minted():
    with pytest.raises(ValueError, match=r"auth\.jwt"):
        mint(Auth(jwt=[JwtKey(algorithm="RS256", public_key=pem(RSA))]), "acme", "ada", [], 60, NOW)


BAD_ENTRIES = {
    "a short secret": (JwtKey(algorithm="HS256", secret=Secret("x" * 31)), "32 bytes"),
    "an empty secret": (JwtKey(algorithm="HS256", secret=Secret("")), "32 bytes"),
    "a public key as secret": (JwtKey(algorithm="HS256", secret=Secret(pem(RSA))), "no key for HS256"),
    "a secret for RS256": (JwtKey(algorithm="RS256", secret=Secret(SECRET)), "RS256 does not work with secret"),
    "a public key for HS256": (JwtKey(algorithm="HS256", public_key=pem(RSA)), "HS256 does not work with public_key"),
    "key of another kind": (JwtKey(algorithm="ES256", public_key=pem(RSA)), "no key for ES256"),
    "key of another curve": (JwtKey(algorithm="ES384", public_key=pem(EC)), "no key for ES384"),
    "no key": (JwtKey(algorithm="RS256", public_key="not a key"), "no key for RS256"),
    "nothing": (JwtKey(algorithm="RS256"), "exactly one"),
    "two at once": (JwtKey(algorithm="RS256", public_key=pem(RSA), jwks_url="https://id.example/k"), "exactly one"),
    "keys over http": (JwtKey(algorithm="RS256", jwks_url="http://id.example/keys"), "https"),
    "keys from a file": (JwtKey(algorithm="RS256", jwks_url="file:///etc/passwd"), "web address"),
}


@pytest.mark.parametrize("name", BAD_ENTRIES)
def test_an_entry_that_cannot_be_trusted_is_named_and_never_used(name):
    entry, says = BAD_ENTRIES[name]
    problems = startup_problems(Auth(jwt=[HS, entry]))
    assert len(problems) == 1
    assert problems[0].startswith("auth.jwt[1]: ") and says in problems[0]
    with pytest.raises(ValueError, match=says):
        Authenticator(Auth(jwt=[HS, entry]))


def test_problems_never_quote_a_secret():
    entry = JwtKey(algorithm="HS256", secret=Secret("short-but-private"))
    assert "short-but-private" not in " ".join(startup_problems(Auth(jwt=[entry])))


def test_a_gateway_that_nobody_could_enter_says_so_and_stays_shut():
    assert "nobody could call" in startup_problems(Auth())[0]
    refusal(Authenticator(Auth()), authorization=f"Bearer {good()}")


def test_a_good_configuration_has_no_problems():
    assert startup_problems(AUTH) == []

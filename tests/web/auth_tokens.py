"""Keys and tokens for the tests of authentication: good ones, and every way to forge one that we know of."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

NOW = 1_800_000_000.0
SECRET = "0123456789abcdef0123456789abcdef-of-the-gateway"

RSA, OTHER_RSA = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
EC, OTHER_EC = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
ED, OTHER_ED = (ed25519.Ed25519PrivateKey.generate() for _ in range(2))
KEYS: dict[str, Any] = {"HS256": SECRET, "RS256": RSA, "ES256": EC, "EdDSA": ED}

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

Forgeries = dict[str, str]


def pem(key: Any) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def der(key: Any) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def claims(**changes: Any) -> dict[str, Any]:
    """Good claims, changed; None takes one out."""
    good = {"tenant": "acme", "sub": "ada", "roles": ["user"], "iat": int(NOW) - 10, "exp": int(NOW) + 600}
    return {name: value for name, value in (good | changes).items() if value is not None}


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def sealed(header: Any, payload: Any, key: Any = SECRET, algorithm: str = "HS256") -> str:
    """A token with a true signature over whatever header and payload; bytes and str are taken as they are."""
    parts = [
        part if isinstance(part, bytes) else part.encode() if isinstance(part, str) else json.dumps(part).encode()
        for part in (header, payload)
    ]
    signed = ".".join(b64(part) for part in parts)
    if algorithm == "HS256":
        signature = hmac.digest(key if isinstance(key, bytes) else key.encode(), signed.encode(), "sha256")
    else:
        signature = jwt.get_algorithm_by_name(algorithm).sign(signed.encode(), key)
    return f"{signed}.{b64(signature)}"


def good(algorithm: str = "HS256", header: dict[str, Any] | None = None, key: Any = None, **changes: Any) -> str:
    return sealed(
        {"alg": algorithm, "typ": "JWT"} | (header or {}), claims(**changes), key or KEYS[algorithm], algorithm
    )


def resigned(token: str, signature: bytes) -> str:
    return token.rpartition(".")[0] + "." + b64(signature)


def unsigned() -> Forgeries:
    names: list[Any] = [
        "none",
        "None",
        "NONE",
        "nOnE",
        "none ",
        "",
        None,
        0,
        1,
        True,
        [],
        ["none"],
        ["HS256"],
        {},
        {"HS256": 1},
    ]
    forged: Forgeries = {}
    for alg in names:
        token = sealed({"alg": alg, "typ": "JWT"}, claims())
        forged[f"alg {alg!r} with a signature"] = token
        forged[f"alg {alg!r} without"] = resigned(token, b"")
    forged["no alg at all"] = sealed({"typ": "JWT"}, claims())
    forged["HS256 without a signature"] = resigned(good(), b"")
    forged["RS256 without a signature"] = resigned(good("RS256"), b"")
    return forged


def other_algorithms() -> Forgeries:
    forged = {f"signed with {name}": jwt.encode(claims(), SECRET * 2, algorithm=name) for name in ("HS384", "HS512")}
    forged |= {
        f"signed with {name}": jwt.encode(claims(), RSA, algorithm=name)
        for name in ("RS384", "RS512", "PS256", "PS512")
    }
    names = [
        "hs256",
        "Hs256",
        "HS256 ",
        " HS256",
        "HS256\0",
        "HS256,RS256",
        "HMAC",
        "dir",
        "RSA-OAEP",
        "ES256K",
        "Ed25519",
        "sha256",
    ]
    return forged | {f"alg {name!r}": sealed({"alg": name}, claims()) for name in names}


def wrong_keys() -> Forgeries:
    secrets: dict[str, str | bytes] = {
        "the RSA public key (PEM)": pem(RSA),
        "the RSA public key without its last line end": pem(RSA).rstrip(),
        "the RSA public key (DER)": der(RSA),
        "the EC public key (PEM)": pem(EC),
        "the EC public key (DER)": der(EC),
        "the Ed25519 public key (PEM)": pem(ED),
        "the Ed25519 public key (raw)": ED.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw),
        "nothing": b"",
        "a zero byte": b"\0",
        "'secret'": "secret",
        "half the secret": SECRET[:32],
        "the secret and more": SECRET + "x",
        "the secret in capitals": SECRET.upper(),
        "the secret's name": "${GATEWAY_JWT_SECRET}",
    }
    forged = {f"HS256 with {name}": sealed({"alg": "HS256"}, claims(), key) for name, key in secrets.items()}
    forged["RS256 by a stranger"] = good("RS256", key=OTHER_RSA)
    forged["ES256 by a stranger"] = good("ES256", key=OTHER_EC)
    forged["EdDSA by a stranger"] = good("EdDSA", key=OTHER_ED)
    for says, signs in (
        ("RS256", "ES256"),
        ("ES256", "RS256"),
        ("EdDSA", "ES256"),
        ("ES256", "HS256"),
        ("HS256", "EdDSA"),
    ):
        forged[f"says {says}, signed by {signs}"] = sealed({"alg": says}, claims(), KEYS[signs], signs)
    return forged


def broken_signatures() -> Forgeries:
    forged: Forgeries = {}
    for name in KEYS:
        token = good(name)
        raw = jwt.utils.base64url_decode(token.rpartition(".")[2])
        forged[f"{name}, last byte gone"] = resigned(token, raw[:-1])
        forged[f"{name}, a byte more"] = resigned(token, raw + b"\0")
        forged[f"{name}, a bit turned"] = resigned(token, bytes([raw[0] ^ 1]) + raw[1:])
        forged[f"{name}, zeros"] = resigned(token, bytes(len(raw)))
        forged[f"{name}, of another payload"] = resigned(good(name, tenant="globex"), raw)
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    forged["ES256, r and s are the order"] = resigned(good("ES256"), order.to_bytes(32, "big") * 2)
    raw = jwt.utils.base64url_decode(good("ES256").rpartition(".")[2])
    forged["ES256 in DER"] = resigned(good("ES256"), EC.sign(b"x", ec.ECDSA(jwt.algorithms.hashes.SHA256())))
    r, s = decode_dss_signature(jwt.utils.raw_to_der_signature(raw, EC.curve))
    forged["ES256, r and s exchanged"] = resigned(good("ES256"), s.to_bytes(32, "big") + r.to_bytes(32, "big"))
    return forged


def headers() -> Forgeries:
    own = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(OTHER_RSA.public_key()))
    extra: dict[str, dict[str, Any]] = {
        "jku": {"jku": "https://evil.example/keys"},
        "jku null": {"jku": None},
        "x5u": {"x5u": "https://evil.example/cert"},
        "x5c": {"x5c": ["MIIB"]},
        "jwk": {"jwk": own},
        "crit": {"crit": ["exp"]},
        "crit empty": {"crit": []},
        "crit of an extension": {"crit": ["http://example.com/x"], "http://example.com/x": 1},
        "b64 false": {"b64": False},
        "b64 false, critical": {"b64": False, "crit": ["b64"]},
        "kid number": {"kid": 7},
        "kid list": {"kid": ["a"]},
        "kid object": {"kid": {"a": 1}},
        "typ JWE": {"typ": "JWE"},
        "typ of a proof": {"typ": "dpop+jwt"},
        "typ of a logout": {"typ": "logout+jwt"},
        "typ number": {"typ": 1},
        "typ null": {"typ": None},
    }
    forged = {name: good(header=header) for name, header in extra.items()}
    forged["jwk of the forger, and signed with it"] = good("RS256", header={"jwk": own}, key=OTHER_RSA)
    forged["kid that is a path, signed with nothing"] = sealed({"alg": "HS256", "kid": "../../dev/null"}, claims(), b"")
    forged["kid that is SQL, signed with its answer"] = sealed(
        {"alg": "HS256", "kid": "x' UNION SELECT 'k"}, claims(), b"k"
    )
    return forged


def times() -> Forgeries:
    wrong: list[Any] = [
        "soon",
        "",
        str(int(NOW) + 600),
        True,
        [int(NOW) + 600],
        {"at": int(NOW) + 600},
        -1,
        -1e300,
        10**13,
        10**30,
        1e300,
    ]
    forged = {f"exp {value!r}": good(exp=value) for value in wrong}
    forged["exp missing"] = good(exp=None)
    forged["exp null"] = sealed({"alg": "HS256"}, claims() | {"exp": None})
    forged["exp zero"] = good(exp=0)
    forged["exp long ago"] = good(exp=int(NOW) - 3600)
    forged["exp at the end of the leeway"] = good(exp=int(NOW) - 30)
    forged["exp spelled Exp"] = sealed({"alg": "HS256"}, claims(exp=None) | {"Exp": int(NOW) + 600})
    forged["exp inside another claim"] = sealed(
        {"alg": "HS256"}, claims(exp=None) | {"claims": {"exp": int(NOW) + 600}}
    )
    for raw in ("NaN", "Infinity", "-Infinity", "1e400", "0x7fffffff", "1" * 5000):
        forged[f"exp {raw[:12]}"] = sealed({"alg": "HS256"}, json.dumps(claims(exp=None))[:-1] + f', "exp": {raw}}}')
    for value in (int(NOW) + 3600, str(int(NOW)), True, [], -5):
        forged[f"nbf {value!r}"] = good(nbf=value)
        forged[f"iat {value!r}"] = good(iat=value)
    forged["nbf null"] = sealed({"alg": "HS256"}, claims() | {"nbf": None})
    forged["iat null"] = sealed({"alg": "HS256"}, claims() | {"iat": None})
    return forged


def names() -> Forgeries:
    tenants: list[Any] = [
        "",
        7,
        1.5,
        True,
        {},
        {"acme": 1},
        [],
        [[]],
        [["acme"]],
        ["acme", 7],
        ["acme", None],
        [""],
        ["acme", ""],
    ]
    tenants += [
        "a/b",
        "acme/provider:openai",
        "tenant:acme",
        "../acme",
        "acme ",
        " acme",
        "acme\n",
        "acme\0",
        "аcme",
        "*",
        ".",
        "x" * 65,
    ]
    forged = {f"tenant {value!r}"[:60]: good(tenant=value) for value in tenants}
    forged["too many tenants"] = good(tenant=[f"t{n}" for n in range(300)])
    forged["tenant missing"] = good(tenant=None)
    forged["tenant null"] = sealed({"alg": "HS256"}, claims() | {"tenant": None})
    for sub in (7, [], {}, True, "two\nlines", "x" * 300, "\x1b[31m"):
        forged[f"sub {sub!r}"[:60]] = good(sub=sub)
    for roles in (7, {}, {"admin": True}, ["user", 7], [""], [["admin"]], True):
        forged[f"roles {roles!r}"] = good(roles=roles)
    return forged


def shapes() -> Forgeries:
    token = good()
    head, payload, signature = token.split(".")
    forged = {
        "only dots": "..",
        "three dots": "...",
        "no signature part": f"{head}.{payload}",
        "an empty header": f".{payload}.{signature}",
        "an empty payload": f"{head}..{signature}",
        "four parts": f"{token}.x",
        "five parts, as encrypted": f"{head}.{payload}.{signature}.{payload}.{signature}",
        "parts exchanged": f"{payload}.{head}.{signature}",
        "twice": f"{token},{token}",
        "in quotes": f'"{token}"',
        "Bearer twice": f"Bearer {token}",
        "with padding": f"{token}=",
        "with padding in the header": f"{head}=.{payload}.{signature}",
        "with a space inside": f"{head}. {payload}.{signature}",
        "with a line break inside": f"{head}.\n{payload}.{signature}",
        "with a tab inside": f"{head}.{payload}\t.{signature}",
        "with a zero byte": f"{head}.{payload}.{signature}\0",
        "with letters outside ASCII": f"{head}.{payload}é.{signature}",
        "with wide dots": token.replace(".", "．"),
        "with half a surrogate pair": f"{token}\ud800",
        "with bytes that were no text": f"{head}.{payload}.{signature}\udcff",
        "in the alphabet of plain base64": f"{head}.{payload}.{'+/' * 21}A",
        "with other unused bits": token[:-1] + ALPHABET[ALPHABET.index(token[-1]) + 1],
        "with its end cut off": token[:-10],
        "with its beginning cut off": token[3:],
        "in capitals": token.upper(),
        "of 100 KB": f"{head}.{'A' * 100_000}.{signature}",
        "of 100 KB, truly signed": good(extra="x" * 100_000),
        "of 100 KB of dots": "." * 100_000,
        "header a list": sealed([{"alg": "HS256"}], claims()),
        "header a text": sealed('"HS256"', claims()),
        "header a number": sealed("1", claims()),
        "header null": sealed("null", claims()),
        "header no JSON": sealed("alg=HS256", claims()),
        "header not UTF-8": sealed(b'{"alg":"HS256","x":"\xff"}', claims()),
        "header with two values": sealed('{"alg":"HS256"}{"alg":"none"}', claims()),
        "header with a byte order mark": sealed(b'\xef\xbb\xbf{"alg":"HS256"}', claims()),
        "header nested deep": sealed('{"alg":"HS256","x":' + "[" * 3000 + "]" * 3000 + "}", claims()),
        "payload a list": sealed({"alg": "HS256"}, [claims()]),
        "payload a text": sealed({"alg": "HS256"}, '"acme"'),
        "payload empty": sealed({"alg": "HS256"}, b""),
        "payload null": sealed({"alg": "HS256"}, "null"),
        "payload an empty object": sealed({"alg": "HS256"}, {}),
        "payload not UTF-8": sealed({"alg": "HS256"}, b'{"tenant":"\xff\xfe"}'),
        "payload cut": sealed({"alg": "HS256"}, json.dumps(claims())[:-1]),
        "payload nested deep": sealed({"alg": "HS256"}, '{"tenant":' + "[" * 4000 + "]" * 4000 + "}"),
        "payload of half a surrogate pair": sealed(
            {"alg": "HS256"}, '{"tenant":"acme","sub":"\\ud800","exp":' + str(int(NOW) + 9) + "}"
        ),
    }
    return forged


FORGED: Forgeries = {
    f"{group.__name__}: {name}": token
    for group in (unsigned, other_algorithms, wrong_keys, broken_signatures, headers, times, names, shapes)
    for name, token in group().items()
}

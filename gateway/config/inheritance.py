"""What is not written: defaults that depend on other entries, and what tenants inherit. Resolved once, here.

    tenants.<t>.limits               own fields, else those of the top-level `limits`
    tenants.<t>.quota                own fields, else those of tenants.default
    tenants.<t>.budget               own fields, else those of tenants.default
    tenants.<t>.default_temperature  own, else that of tenants.default
    providers.<p>.base_url           own, else the vendor's

An explicit null counts as own: it lifts a limit that would be inherited.
"""

from __future__ import annotations

from collections.abc import Container
from collections.abc import Mapping as Environ
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import fields, replace

from gateway.config.problems import WHOLE_FILE, Path
from gateway.config.rules import VENDOR_URLS
from gateway.config.source import Entry, Listing, Mapping, Node, Scalar
from gateway.settings import Config, Provider, Tenant

JWT_VARIABLE = "GATEWAY_JWT_SECRET"

S = TypeVar("S", bound=Struct)


def add_unwritten(root: Node, environ: Environ[str, str]) -> None:
    """Add the entries that stand in every file that does not write them, so that they are read and checked like written ones.

    Without `auth.jwt`: HS256 with GATEWAY_JWT_SECRET, if that is set. Without `tenants`: a default tenant for everybody.
    """
    if not isinstance(root, Mapping):
        return
    if "tenants" not in root.entries:
        quota = _mapping(daily_tokens=_scalar("50000"), monthly_tokens=_scalar("1000000"))
        _add(root, "tenants", _mapping(default=_mapping(quota=quota, allow_unlisted=_scalar("true"))))
    if "auth" not in root.entries:
        _add(root, "auth", _mapping())
    auth = root.entries["auth"].node
    if isinstance(auth, Mapping) and "jwt" not in auth.entries and environ.get(JWT_VARIABLE):
        key = _mapping(algorithm=_scalar("HS256"), secret=_scalar("${" + JWT_VARIABLE + "}"))
        _add(auth, "jwt", Listing(WHOLE_FILE, [key]))


def _add(mapping: Mapping, key: str, node: Node) -> None:
    mapping.entries[key] = Entry(_scalar(key), node)


def _mapping(**nodes: Node) -> Mapping:
    return Mapping(WHOLE_FILE, {key: Entry(_scalar(key), node) for key, node in nodes.items()})


def _scalar(text: str) -> Scalar:
    return Scalar(WHOLE_FILE, text, True, None)


def resolve(config: Config, written: Container[Path]) -> Config:
    """The config with everything inherited in its place. `written`: the paths that stand in the file."""
    default = config.tenants.get("default", Tenant())

    def tenant(name: str, own: Tenant) -> Tenant:
        path: Path = ("tenants", name)
        temperature = own if (*path, "default_temperature") in written else default
        return replace(
            own,
            limits=_over(config.limits, own.limits, (*path, "limits"), written),
            quota=_over(default.quota, own.quota, (*path, "quota"), written),
            budget=_over(default.budget, own.budget, (*path, "budget"), written),
            default_temperature=temperature.default_temperature,
        )

    return replace(
        config,
        providers={name: _addressed(provider) for name, provider in config.providers.items()},
        tenants={name: tenant(name, own) for name, own in config.tenants.items()},
    )


def _over(inherited: S, own: S, path: Path, written: Container[Path]) -> S:
    names = [each.name for each in fields(own)]
    return replace(inherited, **{name: getattr(own, name) for name in names if (*path, name) in written})


def _addressed(provider: Provider) -> Provider:
    if provider.base_url is not None:
        return provider
    return replace(provider, base_url=VENDOR_URLS.get(provider.type))

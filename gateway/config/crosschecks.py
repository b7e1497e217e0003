"""The rules between entries: what one names, another must be; and what must be there at all."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from gateway.config.problems import Path, Report
from gateway.config.rules import NEW_SECRET, VENDOR_URLS
from gateway.config.validate import Facts
from gateway.settings import Config, Provider

Finding = tuple[Path, str, str]  # path, message, hint


def cross_check(config: Config, facts: Facts, report: Report) -> None:
    """Report what does not fit together. `config` is resolved."""
    for rule in (_presence, _ports, _references, _aliases, _duplicates):
        for path, message, hint in rule(config, facts):
            report.add(facts.place(path), path, message, hint)


def _presence(config: Config, facts: Facts) -> Iterator[Finding]:
    if not _names(facts, "providers") and ("providers",) not in facts.failed:
        yield ("providers",), "at least one provider is needed", ""
    ways = [path for path in facts.places if path[:2] in (("auth", "jwt"), ("auth", "api_keys")) and len(path) == 3]
    if not ways and ("auth",) not in facts.failed:
        yield ("auth",), "nobody could log in: there is neither a JWT key nor an API key", NEW_SECRET


def _ports(config: Config, facts: Facts) -> Iterator[Finding]:
    if config.admin.port and config.admin.port == config.server.port:
        yield ("admin", "port"), "this is the port of server already", "Write null to share it, or another number"


def _references(config: Config, facts: Facts) -> Iterator[Finding]:
    """Names of providers and tenants that stand in values, and in the keys of provider_quota."""
    providers, tenants = _names(facts, "providers"), _names(facts, "tenants")
    for path, value in facts.values.items():
        match path:
            case ("models", _, int()):
                yield from _target(path, str(value), providers)
            case ("tenants", _, "providers", int()):
                yield from _known(path, str(value), providers, "provider")
            case ("auth", "api_keys", int(), "tenant") | ("auth", "api_keys", int(), "tenant", int()):
                if config.tenant(str(value)) is None:
                    yield from _known(path, str(value), tenants, "tenant")
    for path in facts.keys:
        match path:
            case ("tenants", _, "provider_quota", name):
                yield from _known(path, str(name), providers, "provider")


def _target(path: Path, target: str, providers: list[str]) -> Iterator[Finding]:
    provider, slash, model = target.partition("/")
    yield from _known(path, provider, providers, "provider")
    if slash and not model:
        yield path, "the model after the slash is missing", f"Write '{provider}' for its default_model"


def _known(path: Path, name: str, known: list[str], what: str) -> Iterator[Finding]:
    if name in known:
        return
    near = get_close_matches(name, known, n=1)
    hint = f"Did you mean '{near[0]}'?" if near else f"The {what}s are {', '.join(known)}" if known else ""
    yield path, f"unknown {what} '{name}'", hint


def _aliases(config: Config, facts: Facts) -> Iterator[Finding]:
    providers = _names(facts, "providers")
    for alias, targets in config.models.items():
        path = ("models", alias)
        if alias.partition("/")[0] in providers:
            yield path, "an alias must not be called like a provider", "That name already means this provider's models"
        if not targets and (*path, 0) not in facts.places:
            yield path, "an alias needs at least one provider or provider/model", ""


def _duplicates(config: Config, facts: Facts) -> Iterator[Finding]:
    seen: dict[object, Path] = {}
    for path, value in facts.values.items():
        if path[:2] == ("auth", "api_keys") and path[-1] == "sha256":
            if value in seen:
                yield path, f"the same key as in auth.api_keys[{seen[value][2]}]", ""
            seen.setdefault(value, path)


def _names(facts: Facts, section: str) -> list[str]:
    """The names written in a section, of entries with problems too: a reference to one of those is no second problem."""
    return [str(path[1]) for path in facts.keys if len(path) == 2 and path[0] == section]


# ---------------------------------------------------------------- provider keys


def missing_keys(config: Config, facts: Facts) -> dict[str, str]:
    """The providers that cannot be called for want of a key, each with the variable that should hold it ("" when none is named).

    A key is needed at the vendor's own address, and wherever the file refers to a variable that is not set. Elsewhere (a
    server of one's own, a proxy that adds the key) its absence is a choice.
    """
    found: dict[str, str] = {}
    for name, provider in config.providers.items():
        variables = _variables(name, facts)
        unset = any(path[1] == name for path in facts.unset)
        if not provider.api_key and not provider.api_keys and (unset or _at_vendor(provider)):
            found[name] = variables[0] if variables else ""
    return found


def _at_vendor(provider: Provider) -> bool:
    return provider.base_url is not None and provider.base_url == VENDOR_URLS.get(provider.type)


def _variables(name: str, facts: Facts) -> list[str]:
    def is_key(path: Path) -> bool:
        return path[:2] == ("providers", name) and path[2:3] in (("api_key",), ("api_keys",))

    named = [source for path, sources in facts.sources.items() if is_key(path) for source in sources]
    return [variable for path, variable in facts.unset.items() if is_key(path)] + named


def report_missing_keys(missing: dict[str, str], facts: Facts, report: Report) -> None:
    """Report each provider without a key, unless its key is reported already."""
    for name, variable in missing.items():
        path: Path = ("providers", name, "api_key")
        if any(failed[:2] == path[:2] and failed[2:3] in (("api_key",), ("api_keys",)) for failed in facts.failed):
            continue
        message = f"there is no API key: {variable} is empty" if variable else "there is no API key"
        report.add(
            facts.place(path),
            path,
            message,
            "Export it, or remove this provider" if variable else 'Write api_key: "${NAME}"',
        )

"""The rules between entries: what one names, another must be; and what must be there at all."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice

from gateway.config.problems import Path, Report
from gateway.config.rules import NEW_SECRET, VENDOR_URLS
from gateway.config.validate import Facts, is_provider_key
from gateway.settings import NAME, Config, Provider

Finding = tuple[Path, str, str]  # path, message, hint
Names = dict[str, None]  # in the order of the file

LISTED = 10  # names in a hint
COMPARED = 200  # names that are looked through for a near one


def cross_check(config: Config, facts: Facts, report: Report) -> None:
    """Report what does not fit together. `config` is resolved."""
    for rule in (_presence, _ports, _stores, _not_yet, _unheeded, _references, _aliases, _duplicates):
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


def _stores(config: Config, facts: Facts) -> Iterator[Finding]:
    workers = config.server.workers
    if config.store.url.startswith("memory:") and workers != "auto" and workers > 1:
        message = f"memory:// keeps quotas within one process, and there would be {workers} workers, each with quotas of its own"
        yield ("store", "url"), message, "Use sqlite:///data/gateway.db or redis://host:6379/0, or one worker"


def _not_yet(config: Config, facts: Facts) -> Iterator[Finding]:
    """What the file may say one day and nobody would heed today: refused, never ignored."""
    asked: dict[Path, bool] = {
        ("cache", "enabled"): config.cache.enabled,
        ("log", "content"): config.log.content,
        ("translation", "fanout_n"): config.translation.fanout_n,
    }
    for path, wanted in asked.items():
        if wanted:
            yield path, "not supported yet by this version", "Leave it out"


def _unheeded(config: Config, facts: Facts) -> Iterator[Finding]:
    for path, value in facts.values.items():
        match path:
            case ("tenants", name, "allow_unlisted") if value is True and name != "default":
                yield path, "only the tenant `default` heeds this", "Write it under tenants.default"


def _references(config: Config, facts: Facts) -> Iterator[Finding]:
    """Names of providers and tenants that stand in values, and in the keys of provider_quota and provider_budget."""
    providers, tenants = _names(facts, "providers"), _names(facts, "tenants")
    for path, value in facts.values.items():
        match path:
            case ("models", _, int()):
                yield from _target(path, str(value), providers, facts)
            case ("tenants", _, "providers", int()):
                yield from _known(path, str(value), providers, "provider", facts)
            case ("auth", "api_keys", int(), "tenant") | ("auth", "api_keys", int(), "tenant", int()):
                if config.tenant(str(value)) is None:
                    yield from _known(path, str(value), tenants, "tenant", facts)
    for path in facts.keys:
        match path:
            case ("tenants", _, "provider_quota" | "provider_budget", name):
                yield from _known(path, str(name), providers, "provider", facts)


def _target(path: Path, target: str, providers: Names, facts: Facts) -> Iterator[Finding]:
    provider, slash, model = target.partition("/")
    yield from _known(path, provider, providers, "provider", facts)
    if slash and not model:
        yield path, "the model after the slash is missing", "A provider alone means its default_model"


def _known(path: Path, name: str, known: Names, what: str, facts: Facts) -> Iterator[Finding]:
    if name in known:
        return
    if path in facts.sources or not NAME.match(name):
        yield path, f"this is no {what} of this file", _listed(known, what)
        return
    near = get_close_matches(name, islice(known, COMPARED), n=1)
    yield path, f"unknown {what} '{name}'", f"Did you mean '{near[0]}'?" if near else _listed(known, what)


def _listed(known: Names, what: str) -> str:
    names = ", ".join(islice(known, LISTED)) + (", …" if len(known) > LISTED else "")
    return f"The {what}s are {names}" if names else ""


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


def _names(facts: Facts, section: str) -> Names:
    """The names written in a section, of entries with problems too: a reference to one of those is no second problem."""
    return {str(path[1]): None for path in facts.keys if len(path) == 2 and path[0] == section}


# ---------------------------------------------------------------- provider keys


def missing_keys(config: Config, facts: Facts) -> dict[str, str]:
    """The providers that cannot be called for want of a key, each with the variable that should hold it ("" when none is named).

    A key is needed at the vendor's own address, and wherever the file refers to a variable that is not set. Elsewhere (a
    server of one's own, a proxy that adds the key) its absence is a choice.
    """
    unset = {str(path[1]): variable for path, variable in facts.unset.items()}
    named = {str(path[1]): sources[0] for path, sources in facts.sources.items() if is_provider_key(path)}
    return {
        name: unset.get(name) or named.get(name, "")
        for name, provider in config.providers.items()
        if not provider.api_key and not provider.api_keys and (name in unset or _at_vendor(name, provider, facts))
    }


def _at_vendor(name: str, provider: Provider, facts: Facts) -> bool:
    known = ("providers", name, "base_url") not in facts.failed
    return known and provider.base_url is not None and provider.base_url == VENDOR_URLS.get(provider.type)


def report_missing_keys(missing: dict[str, str], facts: Facts, report: Report) -> None:
    """Report each provider without a key, unless its key is reported already."""
    reported = {path[1] for path in facts.failed if is_provider_key(path)}
    for name, variable in missing.items():
        if name not in reported:
            path: Path = ("providers", name, "api_key")
            message = f"there is no API key: {variable} is empty" if variable else "there is no API key"
            hint = (
                "Export it, or remove this provider"
                if variable
                else 'Write api_key: "${NAME}", or remove this provider'
            )
            report.add(facts.place(path), path, message, hint)

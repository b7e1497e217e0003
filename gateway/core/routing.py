"""Who may answer a model name, best first. Pure: names in, names out.

    "openai/gpt-5.4"   that provider, that model                 then the other providers by priority, each with its default model
    "fast"             an alias: its entries in order            then the providers it does not name, by priority
    "gpt-5.4"          the providers that list it, by priority    then the others with their default model
    "gpt-9"            a known family: passed on as it is         likewise
    "" or "auto"       every provider's default model, by priority

Rule 1: what is configured decides; a name that could be a path or a host is just unknown.
Rule 2: a tenant's own lists (providers, models) bind every candidate, fallbacks included.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches

from msgspec import Struct

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,199}")


class Served(Struct, frozen=True):
    """What routing must know of a provider. `family` tells whether an unlisted name is the vendor's by its spelling."""

    name: str
    default_model: str
    priority: int
    models: dict[str, str]  # public -> upstream; "*" lets any plain name through
    family: Callable[[str], bool]


class Candidate(Struct, frozen=True):
    """A provider that may answer, the upstream's name of the model, and why it stands here (for the trail)."""

    provider: str
    model: str
    because: str


class UnknownModel(Exception):
    """Nobody serves this name. `near` are names of models that look like it."""

    def __init__(self, model: str, near: list[str]) -> None:
        super().__init__(model)
        self.model = model
        self.near = near


class UnknownProvider(Exception):
    """`X-Preferred-Provider` names a provider that this tenant does not have."""

    def __init__(self, provider: str, known: list[str]) -> None:
        super().__init__(provider)
        self.provider = provider
        self.known = known


class Router:
    """The routing tables of one configuration."""

    def __init__(self, providers: Iterable[Served], aliases: dict[str, list[str]], *, across_providers: bool) -> None:
        # Equal priorities keep the order of the file: sorted() is stable.
        self._providers = sorted(providers, key=lambda p: -p.priority)
        self._by_name = {p.name: p for p in self._providers}
        self._aliases = aliases
        self._across = across_providers

    def plan(
        self,
        model: str,
        *,
        providers: list[str] | None = None,
        models: list[str] | None = None,
        preferred: str | None = None,
        substitutes: bool = True,
    ) -> list[Candidate]:
        """Candidates for `model`, best first. `providers` and `models` are the tenant's lists (None: all).
        Without `substitutes` only those that serve this very model.

        Raises UnknownModel or UnknownProvider. Never empty.
        """
        usable = [p for p in self._providers if providers is None or p.name in providers]
        allowed = None if models is None else set(models)
        named = self._named(model, usable, allowed)
        if not named:
            raise UnknownModel(model, self._near(model, usable, allowed))
        rest = self._rest(named, usable, allowed) if self._across and substitutes else []
        candidates = named + rest
        return self._prefer(preferred, candidates, usable, allowed) if preferred else candidates

    def names(self, providers: list[str] | None = None, models: list[str] | None = None) -> list[str]:
        """The public model names a tenant can ask for, aliases first."""
        usable = [p for p in self._providers if providers is None or p.name in providers]
        known = [alias for alias, entries in self._aliases.items() if self._entries(entries, usable)]
        for provider in usable:
            known += [m for m in (provider.default_model, *provider.models) if m != "*" and m not in known]
        return known if models is None else [name for name in known if name in models]

    def owner(self, name: str) -> str:
        """The provider that answers `name` first, "gateway" for an alias."""
        if name in self._aliases:
            return "gateway"
        return next((p.name for p in self._providers if name == p.default_model or name in p.models), "gateway")

    def _named(self, model: str, usable: list[Served], allowed: set[str] | None) -> list[Candidate]:
        if not model or model == "auto":
            found = [Candidate(p.name, _upstream(p, p.default_model), "default model") for p in usable]
            return [c for c in found if allowed is None or _allowed(c, allowed)]
        if model in self._aliases:
            if allowed is not None and model not in allowed:
                return []
            return [Candidate(p.name, m, f"alias {model}") for p, m in self._entries(self._aliases[model], usable)]
        found = self._direct(model, usable)
        if allowed is not None and model not in allowed:
            found = [c for c in found if _allowed(c, allowed)]
        return found

    def _direct(self, model: str, usable: list[Served]) -> list[Candidate]:
        name, slash, rest = model.partition("/")
        if slash and name in self._by_name:
            provider = self._by_name[name]
            upstream = _lets_through(provider, rest)
            return [Candidate(name, upstream, "named by the client")] if upstream and provider in usable else []
        listed = [Candidate(p.name, _upstream(p, model), "lists the model") for p in usable if _lists(p, model)]
        if listed:
            return listed
        return [
            Candidate(p.name, model, "model family")
            for p in usable
            if _PLAIN.fullmatch(model) and (p.family(model) or "*" in p.models)
        ]

    def _entries(self, entries: list[str], usable: list[Served]) -> list[tuple[Served, str]]:
        found = []
        for entry in entries:
            name, _, model = entry.partition("/")
            provider = self._by_name.get(name)
            if provider is not None and provider in usable:
                found.append((provider, _upstream(provider, model or provider.default_model)))
        return found

    def _rest(self, named: list[Candidate], usable: list[Served], allowed: set[str] | None) -> list[Candidate]:
        taken = {c.provider for c in named}
        rest = [
            Candidate(p.name, _upstream(p, p.default_model), "fallback by priority")
            for p in usable
            if p.name not in taken
        ]
        return [c for c in rest if allowed is None or _allowed(c, allowed)]

    def _prefer(
        self, preferred: str, candidates: list[Candidate], usable: list[Served], allowed: set[str] | None
    ) -> list[Candidate]:
        provider = self._by_name.get(preferred)
        if provider is None or provider not in usable:
            raise UnknownProvider(preferred, [p.name for p in usable])
        front = [c for c in candidates if c.provider == preferred]
        if not front:  # fallback across providers is off, but the client asked for this one by name
            default = Candidate(preferred, _upstream(provider, provider.default_model), "preferred by the client")
            front = [default] if allowed is None or _allowed(default, allowed) else []
        return front + [c for c in candidates if c.provider != preferred]

    def _near(self, model: str, usable: list[Served], allowed: set[str] | None) -> list[str]:
        known = self.names([p.name for p in usable], None if allowed is None else list(allowed))
        return get_close_matches(model[:200], known, n=3, cutoff=0.5)


def _lists(provider: Served, model: str) -> bool:
    return model == provider.default_model or (model in provider.models and model != "*")


def _upstream(provider: Served, model: str) -> str:
    return provider.models.get(model, model)


def _lets_through(provider: Served, model: str) -> str:
    """The upstream's name for `provider/model`, or "" when the provider does not take that name."""
    if not model:
        return _upstream(provider, provider.default_model)
    if _lists(provider, model):
        return _upstream(provider, model)
    return model if _PLAIN.fullmatch(model) and (provider.family(model) or "*" in provider.models) else ""


def _allowed(candidate: Candidate, allowed: set[str]) -> bool:
    return candidate.model in allowed or f"{candidate.provider}/{candidate.model}" in allowed

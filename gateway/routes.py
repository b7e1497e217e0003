"""One configuration, ready to route by: who serves what, for whom, under which rules. Swapped as a whole on reload.

`plan` is asked once per call, so its answer is kept per (tenant, model, preferred provider); what changes while the program
runs (breakers, cool-downs, quotas) is not part of it and is looked at by the pipeline.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gateway import settings
from gateway.call import Call, Terms
from gateway.core.catalogue import Catalogue
from gateway.core.limits import TenantLimits
from gateway.core.routing import Router, UnknownModel, UnknownProvider
from gateway.core.tariffs import Tariff, Tariffs
from gateway.deployment import Deployment
from gateway.errors import InvalidRequest, ModelNotFound
from gateway.types import Abilities, Passthrough, ProviderHalf, Translation

MAX_PLANS = 4096
NO_SUBSTITUTE = ("_embeddings", "_moderations")  # another model's vectors and scores mean something else
MAX_SESSIONS = 10_000
MAX_TENANTS = 50_000  # whose limits are remembered: unlisted tenants are open-ended


class Choice(Struct, frozen=True):
    """A candidate with everything an attempt needs. `dialect` is what is spoken with it; `passthrough` is set when that is the
    client's own; `tariff` when there is a budget that pays."""

    deployment: Deployment
    model: str
    because: str
    abilities: Abilities
    dialect: ProviderHalf
    passthrough: Passthrough | None
    looks: tuple[bytes, ...] = ()  # with one of these in the body the vendor may want another dialect (outgoing.picked)
    tariff: Tariff | None = None
    mended: Any = None  # the request to send instead, after the vendor refused what our translation made of it

    def looks_at(self, body: bytes) -> bool:
        """Whether the request decides in which dialect it is sent."""
        for mark in self.looks:  # noqa: SIM110  # any() would cost a generator on every call
            if mark in body:
                return True
        return False

    @property
    def alias(self) -> bool:
        """Whether the operator wrote this candidate into an alias."""
        return self.because.startswith("alias ")


class Routes:
    """See the module. `fallback` and `translation` are the operator's settings; without `tariffs` there are no budgets."""

    def __init__(
        self,
        router: Router,
        deployments: dict[str, Deployment],
        tenants: dict[str, settings.Tenant],
        fallback: settings.Fallback,
        translation: Translation,
        catalogue: Catalogue,
        tariffs: Tariffs | None = None,
    ) -> None:
        self.router = router
        self.deployments = deployments
        self.tenants = tenants
        self.fallback = fallback
        self.translation = translation
        self.labels = frozenset(router.names()) | {
            m for d in deployments.values() for m in (d.settings.default_model, *d.settings.models.values())
        }
        self._catalogue = catalogue
        self._tariffs = tariffs
        self._plans: dict[tuple[str, str, str, str], list[Choice]] = {}
        self._limits: OrderedDict[str, TenantLimits] = OrderedDict()
        self._sessions: OrderedDict[tuple[str, str, str], str] = OrderedDict()

    def tenant(self, name: str) -> settings.Tenant | None:
        """The settings of a tenant; those of `default` for an unlisted one when the operator lets them in."""
        found = self.tenants.get(name)
        if found is not None:
            return found
        default = self.tenants.get("default")
        listed_only = default is None or not default.allow_unlisted or not settings.NAME.match(name)
        return None if listed_only else default

    def abilities_of(self, name: str) -> Abilities:
        """What the first of those that serve a listed name can do."""
        try:
            first = self.router.plan(name)[0]
        except UnknownModel:
            return Abilities()
        return self._catalogue.abilities(self.deployments[first.provider].family, first.model)

    def label(self, model: str) -> str:
        """The model as a metric label: a configured name, or "other"."""
        return model if model in self.labels else "other"

    def tenant_label(self, tenant: str) -> str:
        return tenant if tenant in self.tenants else "other"

    def tariff(self, tenant: str, provider: str, model: str) -> Tariff | None:
        """What a tenant's calls of a model cost which budgets; None when they cost none."""
        if self._tariffs is None:
            return None
        deployment = self.deployments[provider]
        scopes = deployment.call_scopes(tenant)
        return self._tariffs.tariff(deployment.family, model, scopes, self.label(model))

    def unpriced(self, at: float, tenant: str = "") -> list[str]:
        """`provider/model` of all that the configuration names, that a budget should pay for and nobody knows the price of; a
        tenant's, or all."""
        if self._tariffs is None:
            return []
        named = {(c.provider, c.model) for name in self.router.names() for c in self.router.plan(name)}
        tenants = [tenant] if tenant else [*self.tenants, "default"]
        return [
            f"{provider}/{model}"
            for provider, model in sorted(named)
            if self._tariffs.prices.price(self.deployments[provider].family, model, at) is None
            and any(self._may_use(each, provider) and self.tariff(each, provider, model) for each in tenants)
        ]

    def unserved(self) -> list[tuple[str, str, list[str]]]:
        """Names in the `models` of a tenant that none of its providers serves: tenant, name, and names that look like it."""
        found = []
        for tenant, section in self.tenants.items():
            for name in section.models or ():
                try:
                    self.router.plan(name, providers=section.providers)
                except UnknownModel as error:
                    if name not in self.labels:  # an upstream's own name allows what leads to it
                        found.append((tenant, name, error.near))
        return found

    def _may_use(self, tenant: str, provider: str) -> bool:
        section = self.tenant(tenant)
        return section is None or section.providers is None or provider in section.providers

    @property
    def limits(self) -> Mapping[str, TenantLimits]:
        """The live rate limits of the tenants that called."""
        return self._limits

    def limits_of(self, tenant: str) -> TenantLimits:
        """The live rate limits of a tenant, made on first use. Those asked for longest ago are forgotten first."""
        limits = self._limits.get(tenant)
        if limits is None:
            section = (self.tenant(tenant) or settings.Tenant()).limits
            limits = TenantLimits(section.requests_per_minute, section.tokens_per_minute, section.concurrency)
            self._limits[tenant] = limits
            if len(self._limits) > MAX_TENANTS and not next(iter(self._limits.values())).running:
                self._limits.popitem(last=False)
        self._limits.move_to_end(tenant)
        return limits

    def take_over(self, old: Routes) -> None:
        """Keep live state across a reload. The old tables are not to be asked any more."""
        for name, deployment in self.deployments.items():
            if name in old.deployments:
                deployment.take_over(old.deployments[name])
        for tenant, limits in old._limits.items():
            now = self.tenant(tenant)
            if now is not None:
                limits.change(now.limits.requests_per_minute, now.limits.tokens_per_minute, now.limits.concurrency)
                self._limits[tenant] = limits
        self._sessions = old._sessions

    def plan(self, call: Call) -> list[Choice]:
        """Who may answer, best first. Raises ModelNotFound, or InvalidRequest for an unknown preferred provider."""
        terms = call.terms
        key = (terms.tenant, call.peek.model, call.preferred, terms.dialect.name)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._make_plan(call)
            if len(self._plans) >= MAX_PLANS:
                self._plans.clear()
            self._plans[key] = plan
        return plan if not call.session or call.preferred else self._stick(call, plan)

    def remember(self, call: Call, choice: Choice) -> None:
        """A conversation stays with the provider that answered it, as long as it asks for the same model."""
        key = (call.terms.tenant, call.session, call.peek.model)
        self._sessions[key] = choice.deployment.name
        self._sessions.move_to_end(key)
        if len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)

    def _stick(self, call: Call, plan: list[Choice]) -> list[Choice]:
        name = self._sessions.get((call.terms.tenant, call.session, call.peek.model))
        front = [c for c in plan if c.deployment.name == name and c.deployment.breaker.consecutive_failures == 0]
        return front + [c for c in plan if c not in front] if front else plan

    def _make_plan(self, call: Call) -> list[Choice]:
        tenant = call.terms.settings
        try:
            candidates = self.router.plan(
                call.peek.model,
                providers=tenant.providers,
                models=tenant.models,
                preferred=call.preferred or None,
                substitutes=not call.terms.dialect.name.endswith(NO_SUBSTITUTE),
            )
        except UnknownModel as unknown:
            raise _model_not_found(unknown) from None
        except UnknownProvider as unknown:
            known = ", ".join(unknown.known) or "none"
            raise InvalidRequest(
                f"X-Preferred-Provider names no provider of this tenant. It has: {known}.", param="x-preferred-provider"
            ) from None
        choices = [self._choice(c.provider, c.model, c.because, call.terms) for c in candidates]
        found = [choice for choice in choices if choice is not None]
        if not found:
            raise ModelNotFound(
                f"The provider of '{call.peek.model[:100]}' has no endpoint of this kind. GET /models lists what there is.",
                param="model",
            )
        return found

    def _choice(self, provider: str, model: str, because: str, terms: Terms) -> Choice | None:
        deployment, dialect = self.deployments[provider], terms.dialect
        spoken = deployment.vendor.half(dialect.name)
        if spoken is None:
            return None
        same = spoken if isinstance(spoken, Passthrough) and spoken.name == dialect.name else None
        abilities = self._catalogue.abilities(deployment.family, model)
        looks = deployment.vendor.looks(dialect.name, abilities)
        tariff = self.tariff(terms.tenant, provider, model)
        return Choice(deployment, model, because, abilities, spoken, same, looks, tariff)


def _model_not_found(unknown: UnknownModel) -> ModelNotFound:
    shown = unknown.model[:100]
    near = " Did you mean " + " or ".join(f"'{name}'" for name in unknown.near) + "?" if unknown.near else ""
    return ModelNotFound(
        f"The model '{shown}' does not exist or you do not have access to it.{near} GET /models lists what there is.",
        param="model",
    )

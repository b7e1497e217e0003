"""`gateway explain`: who would be called for a model, in which order, and why; from the configuration alone."""

from __future__ import annotations

import argparse
import os
import time

from gateway.app import load_routes, read_catalogue, read_prices
from gateway.commands.failing import CommandError, known_tenant
from gateway.config import load
from gateway.core.ledger_views import usd
from gateway.core.routing import Candidate, UnknownModel, UnknownProvider
from gateway.routes import Routes


def run(arguments: argparse.Namespace) -> int:
    config = load(arguments.config, os.environ, allow_missing_provider_keys=True).config
    routes = load_routes(config, read_catalogue(), read_prices())
    tenant = known_tenant(config, arguments.tenant)
    try:
        plan = routes.router.plan(
            arguments.model, providers=tenant.providers, models=tenant.models, preferred=arguments.provider
        )
    except UnknownModel as unknown:
        near = f" Near: {', '.join(unknown.near)}." if unknown.near else ""
        raise CommandError(f"nobody serves '{unknown.model}' for tenant '{arguments.tenant}'.{near}") from None
    except UnknownProvider as unknown:
        raise CommandError(f"no provider '{unknown.provider}'; there are {', '.join(unknown.known)}", 2) from None
    usable = plan if config.fallback.enabled else plan[:1]
    for at, candidate in enumerate(usable, 1):
        note = (
            ""
            if at <= config.fallback.max_attempts
            else f"  (only when others are skipped: max_attempts is {config.fallback.max_attempts})"
        )
        priced = _priced(routes, arguments.tenant, candidate)
        print(f"{at}. {candidate.provider}/{candidate.model}  {candidate.because}{priced}{note}")
    for name in config.providers:
        if name not in {c.provider for c in usable}:
            print(f"-  {name}  {_why_not(name, tenant.providers, config.fallback.enabled)}")
    return 0


def _priced(routes: Routes, tenant: str, candidate: Candidate) -> str:
    """What a million tokens cost, where a budget pays; or that nobody knows."""
    tariff = routes.tariff(tenant, candidate.provider, candidate.model)
    if tariff is None:
        return ""
    price = tariff.price(time.time())
    if price is None:
        return f"  (nobody knows its price: it costs {', '.join(tariff.scopes)} nothing)"
    output = "" if price.rates.output is None else f", {usd(price.rates.output)} out"
    return f"  (a million tokens: {usd(price.rates.input)} in{output}; paid by {', '.join(tariff.scopes)})"


def _why_not(name: str, allowed: list[str] | None, fallback: bool) -> str:
    if allowed is not None and name not in allowed:
        return "not among the tenant's providers"
    if not fallback:
        return "fallback.enabled is off"
    return "does not serve the model, or the tenant's models exclude its own"

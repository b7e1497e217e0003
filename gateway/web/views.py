"""What a tenant and an operator can look at: /models, /providers, /health, /stats, /alerts, /quotas and its reset.

All of it is read from memory: a view never calls a provider. Names are camelCase, as the native API has them; times are unix
seconds, durations say their unit.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal, get_args

import msgspec
import orjson

from gateway import __version__
from gateway.core.ledger_rows import MICROUSD, TOKENS, UNITS, Window
from gateway.core.ledger_views import AccountView
from gateway.deployment import Deployment
from gateway.dialects import gemini_models
from gateway.dialects.anthropic_messages import ANTHROPIC
from gateway.errors import InvalidJson, InvalidRequest, ModelNotFound
from gateway.pipeline import Pipeline
from gateway.web.context import Context
from gateway.web.exchange import Exchange
from gateway.web.relay import JSON
from gateway.web.surfaces import sdk_shape

STATUS_OF = {"closed": "available", "half_open": "degraded", "open": "unavailable"}


class ResetOrder(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /quotas/reset; what is left out means all of the tenant's."""

    scope: str | None = None
    window: Window | None = None
    unit: Literal["tokens", "microusd"] | None = None


class Views:
    """See the module. `started_at` is unix seconds."""

    def __init__(self, pipeline: Pipeline, started_at: float) -> None:
        self._pipeline = pipeline
        self._started_at = started_at
        self._keeper = pipeline.keeper

    def handlers(self) -> dict[str, Callable[[Exchange, Context], Awaitable[None]]]:
        return {
            "models": self._models,
            "model": self._model,
            "gemini_models": self._gemini_models,
            "gemini_model": self._gemini_model,
            "providers": self._providers,
            "health": self._health,
            "stats": self._stats,
            "alerts": self._alerts,
            "quotas": self._quotas,
            "reset_quotas": self._reset,
        }

    # ------------------------------------------------------------ models

    async def _models(self, exchange: Exchange, context: Context) -> None:
        """The list in the words of whoever asks: vendors' SDKs share this path, and tell themselves apart by their headers."""
        shape = sdk_shape(exchange.header)
        if shape == "gemini":
            await self._gemini_models(exchange, context)
            return
        if shape == "anthropic":
            rows = [self._anthropic_row(name) for name in self._names(context)]
            self._answer(exchange, context, ANTHROPIC.write_models(rows))
            return
        listed = [self._model_row(name) for name in self._names(context)]
        self._answer(exchange, context, {"object": "list", "data": listed})

    async def _model(self, exchange: Exchange, context: Context) -> None:
        shape = sdk_shape(exchange.header)
        if shape == "gemini":
            await self._gemini_model(exchange, context)
            return
        name = self._named(context)
        row = self._anthropic_row(name) if shape == "anthropic" else self._model_row(name)
        self._answer(exchange, context, row)

    async def _gemini_models(self, exchange: Exchange, context: Context) -> None:
        listed = [self._gemini_row(name) for name in self._names(context)]
        self._answer(exchange, context, gemini_models.write_models(listed))

    async def _gemini_model(self, exchange: Exchange, context: Context) -> None:
        self._answer(exchange, context, gemini_models.write_model(self._gemini_row(self._named(context))))

    def _names(self, context: Context) -> list[str]:
        tenant = context.settings
        return self._pipeline.routes.router.names(tenant.providers, tenant.models)

    def _named(self, context: Context) -> str:
        name = context.match.id
        if name not in self._names(context):
            raise ModelNotFound(f"The model '{name[:100]}' is not listed here. GET /models lists those that are.")
        return name

    def _anthropic_row(self, name: str) -> dict[str, Any]:
        abilities = self._pipeline.routes.abilities_of(name)
        return ANTHROPIC.model_entry(name, int(self._started_at), abilities.context, abilities.max_output)

    def _gemini_row(self, name: str) -> gemini_models.Listed:
        abilities = self._pipeline.routes.abilities_of(name)
        embeds = abilities.embedding_dimensions is not None
        return gemini_models.Listed(name, abilities.context, abilities.max_output, embeds)

    def _model_row(self, name: str) -> dict[str, Any]:
        owner = self._pipeline.routes.router.owner(name)
        return {"id": name, "object": "model", "created": int(self._started_at), "owned_by": owner}

    # ------------------------------------------------------------ providers and health

    def _mine(self, context: Context) -> list[Deployment]:
        allowed = context.settings.providers
        found = [d for d in self._pipeline.routes.deployments.values() if allowed is None or d.name in allowed]
        return sorted(found, key=lambda d: -d.settings.priority)

    async def _providers(self, exchange: Exchange, context: Context) -> None:
        mine = self._mine(context)
        self._answer(
            exchange,
            context,
            {"providers": [self._provider_row(d) for d in mine], "fallbackOrder": [d.name for d in mine]},
        )

    def _provider_row(self, deployment: Deployment) -> dict[str, Any]:
        now = self._pipeline.clock()
        breaker = deployment.breaker
        state = breaker.state(now)
        wait_s = breaker.retry_at(now)
        figures = self._figures(deployment.scope)
        tally = self._pipeline.recorder.tallies.shown(deployment.name)
        return {
            "name": deployment.name,
            "type": deployment.settings.type,
            "priority": deployment.settings.priority,
            "model": deployment.settings.default_model,
            "status": self._status(deployment, now),
            "circuitBreaker": {
                "state": state,
                "consecutiveFailures": breaker.consecutive_failures,
                "retryAt": round(time.time() + wait_s) if state != "closed" else None,
            },
            **figures,
            "metrics": tally.public(figures["quota"]["daily"]["used"]),
        }

    def _status(self, deployment: Deployment, now: float) -> str:
        """available, degraded (a probe is due, the last call failed, or a key rests) or unavailable (to all calls)."""
        state = deployment.breaker.state(now)
        spent = any(v.limit is not None and v.used >= v.limit for v in self._keeper.accounts([deployment.scope]))
        if spent or (state == "closed" and deployment.usable_at() > now):
            return "unavailable"
        if state == "closed" and (deployment.breaker.consecutive_failures or deployment.resting(now)):
            return "degraded"
        return STATUS_OF[state]

    async def _health(self, exchange: Exchange, context: Context) -> None:
        now = self._pipeline.clock()
        states = {d.name: self._status(d, now) for d in self._mine(context)}
        usable = [state for state in states.values() if state != "unavailable"]
        healthy = all(state == "available" for state in states.values())
        status = "unhealthy" if not usable else "healthy" if healthy else "degraded"
        body = {
            "status": status,
            "providers": states,
            "version": __version__,
            "uptimeSeconds": round(time.time() - self._started_at),
        }
        self._answer(exchange, context, body, 503 if status == "unhealthy" else 200)

    # ------------------------------------------------------------ figures

    def _figures(self, scope: str) -> dict[str, Any]:
        """{"quota": {"daily": …, "monthly": …}} of one scope, as /providers and /stats show it, and "budget" where there is one."""
        views = self._keeper.accounts([scope])
        by_unit = {unit: {v.window: _window(v) for v in views if v.unit == unit} for unit in UNITS}
        found = {"quota": by_unit[TOKENS]}
        return found | {"budget": by_unit[MICROUSD]} if by_unit[MICROUSD] else found

    def _scopes(self, context: Context) -> list[str]:
        """The tenant's own scopes: itself, and its share of each of its providers."""
        tenant = f"tenant:{context.tenant}"
        return [tenant, *(f"{tenant}/{d.scope}" for d in self._mine(context))]

    async def _stats(self, exchange: Exchange, context: Context) -> None:
        providers = {}
        for deployment in self._mine(context):
            quota = self._figures(f"tenant:{context.tenant}/{deployment.scope}")["quota"]
            tally = self._pipeline.recorder.tallies.shown(deployment.name, context.tenant)
            providers[deployment.name] = tally.public(quota["daily"]["used"])
        body = {
            "tenant": context.tenant,
            **self._figures(f"tenant:{context.tenant}"),
            "providers": providers,
            "alerts": self._alert_rows(context),
        }
        self._answer(exchange, context, body)

    async def _alerts(self, exchange: Exchange, context: Context) -> None:
        self._answer(exchange, context, {"alerts": self._alert_rows(context)})

    def _alert_rows(self, context: Context) -> list[Any]:
        scopes = self._scopes(context)
        if context.principal is not None and context.principal.is_admin:
            scopes += [d.scope for d in self._mine(context)]  # a provider's own quota is the operator's business
        return self._keeper.alerts(scopes)

    async def _quotas(self, exchange: Exchange, context: Context) -> None:
        accounts = self._keeper.accounts(self._scopes(context))
        body: dict[str, Any] = {"tenant": context.tenant, "accounts": accounts}
        if any(view.unit == MICROUSD for view in accounts):
            tallies = [self._pipeline.recorder.tallies.shown(d.name, context.tenant) for d in self._mine(context)]
            body["unpricedCalls"] = sum(tally.unpriced for tally in tallies)
            body["unpricedModels"] = self._pipeline.routes.unpriced(time.time(), context.tenant)
        self._answer(exchange, context, body)

    async def _reset(self, exchange: Exchange, context: Context) -> None:
        order = _order(await exchange.body())
        scopes = self._scopes(context)
        if order.scope is not None:
            if order.scope not in scopes:
                raise InvalidRequest(f"'scope' must be one of this tenant's: {', '.join(scopes)}.", param="scope")
            scopes = [order.scope]
        windows = (order.window,) if order.window else get_args(Window)
        units = (order.unit,) if order.unit else UNITS
        by = context.principal.user if context.principal is not None else ""
        before = await self._keeper.reset(scopes, windows, f"by {by}, request {context.request_id}", units)
        self._pipeline.recorder.log.event(
            "warning",
            "quota_reset",
            by=by,
            tenant=context.tenant,
            request_id=context.request_id,
            accounts=[
                {"scope": view.scope, "unit": view.unit, "period": view.period, "used": view.used} for view in before
            ],
        )
        self._answer(exchange, context, {"reset": before})

    def _answer(self, exchange: Exchange, context: Context, body: Any, status: int = 200) -> None:
        headers = (
            f"x-request-id: {context.request_id}\r\nrequest-id: {context.request_id}\r\ncache-control: no-store\r\n"
        )
        encoded = body if isinstance(body, bytes) else orjson.dumps(msgspec.to_builtins(body))
        exchange.answer(status, JSON + headers.encode(), encoded)
        self._pipeline.recorder.other(context, exchange.method, exchange.path, status, "")


def _window(view: AccountView) -> dict[str, Any]:
    return {
        "limit": view.limit,
        "used": view.used,
        "reserved": view.reserved,
        "remaining": view.remaining,
        "resetAt": view.reset_at,
    }


def _order(body: bytes) -> ResetOrder:
    if not body.strip():
        return ResetOrder()
    try:
        return msgspec.json.decode(body, type=ResetOrder)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f'The body of a reset is {{"scope"?, "window"?, "unit"?}}: {error}.') from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidJson("The body is not JSON.") from None

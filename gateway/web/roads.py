"""All of a plain call that its head, its model and the configuration fix: looked up once, not once a call.

A plain call is one that the first candidate can take as it is: same dialect, a whole answer, nothing to wait for (web.express).
"""

from __future__ import annotations

from msgspec import Struct

from gateway.call import Call, Terms
from gateway.core.breaker import Breaker
from gateway.deployment import Credential, Deployment
from gateway.errors import GatewayError
from gateway.recorder import PlainLine, Recorder
from gateway.routes import Choice, Routes
from gateway.types import Change, Passthrough, Peek
from gateway.upstream.request import header_lines
from gateway.web.relay import JSON, Headers


class Road(Struct, frozen=True, kw_only=True):
    """From one head, for one model, to one provider. `head`: the upstream request's; `block`: the answer's fixed headers."""

    choice: Choice
    model: str  # as core.ratios knows it
    passthrough: Passthrough | None  # None: the call is translated
    deployment: Deployment
    breaker: Breaker
    credential: Credential
    scopes: tuple[str, ...]
    head: bytes
    block: bytes
    respells: bool  # the model takes an output cap under its newer name only
    changes_model: bool
    change: Change
    line: PlainLine


def road_for(terms: Terms, routes: Routes, peek: Peek, headers: Headers, recorder: Recorder) -> Road | None:
    """The road of such calls, None when they are not plain: they take the long way, which also says what is wrong."""
    if terms.free or terms.timeout_s is not None or terms.session or terms.settings.default_temperature is not None:
        return None
    try:
        choice = routes.plan(Call("", "", terms, b"", peek, 0.0, 0.0))[0]
    except GatewayError:
        return None
    deployment = choice.deployment
    if len(deployment.credentials) != 1 or choice.tariff is not None:
        return None  # a budget needs the price of every call, before and after it: the long way knows them
    sent = terms.headers if choice.passthrough is not None else ()  # a vendor's own headers mean nothing to another
    if terms.traceparent:
        sent = (*sent, ("traceparent", terms.traceparent))
    return Road(
        choice=choice,
        model=f"{deployment.name}/{choice.model}",
        passthrough=choice.passthrough,
        deployment=deployment,
        breaker=deployment.breaker,
        credential=deployment.credentials[0],
        scopes=deployment.call_scopes(terms.tenant),
        head=deployment.head(0, choice.model, False, choice.dialect.name) + header_lines(sent),
        block=JSON + headers.block(deployment.name, choice.model),
        respells=choice.abilities.output_cap == "max_completion_tokens",
        changes_model=peek.model != choice.model,
        change=Change(
            model=choice.model if peek.model != choice.model else None, output_cap=choice.abilities.output_cap
        ),
        line=recorder.plain_line(routes, terms, peek.model, deployment.name, choice.model),
    )

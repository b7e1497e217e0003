"""One line for every key of gateway.yaml, for the schema that editors read and for docs/configuration.md.

A test compares this table with the fields of `gateway.settings`, so a key without its line does not pass.
"""

from __future__ import annotations

from msgspec import Struct

from gateway.settings import (
    Admin,
    Alerts,
    ApiKey,
    Auth,
    Breaker,
    Budget,
    Cache,
    Config,
    Fallback,
    JwtKey,
    Limits,
    Log,
    Provider,
    Quota,
    Server,
    Store,
    Tenant,
    Timeouts,
)
from gateway.types import Translation

MEANINGS: dict[type[Struct], dict[str, str]] = {
    Config: {
        "server": "The main listener and what it takes at most.",
        "admin": "Where /metrics is served, and to whom.",
        "auth": "How callers prove who they are. At least one way is needed.",
        "store": "Where quotas and usage are kept.",
        "providers": "Who is called, by a name of your choice. At least one.",
        "models": "Aliases: each a list of `provider/model`, or of `provider` for its default_model, tried in the order written.",
        "fallback": "What happens when a provider fails before its first content.",
        "breaker": "When a failing provider is left alone, and for how long.",
        "limits": "Rates for every tenant; a tenant may have its own, field by field.",
        "tenants": "Who is served, by name. Without this section everybody is, with 50 000 tokens a day and 1 000 000 a month.",
        "alerts": "When a quota's use is announced, and where.",
        "cache": "Answers kept for equal requests of the same tenant. Not supported yet: `enabled: true` is refused.",
        "log": "What the log on standard error says.",
        "translation": "Choices where dialects do not match.",
    },
    Server: {
        "host": "Address to listen on; 0.0.0.0 for all.",
        "port": "Port to listen on; 0 takes a free one.",
        "workers": "Processes; `auto` is one for each core.",
        "max_body_mb": "Largest request body.",
        "max_in_flight": "Calls at once in a process; more are refused with 503 `overloaded`.",
        "drain_s": "How long calls in flight may take to end when the gateway stops.",
        "fast_lane": "Serve the chat routes by the leaner HTTP parser.",
    },
    Admin: {
        "port": "A port of its own for /metrics; null shares the main one.",
        "host": "Address of that port.",
        "metrics_public": "Whether /metrics on the main port needs no admin credential.",
    },
    Auth: {
        "jwt": "Accepted ways to sign a token, one algorithm each. Not written: HS256 with `GATEWAY_JWT_SECRET`, if that is set.",
        "tenant_claim": "Claim that holds the tenant, or a list of tenants.",
        "user_claim": "Claim that holds the user.",
        "roles_claim": "Claim that holds the roles: user, admin.",
        "api_keys": "Long-lived keys, by their hash.",
    },
    JwtKey: {
        "algorithm": "The only algorithm accepted with this key.",
        "secret": "For HS algorithms: at least 32 bytes.",
        "public_key": "For the other algorithms: the public key as PEM, for example `${file:/etc/gateway/jwt.pem}`.",
        "jwks_url": "For the other algorithms: where the issuer publishes its keys.",
        "issuer": "Required value of `iss`; null accepts any.",
        "audience": "Accepted values of `aud`; null accepts any.",
        "leeway_s": "Tolerance for clocks that differ.",
    },
    ApiKey: {
        "sha256": 'SHA-256 of the key in lower-case hexadecimal: `printf %s "$KEY" | sha256sum`.',
        "tenant": "The tenant or tenants it acts for.",
        "name": "Its name in logs.",
        "roles": "user, admin.",
    },
    Store: {
        "url": "`memory://` (one process, forgets), `sqlite:///path` (one machine), `redis://[user:password@]host:6379/0` or `rediss://` for TLS (many; Redis or Valkey)."
    },
    Provider: {
        "type": "Whose API it speaks. azure, bedrock and vertex are reserved: this version does not serve them.",
        "api_key": "Its API key.",
        "api_keys": "Several keys instead of one, balanced; a key that is refused or limited pauses alone.",
        "base_url": "Its address: with the version for openai (…/v1), without for anthropic and gemini. Null is the vendor's own.",
        "default_model": "The model when the caller names none, and for fallbacks to this provider.",
        "priority": "Higher is tried first.",
        "models": 'Public name to upstream name; `"*"` lets any name through.',
        "quota": "Tokens that all tenants together may use here.",
        "budget": "Money that all tenants together may spend here.",
        "timeouts": "How long to wait for it.",
    },
    Timeouts: {
        "connect_s": "Until the connection stands.",
        "first_byte_s": "From the request to the first byte of the answer.",
        "idle_s": "Between two pieces of an answer.",
        "total_s": "For an attempt as a whole.",
    },
    Quota: {
        "daily_tokens": "Tokens for each UTC day; null is no limit.",
        "monthly_tokens": "Tokens for each UTC month; null is no limit.",
    },
    Budget: {
        "daily_usd": "US dollars for each UTC day, at most six decimals; null is no limit.",
        "monthly_usd": "US dollars for each UTC month, at most six decimals; null is no limit.",
    },
    Fallback: {
        "enabled": "Whether anyone else is tried at all.",
        "max_attempts": "Upstream calls for one request; what is skipped does not count.",
        "across_providers": "Whether other providers follow the one that was asked for, by priority.",
        "retry_budget_percent": "Share of a provider's calls that may be retries of the same provider.",
    },
    Breaker: {
        "failures": "Failures in a row that open it.",
        "open_s": "How long it stays open before one probe.",
    },
    Limits: {
        "requests_per_minute": "Requests a minute; null is no limit.",
        "tokens_per_minute": "Tokens a minute; null is no limit.",
        "concurrency": "Calls at once; null is no limit.",
    },
    Tenant: {
        "quota": "Its tokens; fields that are not written are those of `default`.",
        "budget": "Its money, at the prices of the catalogue; fields that are not written are those of `default`.",
        "limits": "Its rates; fields that are not written are those of the top-level `limits`.",
        "providers": "The providers it may use; null is all.",
        "models": "The models and aliases it may use; null is all.",
        "default_temperature": "Temperature when the caller gives none; not written: that of `default`; null: the provider's own.",
        "provider_quota": "Its tokens at single providers.",
        "provider_budget": "Its money at single providers.",
        "allow_unlisted": "On `default` only: whether tenants that are not listed are served, with its settings.",
    },
    Alerts: {
        "thresholds_percent": "Shares of a quota that are announced, ascending.",
        "webhook_url": "Where alerts are posted; null is nowhere.",
        "webhook_secret": "Signs the posts (`x-gateway-signature`).",
    },
    Cache: {
        "enabled": "Whether answers are kept.",
        "ttl_s": "How long.",
        "max_mb": "How much of them, in a process.",
    },
    Log: {
        "level": "The least severe lines that are written.",
        "format": "Lines of JSON, or text for people.",
        "content": "Whether prompts and answers are logged. Not supported yet: true is refused.",
    },
    Translation: {
        "anthropic_sampling": "Sampling parameters that newer Claude models refuse: `legacy` sends them where they are taken, `drop` never.",
        "repair_history": "Mend conversations that a provider would refuse, such as tool calls without results.",
        "fanout_n": "Serve `n` above 1 by several calls where the provider has no such parameter. Not supported yet: true is refused.",
        "forced_tool": (
            "A forced tool call that a model refuses: `emulate` has it by structured output, `auto` leaves the model free, "
            "`reject` refuses the request."
        ),
        "auto_cache": "Have Anthropic cache the prompts of requests that bring no cache marks of their own.",
        "expose_reasoning": "Show the model's reasoning to callers whose dialect has a place for it.",
        "expose_opaque": "Show Chat callers the blocks of tools that a vendor ran (searches, code), in `extra_content`.",
        "model_echo": (
            "The model's name in translated answers: as `requested`, or the `upstream` one. "
            "Answers that pass through keep the provider's."
        ),
    },
}

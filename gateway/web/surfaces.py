"""The route table: every path we serve, in one place. Path -> surface, handler, tenant; a test walks it.

The same handlers answer under /api/v1/{tenant}/ai, under /api/v1/{tenant}/ai/v1 (SDKs differ in what they append) and at the
bare root, where the credential names the tenant. Pure: no I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

Access = Literal["open", "user", "admin", "metrics"]


class Route(Struct, frozen=True):
    """method and pattern of a path below the base ({name} is one segment, {id} one or more), who may call it, and the handler's name."""

    method: str
    pattern: str
    handler: str
    surface: str
    access: Access = "user"
    shape: str = "openai"  # whose words a refusal takes (web.spoken)


GEMINI_ACTIONS = (
    ("generateContent", "generate_content", "generate_content"),
    ("streamGenerateContent", "stream_content", "generate_content"),
    ("countTokens", "count_contents", "count_tokens"),
    ("embedContent", "embed_content", "embeddings"),
    ("batchEmbedContents", "embed_contents", "embeddings"),
)

UNDER_BASE: tuple[Route, ...] = (
    Route("POST", "/chat/completions", "chat", "chat_completions"),
    Route("POST", "/completions", "completions", "completions"),
    Route("POST", "/embeddings", "embeddings", "embeddings"),
    Route("POST", "/moderations", "moderations", "moderations"),
    Route("POST", "/responses", "responses", "responses"),
    Route("POST", "/responses/input_tokens", "count_responses", "count_tokens"),
    Route("GET", "/responses/{name}", "response", "responses"),
    Route("DELETE", "/responses/{name}", "delete_response", "responses"),
    Route("GET", "/responses/{name}/input_items", "response_items", "responses"),
    Route("POST", "/responses/{name}/cancel", "cancel_response", "responses"),
    Route("POST", "/chat", "native_chat", "native"),
    Route("POST", "/messages", "messages", "messages", shape="anthropic"),
    Route("POST", "/messages/count_tokens", "count_messages", "count_tokens", shape="anthropic"),
    *(
        Route("POST", f"{base}:{action}", handler, surface, shape="gemini")
        for base in ("/v1beta/models/{id}", "/models/{id}")
        for action, handler, surface in GEMINI_ACTIONS
    ),
    Route("GET", "/v1beta/models", "gemini_models", "models", shape="gemini"),
    Route("GET", "/v1beta/models/{id}", "gemini_model", "models", shape="gemini"),
    Route("GET", "/models", "models", "models"),
    Route("GET", "/models/{id}", "model", "models"),
    Route("GET", "/providers", "providers", "native"),
    Route("GET", "/health", "health", "native"),
    Route("GET", "/stats", "stats", "native"),
    Route("GET", "/alerts", "alerts", "native"),
    Route("GET", "/quotas", "quotas", "native"),
    Route("POST", "/quotas/reset", "reset_quotas", "native", "admin"),
)

# Doors of their own in the aiohttp application (an upgrade is no exchange), listed here so that every path has one table.
SOCKETS: tuple[Route, ...] = (Route("GET", "/stream", "websocket", "websocket"),)

AT_ROOT: tuple[Route, ...] = (
    Route("GET", "/livez", "livez", "health", "open"),
    Route("GET", "/readyz", "readyz", "health", "open"),
    Route("GET", "/metrics", "metrics", "metrics", "metrics"),
)

MAX_CACHED = 4096
_TENANT = re.compile(r"/api/v1/([^/]+)/ai(/.*)?")
_ID = "[^/]+(?:/[^/]+)*"  # a model id may contain slashes (provider/model)
# What ends in an action of Gemini's is a path of its own, and no model's name.
_NO_ACTION = "(?!.*:(?:" + "|".join(action for action, _, _ in GEMINI_ACTIONS) + ")$)"


class Match(Struct, frozen=True):
    """A path that is served. `tenant` None at the root: the credential names it. `id` is the last variable of the pattern."""

    route: Route
    tenant: str | None = None
    id: str = ""


class NoRoute(Exception):
    """Nothing is served there; `allowed` lists methods when the path exists for others."""

    def __init__(self, allowed: tuple[str, ...] = (), shape: str = "openai") -> None:
        super().__init__()
        self.allowed = allowed
        self.shape = shape


class Surfaces:
    """Finds the route of a request. Found ones are remembered, bounded; misses are not, so nobody can fill the memory."""

    def __init__(self) -> None:
        self._fixed = {(r.method, r.pattern): r for r in (*UNDER_BASE, *SOCKETS) if "{" not in r.pattern}
        self._variable = [(r, _pattern(r.pattern)) for r in UNDER_BASE if "{" in r.pattern]
        self._root = {(r.method, r.pattern): r for r in AT_ROOT}
        self._found: dict[tuple[str, str], Match] = {}

    def match(self, method: str, path: str) -> Match:
        """The route of a percent-decoded path without its query. Raises NoRoute."""
        found = self._found.get((method, path))
        if found is None:
            found = self._search(method, path)
            if len(self._found) >= MAX_CACHED:
                self._found.clear()
            self._found[method, path] = found
        return found

    def _search(self, method: str, path: str) -> Match:
        asked = "GET" if method == "HEAD" else method
        root = self._root.get((asked, path))
        if root is not None:
            return Match(root)
        based = _TENANT.fullmatch(path)
        if based is not None:
            return self._below(asked, based[2] or "", based[1])
        if any(pattern == path for _, pattern in self._root):
            raise NoRoute(("GET", "HEAD"))
        if path.startswith(("/v1/", "/v1beta/")):  # bare paths need the version: everything else at the root is ours
            return self._below(asked, path, None)
        raise NoRoute(shape=_shape_of(path))

    def _below(self, method: str, rest: str, tenant: str | None) -> Match:
        rest = rest.rstrip("/") or "/"
        if rest == "/v1" or rest.startswith("/v1/"):
            rest = rest[3:] or "/"
        route = self._fixed.get((method, rest))
        if route is not None:
            return Match(route, tenant)
        for candidate, pattern in self._variable:
            hit = pattern.fullmatch(rest)
            if hit and candidate.method == method:
                return Match(candidate, tenant, hit["id"])
        others = {m for m, pattern in self._fixed if pattern == rest}
        others |= {r.method for r, pattern in self._variable if pattern.fullmatch(rest)}
        raise NoRoute(tuple(sorted(others)), _shape_of(rest))


def _pattern(path: str) -> re.Pattern[str]:
    id_ = _NO_ACTION + _ID if path.endswith("{id}") else _ID
    whole = re.escape(path).replace(r"\{id\}", f"(?P<id>{id_})").replace(r"\{name\}", "(?P<id>[^/]+)")
    return re.compile(whole)


def _shape_of(path: str) -> str:
    """Whose words are understood where nothing is served: SDKs of a vendor ask for paths of that vendor."""
    if path.startswith(("/v1beta/", "/v1beta", "/v1/models/")) or ":" in path:
        return "gemini"
    return "anthropic" if path.startswith("/messages") else "openai"


SHARED = frozenset({"models", "model"})  # handlers of paths that all vendors' SDKs ask for


def sdk_shape(header: Callable[[str], str | None]) -> str:
    """Whose words the client of a shared path, or of none, understands: SDKs tell themselves apart by their headers."""
    if header("x-goog-api-client") or header("x-goog-api-key"):
        return "gemini"
    return "anthropic" if header("anthropic-version") else "openai"

"""Everything that can go wrong, in two trees.

    Fault: what an upstream did (kind x where to go next)      GatewayError: what a client sees
      connect, reset, timeout, rate_limited, overloaded, …       BadInput 400 … StoreUnavailable 503

A fault is classified where it is born (the transport, or the provider that knows its vendor) and becomes a GatewayError only
when nobody is left to try. Rule 1: `safe_message` may reach a client; nothing else of an upstream may.
Rule 2: texts are never matched to find out what happened; kinds and codes are.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, Literal

from msgspec import Struct

FaultKind = Literal[
    "connect",  # DNS, connect, TLS: nothing was sent
    "reset",  # the connection broke before or inside the answer
    "first_byte_timeout",
    "idle_timeout",
    "total_timeout",
    "server_error",  # 5xx
    "overloaded",  # 503, 529
    "rate_limited",  # 429, by the minute
    "quota_exhausted",  # 429 or 402, the operator's account is spent
    "auth",  # 401, 403: the operator's credential
    "forbidden",  # 403: not the credential, but what it may not do: this model, file or region
    "model_missing",  # 404
    "context_overflow",
    "bad_request",  # 400, 404, 413, 422: the client's request
    "bad_reply",  # unparsable, wrong content type, without its end
    "empty",  # 200 with nothing in it
    "error_event",  # an error inside a 200 stream
    "truncated",  # a stream without its end
    "gone",  # the client left
    "deadline",  # the call's own deadline passed
    "stopping",  # the gateway is being stopped
    # A refusal of what our translation made: one retry after `core.repair` mends it, else the client's like a bad_request.
    "wrong_endpoint",  # the model takes this request on another path of the vendor only (tools while thinking: /responses)
    "replay_mismatch",  # thoughts of earlier turns do not belong to this conversation any more
    "parameter_refused",  # the model does not take `Fault.param`
    "signature_missing",  # Gemini misses the signature of a call
]

# Refusals of a request as it was sent. All but the first may be mended once (core.repair); unmended they are the client's.
CLIENTS_OWN: tuple[FaultKind, ...] = (
    "bad_request",
    "wrong_endpoint",
    "replay_mismatch",
    "parameter_refused",
    "signature_missing",
)


class Next(Enum):
    """Where to go after a fault. SAME: the same provider once more (or the next one). OTHER: only another one. STOP: nowhere."""

    SAME = "same"
    OTHER = "other"
    STOP = "stop"


class Fault(Struct, frozen=True, kw_only=True):
    """One failed attempt. Whether it counts for the breaker and what cools down follows from `kind` (core.retry)."""

    kind: FaultKind
    next: Next
    status: int | None = None  # what the upstream answered, if it did
    safe_message: str = ""  # may be shown to the client
    log_message: str = ""  # for the operator
    code: str | None = None  # the vendor's own code, passed on with client errors
    param: str | None = None
    retry_after_s: float | None = None
    body: bytes = b""  # the vendor's error body, for a client of the same dialect and only for its own mistakes


class GatewayError(Exception):
    """What a client sees: status, type, code, message. Subclasses fix the first three; `ERRORS` is the table for the docs."""

    status: int = 500
    type: str = "api_error"
    code: str | None = "internal_error"
    should_retry: bool | None = None  # x-should-retry; None leaves the header out

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        status: int | None = None,
        retry_after_s: float | None = None,
        attempts: list[dict[str, Any]] | None = None,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code if code is not None else type(self).code
        self.status = status if status is not None else type(self).status
        self.retry_after_s = retry_after_s
        self.attempts = attempts
        self.headers = headers or {}
        self.body = body  # a vendor's error body to relay as it is, to a client of the same dialect
        self.request_id = ""

    def identify(self, request_id: str) -> None:
        """Say in the message which request this was, so that a user's report leads to the log line."""
        if not self.request_id:
            self.request_id = request_id
            self.message = f"{self.message} (request id: {request_id})"


class InvalidRequest(GatewayError):
    status, type, code = 400, "invalid_request_error", "invalid_request"


class InvalidJson(InvalidRequest):
    code = "invalid_json"


class UnsupportedParameter(InvalidRequest):
    code = "unsupported_parameter"


class UnsupportedContent(InvalidRequest):
    code = "unsupported_content"


class PrefillNotSupported(InvalidRequest):
    code = "prefill_not_supported"


class ContextLengthExceeded(InvalidRequest):
    code = "context_length_exceeded"


class InvalidApiKey(GatewayError):
    status, type, code = 401, "authentication_error", "invalid_api_key"


class TenantForbidden(GatewayError):
    status, type, code = 403, "permission_error", "tenant_forbidden"


class AdminRequired(GatewayError):
    status, type, code = 403, "permission_error", "admin_required"


class ModelNotFound(GatewayError):
    status, type, code = 404, "invalid_request_error", "model_not_found"


class NotFound(GatewayError):
    status, type, code = 404, "invalid_request_error", "not_found"


class MethodNotAllowed(GatewayError):
    status, type, code = 405, "invalid_request_error", "method_not_allowed"


class RequestTimeout(GatewayError):
    status, type, code = 408, "timeout_error", "request_timeout"


class RequestTooLarge(GatewayError):
    status, type, code = 413, "invalid_request_error", "request_too_large"


class UnsupportedMediaType(GatewayError):
    status, type, code = 415, "invalid_request_error", "unsupported_media_type"


class QuotaExceeded(GatewayError):
    """The limit is spent; only the window's end or an operator changes that."""

    status, type, code = 429, "insufficient_quota", "quota_exceeded"
    should_retry = False


class QuotaReserved(GatewayError):
    """Only reservations of calls in flight stand in the way; a moment later there may be room."""

    status, type, code = 429, "rate_limit_error", "quota_reserved"
    should_retry = True


class RateLimitExceeded(GatewayError):
    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"
    should_retry = True


class ConcurrencyExceeded(GatewayError):
    status, type, code = 429, "rate_limit_error", "concurrency_exceeded"
    should_retry = True


class InternalError(GatewayError):
    """A bug of ours, at the request border."""


class UpstreamError(GatewayError):
    status, type, code = 502, "api_error", "upstream_error"
    should_retry = False


class UpstreamAuth(UpstreamError):
    code = "upstream_auth"


class UpstreamUnreachable(UpstreamError):
    code = "upstream_unreachable"


class UpstreamInvalidResponse(UpstreamError):
    code = "upstream_invalid_response"


class NoProviderAvailable(GatewayError):
    status, type, code = 503, "service_unavailable", "no_provider_available"
    should_retry = False


class UpstreamOverloaded(GatewayError):
    status, type, code = 503, "service_unavailable", "upstream_overloaded"
    should_retry = False


class Overloaded(GatewayError):
    """We shed load before reading the body."""

    status, type, code = 503, "service_unavailable", "overloaded"
    should_retry = True


class StoreUnavailable(GatewayError):
    status, type, code = 503, "service_unavailable", "store_unavailable"
    should_retry = True


class UpstreamTimeout(GatewayError):
    status, type, code = 504, "timeout_error", "upstream_timeout"
    should_retry = False


class DeadlineExceeded(GatewayError):
    status, type, code = 504, "timeout_error", "deadline_exceeded"
    should_retry = False


ERRORS: tuple[type[GatewayError], ...] = (
    InvalidRequest,
    InvalidJson,
    UnsupportedParameter,
    UnsupportedContent,
    PrefillNotSupported,
    ContextLengthExceeded,
    InvalidApiKey,
    TenantForbidden,
    AdminRequired,
    ModelNotFound,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    RequestTooLarge,
    UnsupportedMediaType,
    QuotaExceeded,
    QuotaReserved,
    RateLimitExceeded,
    ConcurrencyExceeded,
    InternalError,
    UpstreamError,
    UpstreamAuth,
    UpstreamUnreachable,
    UpstreamInvalidResponse,
    NoProviderAvailable,
    UpstreamOverloaded,
    Overloaded,
    StoreUnavailable,
    UpstreamTimeout,
    DeadlineExceeded,
)

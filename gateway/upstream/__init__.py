"""The way to the providers: our own HTTP/1.1 client. Begin reading at `client`; the public names are these."""

from gateway.upstream.client import Upstream
from gateway.upstream.fetch import Answer, UpstreamFailed, fetch
from gateway.upstream.headers import Headers
from gateway.upstream.pool import PoolStats, Tuning
from gateway.upstream.request import Origin, UpstreamRequest, head, header_lines
from gateway.upstream.sink import Sink
from gateway.upstream.transfer import Transfer

__all__ = [
    "Answer",
    "Headers",
    "Origin",
    "PoolStats",
    "Sink",
    "Transfer",
    "Tuning",
    "Upstream",
    "UpstreamFailed",
    "UpstreamRequest",
    "fetch",
    "head",
    "header_lines",
]

"""The faults of the transport: their words for a client, their detail for the operator, and where a call goes next."""

from __future__ import annotations

from gateway.errors import Fault, FaultKind, Next

_SAFE: dict[FaultKind, str] = {
    "connect": "The provider could not be reached.",
    "reset": "The provider closed the connection before its answer was complete.",
    "first_byte_timeout": "The provider did not begin to answer in time.",
    "idle_timeout": "The provider stopped in the middle of its answer.",
    "total_timeout": "The provider did not finish its answer in time.",
    "bad_reply": "The provider's answer could not be read.",
}


def fault(kind: FaultKind, detail: str) -> Fault:
    """A fault of the transport. `detail` may name hosts and is for the operator; the client gets a sentence without names.

    After all of total_s there is no time left for the same provider; everything else is worth one more try there.
    """
    where = Next.OTHER if kind == "total_timeout" else Next.SAME
    return Fault(kind=kind, next=where, safe_message=_SAFE[kind], log_message=detail)

"""TLS towards providers: verified, HTTP/1.1 only, with sessions taken up again.

A resumed handshake saves a signature and the certificate chain. asyncio and uvloop have no argument for a session, but both
make their TLS object by `context.wrap_bio`: that is where the remembered session is put in.
"""

from __future__ import annotations

import ssl


class Context(ssl.SSLContext):
    """A client context that remembers the last session of each server name.

    Sessions stay with the context that verified them: they never cross to another certificate authority.
    """

    def __init__(self, protocol: int) -> None:
        super().__init__()  # the protocol was taken by __new__
        self._sessions: dict[str, ssl.SSLSession] = {}

    def wrap_bio(
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:
        """As the standard library's, with the remembered session when the caller names none."""
        known = session or self._sessions.get(str(server_hostname))
        return super().wrap_bio(incoming, outgoing, server_side, server_hostname, known)

    def remember(self, server_hostname: str, tls: ssl.SSLObject) -> None:
        """Keep the session of an established connection. TLS 1.3 sends it late: call this after the first answer."""
        if tls.session is not None:
            self._sessions[server_hostname] = tls.session


def context(ca_file: str | None) -> Context:
    """Certificates and host names are checked against `ca_file` (PEM) alone, or the system's authorities.

    Raises OSError (ssl.SSLError included) for a file that cannot be read.
    """
    made = Context(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and host name, from 3.10 on refuses TLS below 1.2
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["http/1.1"])
    if ca_file is None:
        made.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        made.load_verify_locations(ca_file)
    return made

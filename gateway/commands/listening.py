"""Listening sockets: one for a process of its own, or one for each worker on the same port."""

from __future__ import annotations

import socket

from gateway.commands.failing import CommandError

BACKLOG = 1024


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises CommandError that says what stands in the way."""
    sock = _bound(host, port, share=False)
    sock.listen(BACKLOG)
    return sock


def free_port(host: str, port: int) -> int:
    """The port, or one that is free for 0. Raises CommandError when someone has it: SO_REUSEPORT alone would share it silently."""
    with listen(host, port) as probe:
        found: int = probe.getsockname()[1]
    return found


def share(host: str, port: int) -> socket.socket:
    """One of several sockets on a port. It gets connections from the moment that someone calls listen on it."""
    return _bound(host, port, share=True)


def _bound(host: str, port: int, *, share: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        raise CommandError(
            f"cannot listen on {host}:{port}: {error.strerror or error}. Choose another with --port."
        ) from None
    sock.setblocking(False)
    return sock

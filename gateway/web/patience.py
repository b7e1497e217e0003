"""How long a client may take: for its head, between its requests, and to take what was written for it. One set for both doors.

(Bodies: door.BODY_TIMEOUT_S. Streams whose upstream had to be paused: relay.STUCK_AFTER_S.)
"""

from __future__ import annotations

HEAD_TIMEOUT_S = 30.0
IDLE_S = 75.0
STUCK_S = 30.0
LAST_S = 1.0  # when the gateway stops: a client cannot know, and may just have begun to send
LINGER_S = 10.0  # how long a client that was refused may go on sending


class Unsent:
    """Notices a client that takes nothing: the very same number of bytes waits for it, time after time."""

    __slots__ = ("_bytes", "_since")

    def __init__(self) -> None:
        self._bytes = 0
        self._since = 0.0

    def stuck(self, unsent_bytes: int, now: float) -> bool:
        """Whether nothing was taken for STUCK_S. Asked every second or so."""
        if unsent_bytes != self._bytes:
            self._bytes, self._since = unsent_bytes, now
        return unsent_bytes > 0 and now - self._since > STUCK_S

"""A stream as one JSON array: what Gemini's clients get who did not ask for alt=sse."""

from __future__ import annotations

from gateway.dialects.gemini_client_array import ArrayForm
from gateway.errors import GatewayError
from gateway.web.relay import JSON, HttpOutlet


class ArrayOutlet(HttpOutlet):
    """An HttpOutlet for streams that are no event streams. The dialect's writer knows; bytes that pass through are turned."""

    _form: ArrayForm | None = None

    def _begin(self, headers: bytes) -> None:
        self._exchange.begin(200, JSON + headers)

    def raw(self, data: bytes) -> None:
        if self._form is None:
            self._form = ArrayForm()
        super().raw(self._form.feed(data))

    def _between_frames(self) -> bool:
        return True  # the form lets whole elements through, and white space may stand between them

    def end(self) -> None:
        if self._form is not None:
            self._exchange.write(self._form.end())
        super().end()

    def _error_frame(self, error: GatewayError) -> bytes:
        return super()._error_frame(error) if self._form is None else self._form.error(error)

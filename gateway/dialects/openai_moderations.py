"""OpenAI's moderations: bytes pass through to a provider that has them; only the top level is read."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from gateway.core.splice import set_members
from gateway.dialects.openai_checks import missing
from gateway.dialects.openai_errors import write_error
from gateway.dialects.openai_top import model_name, refuse_two_readings, top_level
from gateway.types import BadReply, Change, ClientError, Glance, OnlyPassed, Peek

_decode_top = msgspec.json.Decoder(dict[str, Raw]).decode


class OpenAIModerations(OnlyPassed):
    """What POST /moderations needs of a dialect: peek, change, glance and errors. No tokens are billed."""

    name = "openai_moderations"

    def peek(self, body: bytes) -> Peek:
        """Read the top level. `model` is "" when the client named none, which OpenAI allows. Raises BadRequest."""
        fields = top_level(body)
        model = "" if "model" not in fields else model_name(fields["model"])
        refuse_two_readings(body, fields)
        if bytes(fields.get("input", b"null")) == b"null":
            raise missing("input")
        return Peek(model, stream=False, max_tokens=0)

    def change(self, body: bytes, peek: Peek, change: Change) -> bytes:
        """The body with the model's name changed. A client that named no model gets none: the vendor has its own default."""
        if not peek.model or change.model is None or change.model == peek.model:
            return body
        return set_members(body, _decode_top(body), {"model": msgspec.json.encode(change.model)})

    def glance(self, body: bytes) -> Glance:
        """Moderations report no usage. Raises BadReply for what is no answer."""
        try:
            answer = _decode_top(body)
        except (ValueError, RecursionError) as error:
            raise BadReply(f"the answer is no JSON object: {error}") from None
        if "results" not in answer:
            raise BadReply("the answer has no results")
        return Glance(None, empty=False)

    def write_error(self, error: ClientError) -> bytes:
        return write_error(error)


OPENAI_MODERATIONS = OpenAIModerations()

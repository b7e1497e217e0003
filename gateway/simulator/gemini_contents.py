"""The contents of a request as Gemini reads them: turns, parts, function calls with their signatures, media."""

from __future__ import annotations

from typing import Any

import orjson
from msgspec import Struct, field

from gateway.simulator import media
from gateway.simulator.gemini_config import field_error
from gateway.simulator.gemini_errors import refused
from gateway.simulator.gemini_models import Rules
from gateway.simulator.model import Result
from gateway.simulator.signatures import verify
from gateway.simulator.tokens import count, image

DATA = (
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
)
SENTINELS = ("skip_thought_signature_validator", "context_engineering_is_the_way_to_go")
# The same words as bytes, for clients that base64 every signature.
ENCODED_SENTINELS = ("c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=", "Y29udGV4dF9lbmdpbmVlcmluZ19pc190aGVfd2F5X3RvX2dv")
ANSWER_TO_CALL = "Please ensure that function response turn comes immediately after a function call turn."


class Talk(Struct):
    """What was read: the last thing the user said, media in words, the results at the end, the tokens of everything."""

    prompt: str = ""
    follow: str = ""
    seen: list[str] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    tokens: int = 0


def read_contents(body: dict[str, Any], rules: Rules) -> Talk:
    """Check and read the conversation of a request. Raises Refused."""
    contents = body.get("contents", [])
    if not contents:
        raise field_error("contents", "contents is not specified")
    reader = Reader(rules)
    if "systemInstruction" in body:
        reader.parts(body["systemInstruction"], "system_instruction")
        reader.talk.seen = []
    for place, content in enumerate(contents):
        reader.content(content, place)
    reader.finish(contents[-1])
    check_signatures(contents, rules)
    return reader.talk


class Reader:
    """Walks the contents; `open` are the calls of the turn before."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.talk = Talk()
        self._open: list[dict[str, Any]] = []
        self._before = ""

    def content(self, content: dict[str, Any], place: int) -> None:
        role = content.get("role", "user")
        if role not in ("user", "model", "function"):
            raise refused("Please use a valid role: user, model.")
        parts = content.get("parts", [])
        calls = [part["functionCall"] for part in parts if "functionCall" in part]
        answers = [part["functionResponse"] for part in parts if "functionResponse" in part]
        self._check_order(calls, answers, place)
        # A part's media belong to the message they stand in.
        self.talk.seen = []
        texts = self.parts(content, f"contents[{place}]")
        if role == "model":
            self.talk.results, self.talk.follow, self.talk.seen = [], "", []
        else:
            self._user(answers, " ".join(filter(None, texts)))
        self._open, self._before = calls, "response" if answers else role

    def _check_order(self, calls: list[dict[str, Any]], answers: list[dict[str, Any]], place: int) -> None:
        if calls and self._before not in ("user", "response"):
            raise refused(
                "Please ensure that function call turn comes immediately after a user turn or after a function response turn."
            )
        if answers and not self._open:
            raise refused(ANSWER_TO_CALL)
        if self._open and len(answers) != len(self._open):
            raise refused(
                "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn."
            )
        for number, answer in enumerate(answers):
            path = f"contents[{place}].parts[{number}].function_response"
            if not answer.get("name"):
                raise field_error(f"{path}.name", "Name cannot be empty.")
            if answer.get("id") and answer["id"] not in [call.get("id") for call in self._open]:
                raise refused(
                    f"Function response id {answer['id']} does not match any function call id of the function call turn."
                )
            if answer["name"] not in [call.get("name") for call in self._open]:
                raise refused(
                    f"Function response name {answer['name']} does not match any function call of the function call turn."
                )

    def _user(self, answers: list[dict[str, Any]], said: str) -> None:
        if answers:
            self.talk.results = [_result(answer) for answer in answers]
            self.talk.follow = said
        else:
            self.talk.results, self.talk.follow = [], ""
        self.talk.prompt = said or (self.talk.prompt if answers else "")

    def finish(self, last: dict[str, Any]) -> None:
        """What the conversation may end with."""
        if self._open:
            raise refused(
                "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn."
            )
        if last.get("role") == "model" and not self.rules.prefill:
            raise refused("Please ensure that multiturn requests end with a user role or a function response.")

    # ------------------------------------------------------------ parts

    def parts(self, content: dict[str, Any], path: str) -> list[str]:
        """Check the parts of a content and return what they say."""
        if not content.get("parts"):
            raise field_error(f"{path}.parts", "contents.parts must not be empty.")
        return [self._part(part, f"{path}.parts[{number}]") for number, part in enumerate(content["parts"])]

    def _part(self, part: dict[str, Any], path: str) -> str:
        kinds = [name for name in DATA if name in part]
        if len(kinds) > 1:
            raise refused(
                f"Invalid value at '{path}' (oneof), oneof field 'data' is already set. Cannot set '{kinds[1]}'"
            )
        empty = not kinds or (kinds == ["text"] and not part["text"])
        if empty and "thoughtSignature" not in part:
            raise field_error(f"{path}.data", "required oneof field 'data' must have one initialized field")
        match kinds[0] if kinds else "":
            case "text":
                self.talk.tokens += count(part["text"])
                return "" if part.get("thought") else part["text"]
            case "inlineData":
                self.talk.seen.append(self._blob(part["inlineData"], f"{path}.inline_data"))
            case "fileData":
                self._file(part["fileData"], f"{path}.file_data")
            case "functionCall":
                call = part["functionCall"]
                if not call.get("name"):
                    raise field_error(f"{path}.function_call.name", "Name cannot be empty.")
                self.talk.tokens += count(call["name"]) + count(orjson.dumps(call.get("args", {})).decode())
            case "functionResponse":
                self._response(part["functionResponse"], f"{path}.function_response")
        return ""

    def _response(self, response: dict[str, Any], path: str) -> None:
        self.talk.tokens += count(orjson.dumps(response.get("response", {})).decode())
        for number, part in enumerate(response.get("parts", [])):
            if "inlineData" in part:
                self._blob(part["inlineData"], f"{path}.parts[{number}].inline_data")

    def _file(self, file: dict[str, Any], path: str) -> None:
        if not file.get("fileUri"):
            raise field_error(f"{path}.file_uri", "file_uri must not be empty.")
        self.talk.tokens += image(file["fileUri"])
        self.talk.seen.append("I see a file by its URL.")

    def _blob(self, blob: dict[str, Any], path: str) -> str:
        mime, data = blob.get("mimeType", ""), blob.get("data", "")
        if not mime:
            raise refused("Unsupported MIME type: ")
        self.talk.tokens += image(data)
        raw = media.decode(data, url_safe=True)
        if not mime.startswith("image/"):
            return f"I see {mime} of {len(raw)} bytes."
        try:
            return media.look(raw).said
        except media.BadMedia:
            raise refused(
                "Unable to process input image. Please retry or report in https://developers.generativeai.google/guide/troubleshooting"
            ) from None


def _result(answer: dict[str, Any]) -> Result:
    """A function's answer as text; {"output": ...} and {"error": ...} are Google's names for the two outcomes."""
    response = answer.get("response", {})
    failed = "error" in response
    value = response.get("error", response.get("output", response))
    return Result(answer["name"], value if isinstance(value, str) else orjson.dumps(value).decode(), failed)


# ---------------------------------------------------------------- signatures


def check_signatures(contents: list[dict[str, Any]], rules: Rules) -> None:
    """Every step of the current turn must bring back its signature, on its first function call. Raises Refused.

    The current turn is what follows the user's last own words; older turns are not looked at.
    Source: Google's thought signatures guide.
    """
    for place in range(_turn_start(contents), len(contents)):
        content = contents[place]
        if content.get("role") != "model":
            continue
        first = next((part for part in content["parts"] if "functionCall" in part), None)
        if rules.signs and first is not None and not first.get("thoughtSignature"):
            raise refused(
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, and "
                "missing thought_signature may lead to degraded model performance. Additional data, function call "
                f"`default_api:{first['functionCall']['name']}` , position {place + 1}. Please refer to "
                "https://ai.google.dev/gemini-api/docs/thought-signatures for more details."
            )
        for part in content["parts"]:
            _check_signature(part.get("thoughtSignature"))


def _turn_start(contents: list[dict[str, Any]]) -> int:
    for place in range(len(contents) - 1, -1, -1):
        content = contents[place]
        own = any("functionResponse" not in part for part in content["parts"])
        if content.get("role", "user") == "user" and own:
            return place
    return 0


def _check_signature(signature: str | None) -> None:
    if signature and signature not in (*SENTINELS, *ENCODED_SENTINELS) and verify("google", "", signature) is None:
        raise refused("Corrupted thought signature.")

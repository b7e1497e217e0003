"""The content parts of input items: texts, pictures, files and sound.

Source: openai-python, types/responses/response_input_{text,image,file}_param.py, response_output_{text,refusal}_param.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway.dialects.openai_checks import (
    array,
    name,
    not_among,
    object_,
    optional_text,
    text,
    wrong_type,
)
from gateway.dialects.openai_media import read_base64, read_cache, read_document, read_image
from gateway.types import Audio, BadRequest, Document, Part, Refusal, Text

USER_KINDS = ("input_text", "input_image", "input_file", "input_audio", "output_text", "text")
SAID_KINDS = ("output_text", "refusal", "input_text", "text")
RESULT_KINDS = ("input_text", "input_image", "input_file", "output_text", "text")


def read_content(value: object, param: str, kinds: tuple[str, ...]) -> list[Part]:
    """A string, or an array of parts of these kinds."""
    if isinstance(value, str):
        return [Text(value)]
    if not isinstance(value, list):
        raise wrong_type(param, "one of a string or array of objects", value)
    return [_part(object_(item, f"{param}[{at}]"), f"{param}[{at}]", kinds) for at, item in enumerate(value)]


def read_texts(value: object, param: str) -> str:
    """The texts of an array of {type, text} (a thought's summary or content), a blank line between them."""
    if value is None:
        return ""
    parts = [object_(item, f"{param}[{at}]") for at, item in enumerate(array(value, param))]
    return "\n\n".join(text(part.get("text"), f"{param}[{at}].text") for at, part in enumerate(parts))


def _part(part: dict[str, Any], param: str, kinds: tuple[str, ...]) -> Part:
    kind = text(part.get("type"), f"{param}.type")
    if kind not in kinds:
        raise not_among(f"{param}.type", kind, kinds)
    return _READERS[kind](part, param)


def _text(part: dict[str, Any], param: str) -> Part:
    return Text(text(part.get("text"), f"{param}.text"), read_cache(part, param))


def _refusal(part: dict[str, Any], param: str) -> Part:
    return Refusal(text(part.get("refusal"), f"{param}.refusal"))


def _image(part: dict[str, Any], param: str) -> Part:
    place = f"{param}.image_url"
    url = part.get("image_url")
    if isinstance(url, dict):  # as Chat spells it; several clients do
        url = url.get("url")
    if url is None and part.get("file_id") is not None:
        message = "Pictures by file id are known to their own provider only; give 'image_url'."
        raise BadRequest(message, f"{param}.file_id", "unsupported_content")
    detail = optional_text(part.get("detail"), f"{param}.detail") or ""
    return read_image(name(url, place), "" if detail == "auto" else detail, read_cache(part, param), place)


def _file(part: dict[str, Any], param: str) -> Part:
    title = optional_text(part.get("filename"), f"{param}.filename") or ""
    cache = read_cache(part, param)
    file_id = optional_text(part.get("file_id"), f"{param}.file_id")
    if file_id:
        return Document(file_id=file_id, title=title, cache=cache)
    url = optional_text(part.get("file_url"), f"{param}.file_url")
    if url:
        if url[:8].lower() != "https://":
            raise BadRequest(f"Invalid '{param}.file_url': expected an https: URL.", f"{param}.file_url")
        return Document(url=url, title=title, cache=cache)
    return read_document(name(part.get("file_data"), f"{param}.file_data"), title, cache, f"{param}.file_data")


def _audio(part: dict[str, Any], param: str) -> Part:
    place = f"{param}.input_audio"
    given = object_(part.get("input_audio"), place)
    form = name(given.get("format"), f"{place}.format")
    return Audio(form, read_base64(text(given.get("data"), f"{place}.data"), f"{place}.data"))


_READERS: dict[str, Callable[[dict[str, Any], str], Part]] = {
    "input_text": _text,
    "output_text": _text,
    "text": _text,
    "refusal": _refusal,
    "input_image": _image,
    "input_file": _file,
    "input_audio": _audio,
}

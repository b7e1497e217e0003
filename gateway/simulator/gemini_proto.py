"""Google's messages as far as the simulator takes them, and a reader of protobuf JSON with Google's complaints.

Rule 1: names come in camelCase or snake_case and leave in camelCase. Rule 2: null is an absent field, a single value stands for a
list of one, numbers may be written as strings. Rule 3: a name that is not in the table is refused, wherever it stands.
Source: google.ai.generativelanguage.v1beta and the protobuf JSON mapping.
"""

from __future__ import annotations

import re
from typing import Any

from gateway.simulator.gemini_errors import payload
from gateway.simulator.media import BadMedia, decode
from gateway.simulator.replies import Refused

PACKAGE = "type.googleapis.com/google.ai.generativelanguage.v1beta."

# A type is a scalar, a message, "[]" and a type for a list, "{}" and a type for a map, or an enum's names with "|".
MESSAGES: dict[str, dict[str, str]] = {
    "GenerateContentRequest": {
        "model": "string",
        "contents": "[]Content",
        "systemInstruction": "Content",
        "tools": "[]Tool",
        "toolConfig": "ToolConfig",
        "safetySettings": "[]SafetySetting",
        "generationConfig": "GenerationConfig",
        "cachedContent": "string",
        "continuationToken": "string",
        "serviceTier": "unspecified|standard|flex|priority",
        "store": "bool",
    },
    "CountTokensRequest": {
        "contents": "[]Content",
        "generateContentRequest": "GenerateContentRequest",
        "model": "string",
    },
    "EmbedContentRequest": {
        "model": "string",
        "content": "Content",
        "taskType": "string",
        "title": "string",
        "outputDimensionality": "int32",
        "autoTruncate": "bool",
    },
    "BatchEmbedContentsRequest": {"model": "string", "requests": "[]EmbedContentRequest"},
    "Content": {"parts": "[]Part", "role": "string"},
    "Part": {
        "text": "string",
        "inlineData": "Blob",
        "fileData": "FileData",
        "functionCall": "FunctionCall",
        "functionResponse": "FunctionResponse",
        "executableCode": "struct",
        "codeExecutionResult": "struct",
        "toolCall": "struct",
        "toolResponse": "struct",
        "thought": "bool",
        "thoughtSignature": "bytes",
        "videoMetadata": "struct",
        "mediaResolution": "struct",
        "partMetadata": "struct",
    },
    "Blob": {"mimeType": "string", "data": "bytes", "displayName": "string"},
    "FileData": {"mimeType": "string", "fileUri": "string", "displayName": "string"},
    "FunctionCall": {"id": "string", "name": "string", "args": "struct"},
    "FunctionResponse": {
        "id": "string",
        "name": "string",
        "response": "struct",
        "parts": "[]FunctionResponsePart",
        "willContinue": "bool",
        "scheduling": "string",
    },
    "FunctionResponsePart": {"inlineData": "Blob", "fileData": "FileData"},
    "Tool": {
        "functionDeclarations": "[]FunctionDeclaration",
        "googleSearch": "struct",
        "googleSearchRetrieval": "struct",
        "googleMaps": "struct",
        "codeExecution": "struct",
        "computerUse": "struct",
        "fileSearch": "struct",
        "urlContext": "struct",
    },
    "FunctionDeclaration": {
        "name": "string",
        "description": "string",
        "parameters": "Schema",
        "parametersJsonSchema": "value",
        "response": "Schema",
        "responseJsonSchema": "value",
        "behavior": "string",
    },
    "Schema": {
        "type": "TYPE_UNSPECIFIED|STRING|NUMBER|INTEGER|BOOLEAN|ARRAY|OBJECT|NULL",
        "format": "string",
        "title": "string",
        "description": "string",
        "nullable": "bool",
        "enum": "[]string",
        "items": "Schema",
        "minItems": "int64",
        "maxItems": "int64",
        "properties": "{}Schema",
        "required": "[]string",
        "minProperties": "int64",
        "maxProperties": "int64",
        "minLength": "int64",
        "maxLength": "int64",
        "pattern": "string",
        "minimum": "double",
        "maximum": "double",
        "anyOf": "[]Schema",
        "propertyOrdering": "[]string",
        "default": "value",
        "example": "value",
    },
    "ToolConfig": {
        "functionCallingConfig": "FunctionCallingConfig",
        "retrievalConfig": "struct",
        "includeServerSideToolInvocations": "bool",
    },
    "FunctionCallingConfig": {"mode": "MODE_UNSPECIFIED|AUTO|ANY|NONE|VALIDATED", "allowedFunctionNames": "[]string"},
    "SafetySetting": {"category": "string", "threshold": "string"},
    "GenerationConfig": {
        "stopSequences": "[]string",
        "responseMimeType": "string",
        "responseSchema": "Schema",
        "responseJsonSchema": "value",
        "responseModalities": "[]string",
        "responseLogprobs": "bool",
        "logprobs": "int32",
        "candidateCount": "int32",
        "maxOutputTokens": "int32",
        "temperature": "float",
        "topP": "float",
        "topK": "int32",
        "seed": "int32",
        "presencePenalty": "float",
        "frequencyPenalty": "float",
        "enableEnhancedCivicAnswers": "bool",
        "speechConfig": "struct",
        "imageConfig": "struct",
        "mediaResolution": "string",
        "thinkingConfig": "ThinkingConfig",
    },
    "ThinkingConfig": {
        "includeThoughts": "bool",
        "thinkingBudget": "int32",
        "thinkingLevel": "THINKING_LEVEL_UNSPECIFIED|MINIMAL|LOW|MEDIUM|HIGH|XHIGH",
    },
}
HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")
BOUNDS = {"int32": 2**31, "int64": 2**63}


def snake(name: str) -> str:
    return HUMP.sub(lambda found: "_" + found.group(1).lower(), name)


NAMES = {
    message: {spelling: name for name in fields for spelling in (name, snake(name))}
    for message, fields in MESSAGES.items()
}


def read(message: str, value: Any, path: str = "") -> dict[str, Any]:
    """A JSON object as `message`, in camelCase. Raises Refused for what the message does not have."""
    if not isinstance(value, dict):
        raise _invalid(path, PACKAGE + message, value)
    fields: dict[str, Any] = {}
    for spelling, item in value.items():
        name = NAMES[message].get(spelling)
        if name is None:
            raise _unknown(spelling, path, "Cannot find field.")
        if item is not None:
            fields[name] = _field(
                MESSAGES[message][name], item, f"{path}.{snake(name)}" if path else snake(name), spelling, path
            )
    return fields


def _field(kind: str, value: Any, path: str, spelling: str, outer: str) -> Any:
    if kind.startswith("[]"):
        items = value if isinstance(value, list) else [value]
        return [_single(kind[2:], item, f"{path}[{place}]") for place, item in enumerate(items)]
    if isinstance(value, list) and kind != "value":
        raise _unknown(spelling, outer, "Proto field is not repeating, cannot start list.")
    if kind.startswith("{}"):
        if not isinstance(value, dict):
            raise _invalid(path, "Map", value)
        return {
            name: _single(kind[2:], item, f"{path}[{place}].value") for place, (name, item) in enumerate(value.items())
        }
    return _single(kind, value, path)


def _single(kind: str, value: Any, path: str) -> Any:
    if kind in MESSAGES:
        return read(kind, value, path)
    if "|" in kind:
        return _enum(kind, value, path)
    match kind:
        case "value":
            return value
        case "struct":
            right, said = isinstance(value, dict), "type.googleapis.com/google.protobuf.Struct"
        case "string" | "bytes":
            right, said = isinstance(value, str), f"TYPE_{kind.upper()}"
        case "bool":
            right, said = isinstance(value, bool), "TYPE_BOOL"
        case _:
            return _number(kind, value, path)
    if not right:
        raise _invalid(path, said, value)
    if kind == "bytes":
        _check_bytes(value, path)
    return value


def _enum(kind: str, value: Any, path: str) -> str:
    names = kind.split("|")
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
        return names[value]  # protobuf's JSON takes numbers too, and Google's retired SDK sends them
    found = next((name for name in names if isinstance(value, str) and name.lower() == value.lower()), None)
    if found is None:
        raise _invalid(path, PACKAGE + path.rpartition(".")[2].title().replace("_", ""), value)
    return found


def _number(kind: str, value: Any, path: str) -> float:
    try:
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
    except ValueError:
        number = None
    whole = kind in BOUNDS
    if number is None or (whole and (number != int(number) or abs(number) >= BOUNDS[kind])):
        raise _invalid(path, f"TYPE_{kind.upper()}", value)
    return int(number) if whole else number


def _check_bytes(value: str, path: str) -> None:
    try:
        decode(value, url_safe=True)
    except BadMedia:
        shown = value if len(value) < 40 else value[:40] + "..."
        raise payload(f"Invalid value at '{path}' (TYPE_BYTES), Base64 decoding failed for \"{shown}\"", path) from None


def _invalid(path: str, kind: str, value: Any) -> Refused:
    shown = f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return payload(f"Invalid value at '{path}' ({kind}), {shown}", path or None)


def _unknown(name: str, path: str, why: str) -> Refused:
    where = f" at '{path}'" if path else ""
    return payload(f'Invalid JSON payload received. Unknown name "{name}"{where}: {why}', path or None)

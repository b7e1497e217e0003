"""The reference page: `python -m gateway.config.reference > docs/configuration.md`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from msgspec import NODEFAULT, Struct, inspect, json

from gateway.config.kinds import ROOT, default_of, described, members, nullable, unwrapped
from gateway.config.meanings import MEANINGS
from gateway.settings import Auth, Provider, Tenant

UNITS = {
    "_s": "seconds",
    "_mb": "MiB",
    "_tokens": "tokens",
    "_usd": "US dollars",
    "_percent": "%",
    "requests_per_minute": "requests per minute",
    "tokens_per_minute": "tokens per minute",
}

DEFAULTS: dict[tuple[type, str], str] = {  # those that depend on other entries
    (Auth, "jwt"): "HS256",
    (Provider, "base_url"): "the vendor's",
    (Tenant, "quota"): "inherited",
    (Tenant, "budget"): "inherited",
    (Tenant, "limits"): "inherited",
    (Tenant, "default_temperature"): "inherited",
}

INTRODUCTION = """\
# Configuration

<!-- Generated from gateway/settings.py: python -m gateway.config.reference > docs/configuration.md -->

Passerelle reads one file, `gateway.yaml`. Everything but `providers` has a default. `gateway check` reads the file, calls nobody
and names every problem at once as `file:line:col: path: message`; it ends with 0, or with 2 when there is a problem.
A change of the file is checked and then taken over as a whole; a file with a problem changes nothing.

## Values from elsewhere

| written | means |
|---|---|
| `${NAME}` | the environment variable; an error when it is not set |
| `${NAME:-default}` | `default` when the variable is not set or empty |
| `${NAME:?message}` | an error with this message when the variable is not set or empty |
| `${file:/path}` | the text of a file of at most 64 KiB, without its last line end; a relative path starts at the folder of the configuration |
| `$$` | one dollar sign |

They stand in values, not in keys, and do not nest. Put them in quotes: inside `{…}` YAML would take their braces for its own.
What comes from elsewhere is read as its key needs it: `"9"` becomes a number where one is wanted, and an empty text becomes null
where null is allowed. API keys and secrets are shown as `***` wherever the configuration is printed, and not at all in problems.

## How YAML is read

By the core schema of YAML 1.2, with duplicate and unknown keys refused.

- Only `true` and `false` (also `True`, `TRUE`, …) are truth values. `yes`, `no`, `on` and `off` are texts, so an error where a
  truth value is wanted, never a surprise.
- `0o17` and `0x1f` are numbers; `017` is seventeen; `1_000` is a text.
- A number or `true` where a text is wanted needs quotes, and a quoted number is a text.
- An empty section means its defaults. Anchors, aliases and `<<` work; tags such as `!!str` and second documents do not.
- Limits: 1 MiB, 32 levels, 200 000 values with every alias counted in full.

## What tenants inherit

`limits` come field by field from the top-level `limits`; `quota` and `budget` field by field, and `default_temperature`, from the
tenant `default`. An explicit `null` lifts what would be inherited. Tenants that are not listed are served with the settings of
`default` when that says `allow_unlisted: true`, and not at all otherwise.
"""


def reference_text() -> str:
    """The whole page, in Markdown."""
    return INTRODUCTION + "".join(_section((), ROOT, {}))


Seen = dict[type, str]  # the sections that are described already: under which heading


def _section(path: tuple[str, ...], kind: inspect.StructType, seen: Seen) -> Iterator[str]:
    seen[kind.cls] = ".".join(path)
    yield f"\n## {'.'.join(path) if path else 'The sections'}\n\n"
    yield (
        "| key | type | default | unit | meaning |\n|---|---|---|---|---|\n"
        if path
        else "| section | meaning |\n|---|---|\n"
    )
    for field in kind.fields:
        meaning = MEANINGS[kind.cls][field.name]
        yield _row(kind.cls, field, meaning, seen) if path else f"| `{field.name}` | {meaning} |\n"
    for field in kind.fields:
        inner, suffix = _inner(field.type)
        if inner is not None and inner.cls not in seen:
            yield from _section((*path, field.name + suffix), inner, seen)


def _inner(kind: inspect.Type) -> tuple[inspect.StructType | None, str]:
    """The section inside a field's type, and how its path goes on."""
    for each in members(kind):
        match unwrapped(each)[0]:
            case inspect.StructType() as struct:
                return struct, ""
            case inspect.ListType(item_type=inspect.StructType() as struct):
                return struct, "[]"
            case inspect.DictType(value_type=inspect.StructType() as struct):
                return struct, ".<name>"
    return None, ""


def _row(cls: type, field: inspect.Field, meaning: str, seen: Seen) -> str:
    inner, suffix = _inner(field.type)
    kind = described(field.type) + (" or null" if nullable(field.type) else "")
    if inner is not None and inner.cls in seen:
        kind = f"{'by name, each ' if suffix else ''}like `{seen[inner.cls]}`"
    cells = [f"`{field.name}`", kind, _default(cls, field), _unit(field.name), meaning]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _default(cls: type, field: inspect.Field) -> str:
    default = default_of(field)
    if (cls, field.name) in DEFAULTS:
        return DEFAULTS[cls, field.name]
    if default is NODEFAULT:
        return "**required**"
    return "see below" if isinstance(default, Struct) else f"`{json.encode(default).decode()}`"


def _unit(name: str) -> str:
    return next((unit for ending, unit in UNITS.items() if name.endswith(ending)), "")


if __name__ == "__main__":
    sys.stdout.write(reference_text())

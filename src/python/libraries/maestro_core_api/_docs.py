"""The contract as one page for people, made on the server, with nothing from elsewhere and no script."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from html import escape
from typing import Any

_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent);
  --soft: color-mix(in srgb, currentColor 6%, transparent); }
body { font: 16px/1.6 system-ui, sans-serif; max-width: 54rem; margin: 3rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.9rem; margin: 0; } h2 { font-size: 1.25rem; margin: 3rem 0 1rem; }
h3 { font-size: .8rem; margin: 1.1rem 0 .2rem; opacity: .7; }
code { font: .875em/1.55 ui-monospace, monospace; overflow-wrap: anywhere; }
p code { background: var(--soft); padding: .1rem .2rem; border-radius: 4px; } h3 + p { margin-top: .3rem; }
details { border: 1px solid var(--line); border-radius: 10px; margin: .6rem 0; padding: .55rem 1rem; }
summary { cursor: pointer; } summary > code { font-weight: 600; } details > *:last-child { margin-bottom: .4rem; }
summary > .about { display: block; padding-left: 1rem; }
.method { display: inline-block; min-width: 3.6rem; font: 600 .8rem ui-monospace, monospace; }
.get { color: light-dark(#2f7d4f, #74c795); } .post { color: light-dark(#2f64b8, #8db4f2); }
.put, .patch { color: light-dark(#8a6100, #e2b34d); } .delete { color: light-dark(#b3372f, #f08d86); }
table { border-collapse: collapse; width: 100%; table-layout: fixed; font-size: .93rem; scroll-margin-top: 6rem; }
td { vertical-align: top; padding: .35rem .8rem .35rem 0; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
td:first-child { width: 30%; } small { opacity: .75; }
a { color: inherit; }
"""
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_CODE = re.compile("`([^`\\n]+)`")
_BOUNDS = {
    "default": "default",
    "minimum": "at least",
    "maximum": "at most",
    "minLength": "length from",
    "maxLength": "length to",
    "maxProperties": "names up to",
    "pattern": "matches",
}
PAGE_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def page_of(document: Mapping[str, Any], links: Mapping[str, str]) -> str:
    """The OpenAPI document as HTML; everything that it says is escaped. `links` stand at its top, text to address."""
    info = document["info"]
    about = "".join(f"<p>{_prose(paragraph)}</p>" for paragraph in info.get("description", "").split("\n\n"))
    top = "".join(f' · <a href="{escape(address)}">{escape(text)}</a>' for text, address in links.items())
    operations = "".join(
        _operation(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if isinstance(operation, Mapping) and "responses" in operation
    )
    schemas = "".join(
        _schema(name, schema) for name, schema in document.get("components", {}).get("schemas", {}).items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(info['title'])}</h1><p>Version {escape(info['version'])}{top}</p>"
        f"{about}<h2>Calls</h2>{operations}<h2>Shapes</h2>{schemas}</body></html>"
    )


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    parameters = "".join(_parameter(each) for each in operation.get("parameters", ()))
    answers = "".join(
        _row(f"<code>{escape(status)}</code>", f"{_prose(answer.get('description', ''))}<br>{_content(answer)}")
        for status, answer in operation["responses"].items()
    )
    name = f'<span class="method {escape(method)}">{escape(method.upper())}</span> <code>{escape(path)}</code>'
    return (
        f"<details>{_summary(name, operation.get('description') or operation.get('summary', ''))}"
        + (f"<h3>Parameters</h3><table>{parameters}</table>" if parameters else "")
        + (f"<h3>Body</h3><p>{_content(operation['requestBody'])}</p>" if "requestBody" in operation else "")
        + f"<h3>Answers</h3><table>{answers}</table></details>"
    )


def _parameter(parameter: Mapping[str, Any]) -> str:
    where = parameter["in"] + (", required" if parameter.get("required") else "")
    name = f"<code>{escape(parameter['name'])}</code><br><small>{escape(where)}</small>"
    return _row(name, _value(parameter.get("schema", {}), parameter.get("description", "")))


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    """A shape as a table of its fields. The table bears the id: a link to it then opens what is folded around it."""
    required = schema.get("required", ())
    fields = "".join(
        _row(
            f"<code>{escape(field)}</code>" + ("<br><small>required</small>" if field in required else ""),
            _value(about, about.get("description", "")),
        )
        for field, about in schema.get("properties", {}).items()
    )
    summary = _summary(f"<code>{escape(name)}</code>", schema.get("description", ""))
    return f'<details>{summary}<table id="{escape(name)}">{fields}</table></details>'


def _summary(name: str, about: str) -> str:
    return f'<summary>{name} <span class="about">{_prose(about)}</span></summary>'


def _value(schema: Mapping[str, Any], about: str) -> str:
    """What a field or parameter may be, and what it means."""
    bounds = "".join(
        f" · {word} <code>{escape(json.dumps(schema[key], ensure_ascii=False))}</code>"
        for key, word in _BOUNDS.items()
        if schema.get(key) not in (None, "")
    )
    return _type(schema) + bounds + (f"<br>{_prose(about)}" if about else "")


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _content(holder: Mapping[str, Any]) -> str:
    return "<br>".join(
        f"{_type(content.get('schema', {}))} <small>{escape(media_type)}</small>"
        for media_type, content in holder.get("content", {}).items()
    )


def _prose(text: str) -> str:
    """Text with `words of code`, escaped."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[-1])
        return f'<a href="#{name}"><code>{name}</code></a>'
    for union, word in (("anyOf", " or "), ("oneOf", " or "), ("allOf", " and ")):
        if union in schema:
            return word.join(_type(each) for each in schema[union])
    if "enum" in schema:
        return " | ".join(f"<code>{escape(json.dumps(value))}</code>" for value in schema["enum"])
    if "const" in schema:
        return f"<code>{escape(json.dumps(schema['const']))}</code>"
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"<code>object</code> of {_type(schema['additionalProperties'])}"
    kind = schema.get("format") or schema.get("type", "any")
    return f"<code>{escape(' or '.join(kind) if isinstance(kind, list) else str(kind))}</code>"

"""`/api/docs`: the contract as one page for people, made on the server, with nothing from elsewhere and no script."""

import base64
import hashlib
import json
from collections.abc import Mapping
from html import escape
from typing import Any

from fastapi import FastAPI
from starlette.responses import HTMLResponse

_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent);
  --soft: color-mix(in srgb, currentColor 6%, transparent); }
body { font: 16px/1.6 system-ui, sans-serif; max-width: 54rem; margin: 3rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.9rem; margin: 0; } h2 { font-size: 1.25rem; margin: 3rem 0 1rem; }
code, pre { font: .875em/1.55 ui-monospace, monospace; }
pre { background: var(--soft); padding: .9rem 1rem; border-radius: 8px; overflow-x: auto; }
p.about { white-space: pre-line; }
details { border: 1px solid var(--line); border-radius: 10px; margin: .6rem 0; padding: .55rem 1rem; }
summary { cursor: pointer; } summary code { font-weight: 600; } details > *:last-child { margin-bottom: .4rem; }
.method { display: inline-block; min-width: 3.6rem; font: 600 .8rem ui-monospace, monospace; }
.get { color: #2f7d4f; } .post { color: #2f64b8; }
table { border-collapse: collapse; width: 100%; font-size: .93rem; }
td, th { text-align: left; vertical-align: top; padding: .35rem .8rem .35rem 0; border-top: 1px solid var(--line); }
a { color: inherit; }
"""
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def add_docs(app: FastAPI) -> None:
    """Serve the page; it is made from the document at the first call and kept."""
    pages: list[str] = []

    @app.get("/api/docs", include_in_schema=False)
    async def read_docs() -> HTMLResponse:
        if not pages:
            pages.append(page_of(app.openapi()))
        return HTMLResponse(pages[0], headers=_HEADERS)


def page_of(document: Mapping[str, Any]) -> str:
    """The OpenAPI document as HTML; everything that it says is escaped."""
    info = document["info"]
    operations = "".join(
        _operation(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    schemas = "".join(_schema(name, schema) for name, schema in document["components"]["schemas"].items())
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(info['title'])}</h1><p>Version {escape(info['version'])} · "
        '<a href="/api/openapi.json">openapi.json</a> · <a href="/api/health">health</a></p>'
        f'<p class="about">{escape(info["description"])}</p>'
        f"<h2>Calls</h2>{operations}<h2>Shapes</h2>{schemas}</body></html>"
    )


def _operation(method: str, path: str, operation: Mapping[str, Any]) -> str:
    parameters = "".join(
        _row(
            f"<code>{escape(each['name'])}</code>",
            escape(each["in"]) + (" · required" if each.get("required") else ""),
            f"{_type(each['schema'])}<br>{escape(each.get('description', ''))}",
        )
        for each in operation.get("parameters", ())
    )
    answers = "".join(
        _row(f"<code>{escape(status)}</code>", escape(answer["description"]), _content(answer))
        for status, answer in operation["responses"].items()
    )
    body = f"<p>Body: {_content(operation['requestBody'])}</p>" if "requestBody" in operation else ""
    return (
        f'<details><summary><span class="method {escape(method)}">{escape(method.upper())}</span> '
        f"<code>{escape(path)}</code> — {escape(operation.get('description') or operation['summary'])}</summary>{body}"
        + (f"<table>{parameters}</table>" if parameters else "")
        + f"<table>{answers}</table></details>"
    )


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    text = json.dumps(schema, indent=2, ensure_ascii=False)
    about = escape(schema.get("description", ""))
    head = f"<summary><code>{escape(name)}</code> — {about}</summary>"
    return f'<details id="{escape(name)}">{head}<pre>{escape(text)}</pre></details>'


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _content(holder: Mapping[str, Any]) -> str:
    return "<br>".join(
        f"{_type(content.get('schema', {}))} <small>{escape(media_type)}</small>"
        for media_type, content in holder.get("content", {}).items()
    )


def _type(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = escape(schema["$ref"].rsplit("/", 1)[-1])
        return f'<a href="#{name}"><code>{name}</code></a>'
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " or ".join(_type(each) for each in schema[union])
    if "enum" in schema:
        return " | ".join(f"<code>{escape(json.dumps(value))}</code>" for value in schema["enum"])
    return f"<code>{escape(str(schema.get('type', 'any')))}</code>"

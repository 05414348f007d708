"""A document, a server that says what it was sent, and sources made of them."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from maestro_tools import ToolCatalogue
from maestro_tools._yaml import read_yaml

PETS = """
openapi: 3.0.3
info: {title: Pets, version: "1"}
servers: [{url: "{scheme}://pets.example/v1", variables: {scheme: {default: https}}}]
security: [{}]
paths:
  /pets/{petId}:
    parameters:
      - {$ref: "#/components/parameters/petId"}
    get:
      operationId: getPet
      summary: One pet
      parameters:
        - {name: tags, in: query, schema: {type: array, items: {type: string}}}
        - {name: near, in: query, style: form, explode: false, schema: {type: array, items: {type: number}}}
        - {name: filter, in: query, style: deepObject, explode: true, schema: {type: object}}
        - {name: raw, in: query, content: {application/json: {schema: {type: object}}}}
        - {name: X-Trace, in: header, schema: {type: string}}
        - {name: session, in: cookie, schema: {type: string}}
        - {name: petId, in: query, schema: {type: integer, minimum: 0, exclusiveMinimum: true}}
      responses:
        200: {description: ok, content: {application/json: {schema: {$ref: "#/components/schemas/Answer"}}}}
        404: {description: none}
    put:
      requestBody:
        required: true
        content: {application/merge-patch+json: {schema: {$ref: "#/components/schemas/Pet"}}}
      responses: {204: {description: done}}
  /form:
    post:
      operationId: sendForm
      requestBody: {content: {application/x-www-form-urlencoded: {schema: {type: object}}}}
      responses: {default: {description: any}}
  /upload:
    post:
      operationId: upload
      requestBody: {content: {multipart/form-data: {schema: {type: object}}}}
      responses: {default: {description: any}}
components:
  parameters:
    petId: {name: petId, in: path, required: true, description: Which, schema: {type: string}}
  schemas:
    Pet:
      type: object
      required: [name]
      properties:
        name: {type: string, nullable: true, example: Rex}
        parent: {$ref: "#/components/schemas/Pet"}
    Answer: {type: object, properties: {method: {type: string}}, required: [method]}
"""


class Server(ThreadingHTTPServer):
    """Answers with what it was sent; `documents` are served as they are, and `answers` by path take precedence."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[dict[str, Any]] = []
        self.answers: dict[str, tuple[int, Mapping[str, str], bytes]] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        seen = {
            "method": self.command,
            "path": parts.path,
            "query": [list(pair) for pair in parse_qsl(parts.query, keep_blank_values=True)],
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": body,
        }
        self.server.seen.append(seen)
        usual = (200, {"Content-Type": "application/json"}, json.dumps(seen).encode())
        status, headers, data = self.server.answers.get(parts.path, usual)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = answer

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@asynccontextmanager
async def opened(document: Any, **config: Any) -> AsyncIterator[ToolCatalogue]:
    data = read_yaml(document) if isinstance(document, str) and "\n" in document else document
    async with ToolCatalogue({"pets": {"openapi": {"document": data, **config}}}) as tools:
        yield tools


def api(**operation: Any) -> dict[str, Any]:
    """A document with one operation, `GET /x` if not said otherwise."""
    method = operation.pop("method", "get")
    components = operation.pop("components", {})
    described = {"operationId": "op", "responses": {"200": {"description": "ok"}}, **operation}
    return {"openapi": "3.1.0", "paths": {"/x": {method: described}}, "components": components}

"""OpenAPI documents as tools: every part of a request in its place, over a real HTTP server."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from libraries.maestro_tools.engine import StepCall
from libraries.maestro_tools.openapi import PETS, Server, api, opened

from maestro_tools import (
    InvalidArguments,
    InvalidSource,
    ResultTooLarge,
    ServerMisbehaved,
    ServerUnavailable,
    ToolFailed,
    ToolSource,
    tool_step_kinds,
)
from maestro_tools._openapi import OpenApiConnection
from maestro_tools._openapi_document import parse_document
from maestro_tools._source_reader import parse_source
from maestro_tools._sources import OpenApi
from maestro_tools.testing import ExampleService, ToolSourceSuite


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield served
        served.shutdown()
        thread.join()


async def test_each_operation_is_a_tool() -> None:
    """By its id, or by method and path; with one schema that stands alone."""
    async with opened(PETS) as tools:
        listed = {tool.name: tool for tool in await tools.list_tools()}
    assert list(listed) == ["getPet", "put_pets_petId", "sendForm"]
    get = listed["getPet"]
    assert get.description == "One pet"
    assert get.input_schema["required"] == ["petId"]
    assert list(get.input_schema["properties"]) == [
        "petId",
        "tags",
        "near",
        "filter",
        "raw",
        "X-Trace",
        "session",
        "query_petId",
    ]
    assert get.input_schema["properties"]["query_petId"] == {"type": "integer", "exclusiveMinimum": 0}
    assert get.input_schema["properties"]["petId"] == {"type": "string", "description": "Which"}
    assert get.output_schema is not None
    assert get.annotations["readOnlyHint"] is True
    put = listed["put_pets_petId"]
    assert put.input_schema["properties"]["body"] == {"$ref": "#/$defs/Pet"}
    assert put.input_schema["$defs"] == {
        "Pet": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"type": ["string", "null"]}, "parent": {"$ref": "#/$defs/Pet"}},
        }
    }
    assert put.annotations["idempotentHint"] is True


async def test_every_argument_goes_to_its_place(server: Server) -> None:
    """Path, query in its styles, header, cookie; whatever text they hold stays text."""
    arguments = {
        "petId": "a/b?c=d#e %2e",
        "tags": ["x y", "&z=1"],
        "near": [1, 2.5],
        "filter": {"color": "red", "age": 3},
        "raw": {"k": ["v"]},
        "X-Trace": "t-1",
        "session": "s;1",
        "query_petId": 7,
    }
    async with opened(PETS, base_url=f"{server.url}/v1/", headers={"X-Own": "o"}) as tools:
        seen = (await tools.call("pets", "getPet", arguments)).value
    assert seen["path"] == "/v1/pets/a%2Fb%3Fc=d%23e%20%252e"
    assert seen["query"] == [
        ["tags", "x y"],
        ["tags", "&z=1"],
        ["near", "1,2.5"],
        ["filter[color]", "red"],
        ["filter[age]", "3"],
        ["raw", '{"k":["v"]}'],
        ["petId", "7"],
    ]
    assert seen["headers"]["x-trace"] == "t-1"
    assert seen["headers"]["x-own"] == "o"
    assert "s%3B1" in seen["headers"]["cookie"]
    assert "idempotency-key" not in seen["headers"]


async def test_body_is_sent_as_the_document_says(server: Server) -> None:
    """JSON of its own media type, or a form; with the key that lets the server notice a repetition."""
    async with opened(PETS, base_url=server.url) as tools:
        pet = {"name": None, "parent": {"name": "Rex"}}
        seen = (
            await tools.call("pets", "put_pets_petId", {"petId": "1", "body": pet}, idempotency_key="w/s[3]/2~1")
        ).value
        assert json.loads(seen["body"]) == pet
        assert seen["headers"]["content-type"] == "application/merge-patch+json"
        assert seen["headers"]["idempotency-key"] == "w/s[3]/2~1"
        form = (await tools.call("pets", "sendForm", {"body": {"a": "x&y", "b": [1, 2]}})).value
    assert form["body"] == "a=x%26y&b=1&b=2"
    assert form["headers"]["content-type"] == "application/x-www-form-urlencoded"
    assert "idempotency-key" not in form["headers"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "'petId' is a required property"),
        ({"petId": 7}, "7 is not of type 'string'"),
        ({"petId": "1", "stranger": 1}, "'stranger' was unexpected"),
        ({"petId": ".."}, "cannot be '..': it is part of a path"),
        ({"petId": "."}, "it is part of a path"),
        ({"petId": ""}, "it is part of a path"),
        ({"petId": "1", "X-Trace": "a\r\nEvil: 1"}, "must be one line of ASCII: it is a header"),
    ],
)
async def test_wrong_arguments_are_not_sent(server: Server, arguments: Any, message: str) -> None:
    """Nothing can climb out of a path, or into another header."""
    async with opened(PETS, base_url=server.url) as tools:
        with pytest.raises(InvalidArguments, match=message):
            await tools.call("pets", "getPet", arguments)
    assert server.seen == []


async def test_operation_that_cannot_be_called_says_why(caplog: pytest.LogCaptureFixture) -> None:
    """It is not listed, it does not take the others with it, and it is told of."""
    async with opened(PETS) as tools:
        with pytest.raises(InvalidSource, match="POST /upload takes a body as multipart/form-data, of which none is"):
            await tools.call("pets", "upload", {})
    assert "operations that cannot be called: POST /upload" in caplog.text


SCHEMES = {
    "key": {"type": "apiKey", "name": "X-Key", "in": "header"},
    "query": {"type": "apiKey", "name": "key", "in": "query"},
    "cookie": {"type": "apiKey", "name": "sid", "in": "cookie"},
    "bearer": {"type": "http", "scheme": "Bearer"},
    "basic": {"type": "http", "scheme": "basic"},
    "oauth": {"type": "oauth2", "flows": {}},
    "digest": {"type": "http", "scheme": "digest"},
}


@pytest.mark.parametrize(
    ("scheme", "credential", "place", "value"),
    [
        ("key", "k-123456", "x-key", "k-123456"),
        ("cookie", "c-123456", "cookie", "sid=c-123456"),
        ("bearer", "t-123456", "authorization", "Bearer t-123456"),
        ("oauth", "t-123456", "authorization", "Bearer t-123456"),
        ("basic", "user:pass", "authorization", "Basic dXNlcjpwYXNz"),
    ],
)
async def test_request_is_signed(
    server: Server, scheme: str, credential: str, place: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the credential that the source has for the scheme; it comes from the environment."""
    monkeypatch.setenv("PET_TOKEN", credential)
    document = api(security=[{scheme: []}], components={"securitySchemes": SCHEMES})
    async with opened(document, base_url=server.url, auth={scheme: "${PET_TOKEN}"}, pass_env=["PET_TOKEN"]) as tools:
        seen = (await tools.call("pets", "op")).value
    assert seen["headers"][place] == value


async def test_first_way_to_sign_that_is_there_is_taken(server: Server) -> None:
    """All schemes of it together; without any, the call is not made, and the error says which there are."""
    document = api(security=[{"bearer": []}, {"key": [], "query": []}], components={"securitySchemes": SCHEMES})
    async with opened(document, base_url=server.url, auth={"key": "k-12345", "query": "q-12345"}) as tools:
        seen = (await tools.call("pets", "op")).value
    assert (seen["headers"]["x-key"], seen["query"]) == ("k-12345", [["key", "q-12345"]])
    async with opened(document, base_url=server.url, auth={"key": "k-12345"}) as tools:
        with pytest.raises(InvalidSource, match=r"/pets/openapi/auth: must hold .*: bearer or key with query"):
            await tools.call("pets", "op")
    assert len(server.seen) == 1


async def test_wrong_credentials_are_all_named() -> None:
    """Before anything is called; their values are not."""
    document = api(components={"securitySchemes": SCHEMES})
    auth = {"bearrer": "hunter2", "digest": "hunter2"}
    async with opened(document, base_url="https://x.example", auth=auth) as tools:
        with pytest.raises(InvalidSource) as caught:
            await tools.list_tools()
    assert "did you mean 'bearer'?" in str(caught.value)
    assert "/pets/openapi/auth/digest: belongs to a scheme that is not supported: http digest" in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_failure_of_the_service_is_told(server: Server) -> None:
    """With its reason and how long to wait; what may pass is worth a retry."""
    server.answers["/x"] = (
        429,
        {"Retry-After": "7", "Content-Type": "application/json"},
        b'{"error": "slow k-123456"}',
    )
    document = api(security=[{"key": []}], components={"securitySchemes": SCHEMES})
    async with opened(document, base_url=server.url, auth={"key": "k-123456"}) as tools:
        with pytest.raises(ToolFailed, match=r"HTTP status 429: .*slow \*\*\*") as caught:
            await tools.call("pets", "op")
        assert caught.value.retryable
        assert caught.value.retry_after_s == 7
        server.answers["/x"] = (422, {"Content-Type": "text/plain"}, b"no")
        with pytest.raises(ToolFailed, match=r"HTTP status 422: .*no") as caught:
            await tools.call("pets", "op")
        assert not caught.value.retryable


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ((204, {}, b""), None),
        ((200, {"Content-Type": "text/plain; charset=utf-8"}, "grün".encode()), "grün"),
        ((200, {"Content-Type": "application/problem+json"}, b"[1]"), [1]),
    ],
)
async def test_answer_becomes_a_value(server: Server, answer: Any, value: Any) -> None:
    """JSON as it is, text as text, nothing as null."""
    server.answers["/x"] = answer
    async with opened(api(), base_url=server.url) as tools:
        assert (await tools.call("pets", "op")).value == value


async def test_answer_is_held_against_the_document(server: Server) -> None:
    """Against the schema of its own status, of its class, or the default."""
    schema = {"application/json": {"schema": {"type": "object", "required": ["n"]}}}
    for status in ("200", "2XX", "default"):
        async with opened(api(responses={status: {"content": schema}}), base_url=server.url) as tools:
            with pytest.raises(ServerMisbehaved, match="does not fit its output schema"):
                await tools.call("pets", "op")
    async with opened(api(responses={"201": {"content": schema}}), base_url=server.url) as tools:
        assert (await tools.call("pets", "op")).value["path"] == "/x"


async def test_answer_without_end_is_not_read(server: Server) -> None:
    """It is bounded as any tool's."""
    server.answers["/x"] = (200, {"Content-Type": "text/plain"}, b"x" * 5000)
    async with opened(api(), base_url=server.url, max_result_bytes=1024) as tools:
        with pytest.raises(ResultTooLarge):
            await tools.call("pets", "op")


async def test_document_comes_from_an_address(server: Server) -> None:
    """JSON or YAML; servers that it names relatively are where it is."""
    relative = {**api(), "servers": [{"url": "/v2"}]}
    server.answers["/api/openapi.json"] = (200, {"Content-Type": "application/json"}, json.dumps(relative).encode())
    server.answers["/api/openapi.yaml"] = (200, {"Content-Type": "application/yaml"}, PETS.encode())
    async with opened(f"{server.url}/api/openapi.json", auth={}, headers={"X-Key": "k-123456"}) as tools:
        assert (await tools.call("pets", "op")).value["path"] == "/v2/x"
    assert "x-key" not in server.seen[0]["headers"]
    assert server.seen[1]["headers"]["x-key"] == "k-123456"
    async with opened(f"{server.url}/api/openapi.yaml") as tools:
        assert len(await tools.list_tools()) == 3


async def test_document_that_cannot_be_had(server: Server) -> None:
    """Is a server that is not there, and worth another try where that may help."""
    server.answers["/gone"] = (404, {}, b"")
    server.answers["/later"] = (503, {"Retry-After": "5"}, b"")
    for path, retryable in (("/gone", False), ("/later", True)):
        async with opened(f"{server.url}{path}") as tools:
            with pytest.raises(ServerUnavailable, match="the document of pets failed: HTTP status") as caught:
                await tools.list_tools()
        assert caught.value.retryable is retryable


async def test_document_comes_from_a_file(server: Server, tmp_path: Path) -> None:
    """Below the folder of the workflow."""
    (tmp_path / "api.yaml").write_text(PETS)
    source = {"openapi": {"document": "api.yaml", "base_url": server.url}}
    kind = tool_step_kinds()["openapi"]
    step = {"source": "pets", "tool": "getPet", "arguments": {"petId": "1"}}
    assert list(kind.check(step, {"pets": source})) == []
    seen = await kind.run(StepCall(step, {"pets": source}, base_dir=tmp_path))
    assert isinstance(seen, dict)
    assert seen["path"] == "/pets/1"
    outside = {"openapi": {"document": "../api.yaml", "base_url": server.url}}
    with pytest.raises(InvalidSource, match="leads out of the folder"):
        await kind.run(StepCall(step, {"pets": outside}, base_dir=tmp_path / "sub"))
    await kind.close()


@pytest.mark.parametrize(
    ("base_url", "message"),
    [
        ("http://169.254.169.254/latest", "URL must use HTTPS or be a literal loopback"),
        ("http://pets.example", "URL must use HTTPS"),
    ],
)
async def test_plain_http_leads_nowhere_but_here(base_url: str, message: str) -> None:
    """As with a UTCP manual."""
    async with opened(api(), base_url=base_url) as tools:
        with pytest.raises(ToolFailed, match=message):
            await tools.call("pets", "op")


async def test_document_from_elsewhere_cannot_name_this_machine(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only whoever wrote the source can; and a redirect cannot either."""
    inward = {**api(), "servers": [{"url": f"{server.url}/inner"}]}
    document = parse_document(json.dumps(inward), "https://elsewhere.example/openapi.json")

    async def fetched(self: object, url: str, masker: object) -> Any:
        return document

    monkeypatch.setattr(OpenApiConnection, "_fetched", fetched)
    async with opened("https://elsewhere.example/openapi.json") as tools:
        with pytest.raises(InvalidSource, match="names a server on this machine: give it as base_url"):
            await tools.call("pets", "op")
    assert server.seen == []
    server.answers["/x"] = (302, {"Location": "http://169.254.169.254/"}, b"")
    async with opened("https://elsewhere.example/openapi.json", base_url=server.url) as tools:
        with pytest.raises(ToolFailed, match="URL must use HTTPS"):
            await tools.call("pets", "op")


class TestOpenApi(ToolSourceSuite):
    """The suite of every source, over the example service."""

    @pytest.fixture(autouse=True)
    def _served(self, service: ExampleService) -> None:
        self.url = service.url

    def make_source(self) -> ToolSource:
        def operation(name: str, parameter: str, kind: str) -> dict[str, Any]:
            given = {"name": parameter, "in": "query", "required": True, "schema": {"type": kind}}
            return {"get": {"operationId": name, "parameters": [given], "responses": {}}}

        paths = {
            "/echo": operation("echo", "text", "string"),
            "/fail": operation("fail", "text", "string"),
            "/sleep": operation("sleep", "seconds", "number"),
        }
        document = {"openapi": "3.1.0", "paths": paths}
        source = parse_source("api", {"openapi": {"document": document, "base_url": self.url}})
        assert isinstance(source, OpenApi)
        return OpenApiConnection("api", source, Path.cwd())

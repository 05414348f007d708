"""ETag, If-Match and If-None-Match over HTTP."""

from typing import Annotated

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Response
from starlette.testclient import TestClient

from maestro_core_api import ETag, create_api, etag_of, preconditions


@pytest.fixture
def app() -> FastAPI:
    """One note of many versions, and one place where nothing is yet."""
    notes = {"a": ["first"]}
    routes = APIRouter()

    def versions(name: str) -> list[str]:
        if name not in notes:
            raise HTTPException(404)
        return notes[name]

    def current(found: Annotated[list[str], Depends(versions)]) -> ETag:
        return etag_of(len(found))

    def maybe(name: str) -> ETag | None:
        return etag_of(len(notes[name])) if name in notes else None

    @routes.get("/notes/{name}", dependencies=[Depends(preconditions(current))])
    async def read(found: Annotated[list[str], Depends(versions)]) -> str:
        return found[-1]

    @routes.put("/notes/{name}", dependencies=[Depends(preconditions(current, required=True))])
    async def replace(found: Annotated[list[str], Depends(versions)], text: str, response: Response) -> str:
        found.append(text)
        response.headers["ETag"] = str(etag_of(len(found)))
        return text

    @routes.post("/notes/{name}", dependencies=[Depends(preconditions(maybe))])
    async def create(name: str) -> str:
        notes[name] = ["new"]
        return "new"

    return create_api(title="Notes", version="1", routers=[routes])


@pytest.fixture
def client(app: FastAPI) -> TestClient:
    return TestClient(app, base_url="http://localhost")


def test_a_read_tells_its_version_and_needs_no_body_for_who_has_it(client: TestClient) -> None:
    """GET and HEAD; weak or in a list, it is the same one."""
    first = client.get("/notes/a")
    assert (first.status_code, first.headers["ETag"], first.json()) == (200, '"1"', "first")
    for header in ('"1"', 'W/"1"', '"0", "1"', "*"):
        for method in ("GET", "HEAD"):
            unchanged = client.request(method, "/notes/a", headers={"If-None-Match": header})
            assert (unchanged.status_code, unchanged.content, unchanged.headers["ETag"]) == (304, b"", '"1"')
    assert client.get("/notes/a", headers={"If-None-Match": '"0"'}).status_code == 200
    assert client.get("/notes/a", headers=[("If-None-Match", '"0"'), ("If-None-Match", '"1"')]).status_code == 304


def test_dates_do_not_count_beside_tags_and_not_without_them(client: TestClient) -> None:
    """If-Modified-Since is ignored: nobody knows when it was changed (RFC 9110, 13.1.3)."""
    future = "Fri, 01 Jan 2100 00:00:00 GMT"
    assert client.get("/notes/a", headers={"If-Modified-Since": future}).status_code == 200
    assert client.get("/notes/a", headers={"If-None-Match": '"0"', "If-Modified-Since": future}).status_code == 200
    old = {"If-Match": '"1"', "If-Unmodified-Since": "Fri, 01 Jan 1999 00:00:00 GMT"}
    assert client.put("/notes/a?text=x", headers=old).status_code == 200


def test_a_write_without_if_match_is_told_to_send_it(client: TestClient) -> None:
    refused = client.put("/notes/a?text=x")
    assert (refused.status_code, refused.json()["code"]) == (428, "request.precondition-required")
    assert client.get("/notes/a").json() == "first"


def test_of_two_who_read_the_same_one_writes(client: TestClient) -> None:
    """The second is refused, reads again and writes."""
    tag = client.get("/notes/a").headers["ETag"]
    won = client.put("/notes/a?text=x", headers={"If-Match": tag})
    assert (won.status_code, won.headers["ETag"]) == (200, '"2"')
    lost = client.put("/notes/a?text=y", headers={"If-Match": tag})
    assert (lost.status_code, lost.json()["code"]) == (412, "request.precondition-failed")
    assert client.get("/notes/a").json() == "x"
    assert client.put("/notes/a?text=y", headers={"If-Match": '"2"'}).status_code == 200
    assert client.put("/notes/a?text=y", headers={"If-Match": 'W/"3"'}).status_code == 412
    assert client.put("/notes/a?text=y", headers={"If-Match": "*"}).status_code == 200


def test_what_is_not_there_is_not_found_whatever_is_asked(client: TestClient) -> None:
    assert client.put("/notes/b?text=x").status_code == 404
    assert client.put("/notes/b?text=x", headers={"If-Match": "*"}).status_code == 404


def test_create_only_if_nothing_is_there(client: TestClient) -> None:
    """If-None-Match: * on a write; If-Match where there is nothing holds for nobody."""
    assert client.post("/notes/b", headers={"If-Match": "*"}).status_code == 412
    assert client.post("/notes/b", headers={"If-None-Match": "*"}).status_code == 200
    assert client.post("/notes/b", headers={"If-None-Match": "*"}).status_code == 412


@pytest.mark.parametrize("header", ["1", '"1', '"1" "2"', '*, "1"', "", ",", '"' + "x" * 9000 + '"'])
def test_a_header_that_cannot_be_read_is_refused(client: TestClient, header: str) -> None:
    for method, name in (("GET", "If-None-Match"), ("GET", "If-Match"), ("PUT", "If-Match")):
        refused = client.request(method, "/notes/a?text=x", headers={name: header})
        assert (refused.status_code, refused.json()["code"]) == (400, "request.bad-entity-tag")


def test_the_contract_says_which_headers_a_route_reads(app: FastAPI) -> None:
    path = app.openapi()["paths"]["/notes/{name}"]

    def headers(method: str) -> dict[str, bool]:
        return {each["name"]: each["required"] for each in path[method]["parameters"] if each["in"] == "header"}

    assert headers("get") == {"If-None-Match": False}
    assert headers("put") == {"If-Match": True}
    assert headers("post") == {"If-Match": False}
    assert {"304", "400", "412"} <= path["get"]["responses"].keys()
    assert {"400", "412", "428"} <= path["put"]["responses"].keys()
    assert "428" not in path["post"]["responses"]
    assert "304" not in path["put"]["responses"]
    assert "ETag" in path["get"]["responses"]["200"]["headers"]

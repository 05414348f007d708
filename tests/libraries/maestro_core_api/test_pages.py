"""Pages over HTTP: every item once, in order, and no way to make up a place."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import parse_qs

import pytest
from fastapi import APIRouter, Depends, FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from starlette.testclient import TestClient

from maestro_core_api import CursorSigner, InvalidApi, Page, PageRequest, create_api, pages

SIGNER = CursorSigner({"k": bytes(32)})
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class Event(BaseModel):
    """Three of them at each moment, so that the order needs the number too."""

    at: datetime
    number: int


def feed(count: int) -> FastAPI:
    events = [Event(at=BEGAN + timedelta(seconds=number // 3), number=number) for number in range(count)]
    routes = APIRouter()
    some = pages(SIGNER, default_limit=3, max_limit=7)

    @routes.get("/feeds/{name}")
    async def list_events(name: str, page: Annotated[PageRequest, Depends(some)], odd: bool = False) -> Page[Event]:
        rows = [event for event in events if event.number % 2 or not odd]
        if page.after is not None:
            rows = [event for event in rows if (event.at, event.number) > page.after]
        return page.page(rows[: page.limit + 1], lambda event: (event.at, event.number))

    @routes.get("/others")
    async def list_others(page: Annotated[PageRequest, Depends(some)]) -> Page[int]:
        return page.page([], lambda number: (number,))

    return create_api(title="Feed", version="1", routers=[routes])


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(feed(20), base_url="http://localhost")


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 20), st.integers(1, 7), st.booleans())
def test_following_the_cursors_gives_every_item_once_and_in_order(count: int, limit: int, odd: bool) -> None:
    """By the cursor in the body and by the Link, which are the same; the end has neither."""
    client = TestClient(feed(count), base_url="http://localhost")
    seen: list[int] = []
    query = f"?limit={limit}&odd={odd}"
    for _ in range(count + 2):
        answer = client.get(f"/feeds/a{query}")
        page = answer.json()
        assert len(page["items"]) <= limit
        seen += [item["number"] for item in page["items"]]
        if page["next_cursor"] is None:
            assert "Link" not in answer.headers
            break
        link = re.fullmatch(r'<(\?[^>]+)>; rel="next"', answer.headers["Link"])
        assert link is not None
        query = link[1]
        assert parse_qs(query[1:])["cursor"] == [page["next_cursor"]]
    assert seen == [number for number in range(count) if number % 2 or not odd]


def test_a_cursor_of_another_listing_filter_or_path_is_refused(client: TestClient) -> None:
    """The order of the query and the size of the page may differ."""
    cursor = client.get("/feeds/a?odd=true&x=1").json()["next_cursor"]
    assert client.get(f"/feeds/a?cursor={cursor}&limit=5&x=1&odd=true").status_code == 200
    for wrong in ("/feeds/a?odd=false&x=1", "/feeds/a?odd=true", "/feeds/b?odd=true&x=1", "/others?odd=true&x=1"):
        refused = client.get(f"{wrong}&cursor={cursor}")
        assert (refused.status_code, refused.json()["code"]) == (400, "request.bad-cursor")


@pytest.mark.parametrize("cursor", ["", "x", "k.e30.AAAA", "k.W10." + "A" * 43, "a" * 5000, "%00", "%F0%9F%92%A9"])
def test_what_was_never_given_out_is_refused(client: TestClient, cursor: str) -> None:
    assert client.get(f"/feeds/a?cursor={cursor}").json()["code"] == "request.bad-cursor"


@pytest.mark.parametrize("limit", ["0", "-1", "8", "1.5", "many", "99999999999999999999", ""])
def test_a_limit_out_of_bounds_is_refused(client: TestClient, limit: str) -> None:
    refused = client.get(f"/feeds/a?limit={limit}")
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/limit")


def test_the_link_cannot_be_broken_by_a_query(client: TestClient) -> None:
    """Quotes, angles, line ends and other alphabets are escaped, and come back as they were."""
    nasty = {"x": '>; rel="evil"\r\nSet-Cookie: a=b, é€\x00'}
    answer = client.get("/feeds/a", params=nasty)
    assert re.fullmatch(r'<\?[A-Za-z0-9%&=+._-]+>; rel="next"', answer.headers["Link"])
    link = answer.headers["Link"][1:].partition(">")[0]
    assert parse_qs(link[1:])["x"] == [nasty["x"]]
    assert client.get(f"/feeds/a{link}").json()["items"][0]["number"] == 3


@pytest.mark.parametrize(("default_limit", "max_limit"), [(0, 5), (6, 5), (-1, -1)])
def test_bounds_that_make_no_sense_are_refused(default_limit: int, max_limit: int) -> None:
    with pytest.raises(InvalidApi):
        pages(SIGNER, default_limit=default_limit, max_limit=max_limit)


def test_the_contract_has_the_bounds_the_cursor_and_the_link(client: TestClient) -> None:
    operation = client.get("/api/openapi.json").json()["paths"]["/feeds/{name}"]["get"]
    parameters = {each["name"]: each for each in operation["parameters"]}
    limit = parameters["limit"]["schema"]
    assert (limit["minimum"], limit["maximum"], limit["default"]) == (1, 7, 3)
    assert not parameters["cursor"]["required"]
    assert "Link" in operation["responses"]["200"]["headers"]
    assert "400" in operation["responses"]

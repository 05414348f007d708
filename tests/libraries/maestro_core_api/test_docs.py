"""The page for people: whole, offline, and under the strictest policy."""

import base64
import hashlib
import re

import pytest
from libraries.maestro_core_api.tiny_app import client_of, tiny_app

from maestro_core_api._docs import page_of

LINKS = {"openapi.json": "/api/openapi.json"}


def test_the_page_needs_nothing_from_elsewhere() -> None:
    """Every call and every shape is on it; there is no script and no address of another site."""
    document = tiny_app().openapi()
    page = page_of(document, LINKS)
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page
    for path in document["paths"]:
        assert path in page
    for name in document["components"]["schemas"]:
        assert f'id="{name}"' in page


@pytest.mark.parametrize("place", ["title", "description", "version"])
def test_what_the_document_says_is_text(place: str) -> None:
    """Whatever it holds is escaped."""
    document = tiny_app().openapi()
    hostile = {**document, "info": {**document["info"], place: "<img src=x onerror=alert(1)>"}}
    assert "<img" not in page_of(hostile, LINKS)


def test_a_document_that_says_little_has_a_page_too() -> None:
    """What OpenAPI leaves open may be left out."""
    document = {"info": {"title": "T", "version": "1"}, "paths": {"/a": {"get": {"responses": {"200": {}}}, "x-a": 1}}}
    page = page_of(document, {})
    assert "<code>/a</code>" in page


async def test_the_page_may_load_nothing() -> None:
    """Its policy allows the one style sheet in it, by its digest, and nothing else."""
    async with client_of(tiny_app()) as client:
        answer = await client.get("/api/docs")
        policy = answer.headers["content-security-policy"]
        style = re.search("<style>(.*?)</style>", answer.text, re.DOTALL)
        assert style is not None
        digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
        assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'")
        linked = re.findall('<a href="(/[^"]+)"', answer.text)
        assert len(linked) == 3
        for address in linked:
            assert (await client.get(address)).status_code == 200

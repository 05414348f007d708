"""Schemathesis sees by our OpenAPI which operations are guarded, and finds one that says so and is not."""

import asyncio
from typing import Annotated

import pytest
import schemathesis
from fastapi import Depends, FastAPI
from libraries.maestro_core_auth.example_app import make_world
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import ignored_auth


def check(app: FastAPI, method: str, path: str, token: str) -> None:
    """Ask with good credentials, and have Schemathesis try the same with none and with bad ones."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    case = schema[path][method].Case(headers={"Authorization": f"Bearer {token}"})
    answer = case.call()
    assert answer.status_code == 200
    case.validate_response(answer, checks=[ignored_auth])


@pytest.mark.parametrize("path", ["/me", "/v1/audit"])
def test_a_guarded_operation_passes(path: str) -> None:
    world = asyncio.run(make_world())
    check(world.app, "GET", path, world.credentials["admin"])


def test_an_operation_that_only_says_that_it_is_guarded_is_found() -> None:
    """So the check above is one that can fail."""
    world, app = asyncio.run(make_world()), FastAPI()

    @app.get("/me")
    async def me(_: Annotated[None, Depends(world.auth._bearer)]) -> None:
        return None

    with pytest.raises(FailureGroup, match="without authentication"):
        check(app, "GET", "/me", world.credentials["admin"])

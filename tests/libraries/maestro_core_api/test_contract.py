"""The contract: complete, the same wherever it is made, exported, and guarded by tests that any service reuses."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from libraries.maestro_core_api.tiny_app import client_of, tiny_app
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from kit.processes import import_path
from maestro_core_api import InvalidApi, UnknownApp, contract_text, create_api, export_contract, load_app, problems
from maestro_core_api.testing import ContractTests, DeclaredAnswers

APP = "libraries.maestro_core_api.tiny_app:tiny_app"
PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


class Event(BaseModel):
    """What a stream carries."""

    seq: int


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return tiny_app(schemas=[Event]).openapi()


def test_every_operation_declares_what_the_edge_answers(document: dict[str, Any]) -> None:
    """A body can be unreadable or too large, what is asked can be wrong, and `default` stands for the rest."""
    made = document["paths"]["/api/things"]["post"]["responses"]
    assert list(made) == ["201", "400", "413", "422", "default"]
    assert all(made[status]["content"] == PROBLEM for status in ("400", "413", "422", "default"))
    assert list(document["paths"]["/api/things"]["get"]["responses"]) == ["200", "422", "default"]
    assert list(document["paths"]["/api/things/broken"]["get"]["responses"]) == ["200", "404", "default"]


def test_what_streams_carry_is_published_and_what_nobody_names_is_not(document: dict[str, Any]) -> None:
    """Shapes in the order of their names; the framework's own error shapes are gone."""
    schemas = document["components"]["schemas"]
    assert list(schemas) == sorted(schemas)
    assert {"Event", "Problem", "FieldProblem", "Thing"} <= schemas.keys()
    assert not {"HTTPValidationError", "ValidationError"} & schemas.keys()


def test_routes_that_are_added_later_are_in_it() -> None:
    """The document is made anew when there is more to say."""
    app = tiny_app()
    before = app.contract_text()

    @app.get("/api/more")
    async def read_more() -> int:
        """More."""
        return 1

    assert "/api/more" not in before
    assert app.openapi()["paths"]["/api/more"]["get"]["responses"]["default"]["content"] == PROBLEM
    assert app.contract_text() == app.contract_text()


def test_two_operations_of_one_name_are_refused() -> None:
    """Clients that are generated from the contract would lose one of them."""
    router = APIRouter()
    for path in ("/a", "/b"):

        @router.get(path)
        async def read_it() -> int:
            return 1

    with pytest.warns(UserWarning, match="Duplicate Operation ID"), pytest.raises(InvalidApi, match="called read_it"):
        create_api(title="T", version="1.0.0", routers=[router]).openapi()


@pytest.mark.parametrize("prefix", ["", "api", "/api/"])
def test_a_prefix_that_cannot_be_is_refused(prefix: str) -> None:
    """It begins with a slash and does not end with one."""
    with pytest.raises(InvalidApi, match="prefix"):
        create_api(title="T", version="1.0.0", prefix=prefix)


def test_the_text_does_not_depend_on_the_process(tmp_path: Path) -> None:
    """Other hash seeds, folders and variables leave no trace."""
    program = f"import sys; from maestro_core_api import export_contract; sys.stdout.write(export_contract({APP!r}))"
    texts = set()
    for seed in ("0", "1", "2"):
        environment = {**os.environ, "PYTHONPATH": import_path(), "PYTHONHASHSEED": seed, "PORT": "1"}
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        texts.add(done.stdout)
    assert texts == {contract_text(tiny_app())}


def test_it_is_exported_whole_or_not_at_all(tmp_path: Path) -> None:
    """What is returned is what is written, and no draft is left; a folder that is not there leaves nothing behind."""
    target = tmp_path / "tiny.openapi.json"
    text = export_contract(APP, target)
    assert target.read_text(encoding="utf-8") == text == contract_text(tiny_app())
    assert list(tmp_path.iterdir()) == [target]
    assert json.loads(text)["info"]["version"] == "1.2.3"
    with pytest.raises(FileNotFoundError):
        export_contract(APP, tmp_path / "nowhere" / "x.json")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        export_contract(APP, tmp_path / "folder")
    assert set(tmp_path.iterdir()) == {target, tmp_path / "folder"}
    assert export_contract(APP) == text


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("", "not of the form"),
        ("module", "not of the form"),
        (":factory", "not of the form"),
        ("no.such.module:app", "there is no module no"),
        ("json:nothing", "nothing"),
        ("json:loads", "cannot be called without arguments"),
        ("platform:python_version", "gives str, which is no app"),
        ("maestro_core_api:BUILT_IN", "cannot be called"),
    ],
)
def test_a_path_that_leads_to_no_app_is_told(path: str, says: str) -> None:
    """What was looked for stands in the error."""
    with pytest.raises(UnknownApp, match=says):
        load_app(path)


class TestContractOfTheTinyService(ContractTests):
    """The lines that a service writes; here the document is published by the test itself."""

    app = APP

    @pytest.fixture(autouse=True)
    def _publish(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(type(self), "published", tmp_path / "tiny.openapi.json", raising=False)
        export_contract(self.app, self.published)


def changed(tmp_path: Path, change: Any) -> type[ContractTests]:
    """The suite over a published document that differs from the app's."""
    document = json.loads(contract_text(tiny_app()))
    change(document)
    target = tmp_path / "published.json"
    target.write_text(json.dumps(document), encoding="utf-8")
    return type("Suite", (ContractTests,), {"app": APP, "published": target, "__test__": False})


def test_the_suite_finds_a_change_that_was_not_published(tmp_path: Path) -> None:
    """Any difference at all."""
    suite = changed(tmp_path, lambda document: document["info"].update(title="Other"))()
    suite.test_no_change_breaks_a_client_in_silence()
    with pytest.raises(AssertionError, match="export_contract writes it"):
        suite.test_the_published_document_is_that_of_the_code()


@pytest.mark.parametrize(
    ("version", "breaks"), [("1.0.0", True), ("1.2.3", True), ("0.9.0", False), ("1.9.0", True), ("2.0.0", True)]
)
def test_the_suite_lets_nothing_break_without_a_new_major_version(tmp_path: Path, version: str, breaks: bool) -> None:
    """What was published had an operation more than the app (1.2.3) has."""

    def more(document: dict[str, Any]) -> None:
        document["info"]["version"] = version
        document["paths"]["/api/old"] = {"get": {"responses": {}}}

    suite = changed(tmp_path, more)()
    if breaks:
        with pytest.raises(AssertionError, match="GET /api/old: the operation is gone"):
            suite.test_no_change_breaks_a_client_in_silence()
    else:
        suite.test_no_change_breaks_a_client_in_silence()


def plain_app() -> FastAPI:
    """An app of the framework alone, with all that the suite is there to find."""
    app = FastAPI(title="Plain", version="1.0.0")

    @app.get("/a", summary="", responses={404: {"description": "No."}})
    async def read_a(limit: int = 1) -> int:
        return limit

    return app


def test_the_suite_finds_what_an_app_does_not_say() -> None:
    """Operations without a description, errors that are no problems, no default."""
    suite = type("Suite", (ContractTests,), {"app": f"{__name__}:plain_app", "published": Path(), "__test__": False})()
    with pytest.raises(AssertionError, match="GET /a has no description"):
        suite.test_every_operation_says_what_it_is()
    with pytest.raises(AssertionError, match=r"no default answer.*404 without application/problem"):
        suite.test_every_error_is_a_problem()


async def test_an_answer_that_is_not_declared_is_found() -> None:
    """A service's own tests run through it, and at their end it names what the contract does not say."""
    router = APIRouter()

    @router.get("/api/odd", responses=problems(404))
    async def read_odd(status: int = 200) -> int:
        """Odd."""
        raise HTTPException(status)

    watched = DeclaredAnswers(tiny_app(routers=[router]))
    async with client_of(watched) as client:
        for status in (404, 409, 409, 500):
            await client.get(f"/api/odd?status={status}")
        await client.get("/api/nothing")
        await client.get("/api/odd", headers={"Host": "evil.example"})
    assert watched.undeclared == ["GET /api/odd answers 409"]

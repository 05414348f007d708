"""The published contract is what the code keeps."""

import json
from pathlib import Path

import pytest

import maestro_engine
from maestro_core_api.testing import ContractTests
from maestro_core_config import markdown_table
from maestro_engine.access.policy import POLICY
from maestro_engine.app import contract_app
from maestro_engine.http.problems import PROBLEMS
from maestro_engine.settings import EngineSettings

README = Path(maestro_engine.__file__).with_name("README.md")


class TestContract(ContractTests):
    """Equal to the published document, compatible with it, and every error a problem."""

    app = "maestro_engine.app:contract_app"
    published = Path("contracts/maestro-engine.openapi.json")


def test_the_shape_of_an_event_is_published() -> None:
    """It is in no answer of its own, but on the socket and in the stream."""
    assert "EventView" in contract_app().openapi()["components"]["schemas"]


def test_every_route_but_the_open_ones_says_who_may_call_it() -> None:
    """The document names the scheme, so that clients know to sign in; what is open has none."""
    document = contract_app().openapi()
    bare = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if not operation.get("security")
    }
    assert bare == {"GET /api/health/live", "GET /api/health/ready", "GET /api/problems"}


def test_making_the_app_touches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file and no socket is opened for the contract; that begins when parts are opened."""
    monkeypatch.setenv("MAESTRO_DATA_DIR", str(tmp_path / "data"))
    assert str(tmp_path) not in contract_app().contract_text()
    assert list(tmp_path.iterdir()) == []


def test_every_problem_is_told_in_words() -> None:
    """Codes are those of errors, and each has a title and a description of its own."""
    assert all(400 <= each.status < 600 and each.title and each.description for each in PROBLEMS)


def test_the_readme_shows_settings_and_permissions_as_they_are() -> None:
    """The tables in the README are those that the code gives."""
    readme = README.read_text(encoding="utf-8")
    table = readme.partition("<!-- settings -->")[2].partition("<!-- /settings -->")[0]
    assert table.strip() == markdown_table(EngineSettings).strip()
    for role in POLICY.roles:
        granted = ", ".join(f"`{each}`" for each in sorted(POLICY.granted_to([role])))
        assert f"| {role} | {granted} |" in readme


def test_the_document_is_the_same_each_time() -> None:
    """Made twice, it is the same text, and it is JSON."""
    assert contract_app().contract_text() == contract_app().contract_text()
    assert json.loads(contract_app().contract_text())["openapi"].startswith("3.1")

"""The published contract is what the code keeps."""

import json
from pathlib import Path
from typing import Any

import pytest

import maestro_engine
from maestro_core_config import markdown_table
from maestro_engine.app import contract_text, create_app, main
from maestro_engine.http.docs import page_of
from maestro_engine.http.problems import STATUS_OF
from maestro_engine.settings import EngineSettings

PUBLISHED = Path("contracts/maestro-engine.openapi.json")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(contract_text())
    return made


def test_the_published_document_is_that_of_the_code() -> None:
    """Whoever changes an answer changes the document too: `python -m maestro_engine contract FILE` writes it."""
    assert PUBLISHED.read_text(encoding="utf-8") == contract_text()


def test_the_document_does_not_depend_on_where_it_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings, folders and installed plugins leave no trace in it."""
    monkeypatch.setenv("MAESTRO_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MAESTRO_ENGINE_PORT", "9999")
    target = tmp_path / "openapi.json"
    assert main(["contract", str(target)]) == 0
    assert target.read_text(encoding="utf-8") == contract_text()
    assert list(tmp_path.iterdir()) == [target]


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    """No schema is named that is not there, and none is there that the framework left behind."""
    schemas = document["components"]["schemas"]
    text = json.dumps(document)
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= schemas.keys()
    assert not {"HTTPValidationError", "ValidationError"} & schemas.keys()
    assert {"EventView", "Problem"} <= schemas.keys()


def test_every_error_is_a_problem_document(document: dict[str, Any]) -> None:
    """Each answer from 400 on is application/problem+json, and `default` covers what is not listed."""
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert "default" in operation["responses"], path
            for status, answer in operation["responses"].items():
                if status == "default" or (int(status) >= 400 and path != "/api/health"):
                    assert list(answer["content"]) == ["application/problem+json"], (path, status)


def test_every_code_has_a_status_of_an_error() -> None:
    """The table knows only statuses that mean an error."""
    assert all(400 <= status < 600 for status in STATUS_OF.values())
    assert all(code.count(".") == 1 for code in STATUS_OF)


def test_the_docs_page_needs_nothing_from_elsewhere(document: dict[str, Any]) -> None:
    """Every call and every shape is on the page; there is no script and no address of another site."""
    page = page_of(document)
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page
    for path in document["paths"]:
        assert path.replace("{", "{") in page
    for name in document["components"]["schemas"]:
        assert f'id="{name}"' in page


def test_the_docs_page_escapes_what_the_document_says(document: dict[str, Any]) -> None:
    """A description is text, whatever it holds."""
    hostile = {**document, "info": {**document["info"], "description": "<img src=x onerror=alert(1)>"}}
    assert "<img" not in page_of(hostile)


def test_the_docs_page_writes_code_as_code(document: dict[str, Any]) -> None:
    """Words between backticks become code and paragraphs stay apart; no mark-up of the source is left to read."""
    page = page_of(document)
    assert "`" not in page
    assert "<p>Every error is an <code>application/problem+json</code>" in page


def test_the_docs_page_tells_each_field_of_a_shape(document: dict[str, Any]) -> None:
    """Type, bounds and meaning stand in words, and a shape that is named can be reached."""
    page = page_of(document)
    assert '<a href="#WorkflowSummaryView"><code>WorkflowSummaryView</code></a>' in page
    limit = page[page.index("<code>limit</code>") :]
    assert "<code>integer</code> · default <code>50</code> · at least <code>1</code>" in limit[:300]
    started = page[page.index('<table id="Started">') :]
    assert "<small>required</small></td><td><code>integer</code><br>The last event that is stored" in started[:600]
    assert "Successful Response" not in page


def test_an_app_can_be_made_without_touching_anything(tmp_path: Path) -> None:
    """Making the app opens no file and no socket; that begins when it is started."""
    create_app(EngineSettings(data_dir=tmp_path / "data"))
    assert list(tmp_path.iterdir()) == []


def test_the_readme_shows_the_settings_as_they_are() -> None:
    """The table in the README is the one that the settings class gives."""
    readme = Path(maestro_engine.__file__).with_name("README.md").read_text(encoding="utf-8")
    table = readme.partition("<!-- settings -->")[2].partition("<!-- /settings -->")[0]
    assert table.strip() == markdown_table(EngineSettings).strip()

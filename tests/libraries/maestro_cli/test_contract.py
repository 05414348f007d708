"""`maestro api contract`: the OpenAPI document of a service, from its code."""

import json
import sys
from pathlib import Path

import pytest
from libraries.maestro_cli.command import maestro

from maestro_cli import main

SERVICE = """
from maestro_core_api import create_api

def app():
    return create_api(title="Tea", version="1.2.0")

nothing = 7

def broken():
    raise RuntimeError("the tea is cold")
"""


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the module `tea_service`, which can be imported."""
    (tmp_path / "tea_service.py").write_text(SERVICE)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_it_goes_to_standard_output(service: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole document and nothing else, so that it can be piped."""
    assert main(["api", "contract", "tea_service:app"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["info"] == {"title": "Tea", "version": "1.2.0"}
    assert said.err == ""


def test_a_service_of_the_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by the installed command, whose own folder is the first on the path."""
    (tmp_path / "cup_service.py").write_text(SERVICE)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    assert main(["api", "contract", "cup_service:app", "cup.json"]) == 0
    assert json.loads((tmp_path / "cup.json").read_text())["info"]["title"] == "Tea"


def test_it_goes_to_a_file_whole_or_not_at_all(service: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same text each time; when it cannot be made, what was there stays."""
    file = service / "tea.openapi.json"
    assert main(["api", "contract", "tea_service:app", str(file)]) == 0
    first = file.read_text()
    assert (json.loads(first)["info"]["title"], capsys.readouterr().out) == ("Tea", "")
    assert main(["api", "contract", "tea_service:app", str(file)]) == 0
    assert main(["api", "contract", "tea_service:nothing", str(file)]) == 2
    assert file.read_text() == first
    assert sorted(path.name for path in service.glob("*openapi*")) == ["tea.openapi.json"]


@pytest.mark.parametrize(
    "app",
    ["tea_service", "tea_service:", ":app", "no_such_module:app", "tea_service:none", "tea_service:nothing", "a b:c"],
)
def test_what_is_no_app_is_told(service: Path, capsys: pytest.CaptureFixture[str], app: str) -> None:
    """Exit 2 and one message without a trace."""
    assert main(["api", "contract", app]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("maestro: ")
    assert "Traceback" not in said.err


def test_a_folder_that_is_not_there_is_told(service: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2 with the path."""
    assert main(["api", "contract", "tea_service:app", str(service / "none" / "tea.json")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_person_is_told_what_the_command_takes() -> None:
    """`maestro api` alone shows the usage and ends with 2."""
    done = maestro("api")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: maestro api")

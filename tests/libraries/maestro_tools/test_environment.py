"""A tool's process sees of us only what was named for it."""

import os
import sys
from pathlib import Path

import pytest

from maestro_tools import ServerUnavailable
from maestro_tools._environment import SAFE_VARIABLES, child_environment, find_program, substitute


def test_environment_holds_nothing_unnamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The safe default, what is passed on by name, and the tool's own."""
    monkeypatch.setenv("CLOUD_SECRET", "s")
    monkeypatch.setenv("SSL_CERT_FILE", "/cert")
    monkeypatch.delenv("NOT_SET", raising=False)
    given = child_environment({"OWN": "1", "LANG": "C"}, ["SSL_CERT_FILE", "NOT_SET"])
    assert set(given) <= {*SAFE_VARIABLES, "SSL_CERT_FILE", "OWN"}
    assert (given["SSL_CERT_FILE"], given["OWN"], given["LANG"]) == ("/cert", "1", "C")


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_program_is_found_on_path_then_beside_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a wheel installed beside our Python is found although PATH does not name it."""
    beside = executable(tmp_path / "venv/bin/uvx-like")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv/bin/python"))
    assert find_program("uvx-like", "/nowhere", tmp_path) == str(beside)
    on_path = executable(tmp_path / "usr/uvx-like")
    assert find_program("uvx-like", str(tmp_path / "usr"), tmp_path) == str(on_path)


def test_program_given_as_a_path_begins_at_the_working_folder(tmp_path: Path) -> None:
    """`./server` is the one beside the workflow."""
    server = executable(tmp_path / "bin/server")
    assert find_program("./bin/server", None, tmp_path) == str(server)
    assert find_program(str(server), None, Path("/")) == str(server)


@pytest.mark.parametrize("program", ["no-such-program", "./no-such-program", "bin"])
def test_missing_program_is_named(program: str, tmp_path: Path) -> None:
    """With the places where it was looked for; trying again would not help."""
    (tmp_path / "bin").mkdir()
    with pytest.raises(ServerUnavailable, match=f"'{program}' not found") as caught:
        find_program(program, str(tmp_path), tmp_path)
    assert not caught.value.retryable
    assert "looked in" in str(caught.value)


def test_variables_are_put_in_everywhere() -> None:
    """In both forms where UTCP has both, and in keys nowhere."""
    value = {"$A": ["${A}-$A", {"x": "${B}"}], "n": 7, "price": "5 $ or $$"}
    assert substitute(value, {"A": "1", "B": "$A"}, bare=True) == {
        "$A": ["1-1", {"x": "$A"}],
        "n": 7,
        "price": "5 $ or $$",
    }
    assert substitute("${A} $A", {"A": "1"}, bare=False) == "1 $A"


def test_undeclared_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own environment is no place to look for it."""
    monkeypatch.setenv("CLOUD_SECRET", "s")
    with pytest.raises(ValueError, match="'CLOUD_SECRET' is not declared"):
        substitute("${CLOUD_SECRET}", {"TOKEN": "t"}, bare=True)
    assert os.environ["CLOUD_SECRET"] == "s"

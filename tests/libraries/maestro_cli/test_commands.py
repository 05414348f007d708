"""The other words of the command line."""

import subprocess
import sys
import types
from pathlib import Path

import pytest
from libraries.maestro_cli.command import environment, maestro

from maestro_cli import main


def test_validate_says_that_a_definition_is_right(tmp_path: Path) -> None:
    """Exit 0 and one line; nothing runs and no data folder is made."""
    (tmp_path / "fine.yml").write_text("name: fine\nsteps: {a: {kind: shell, with: {command: touch ran}}}\n")
    done = maestro("validate", "fine.yml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "fine.yml: fine is right: 1 step, inputs: none\n")
    assert [path.name for path in tmp_path.iterdir()] == ["fine.yml"]


def test_validate_refuses_a_wrong_one(tmp_path: Path) -> None:
    """Exit 2 with every problem, as `run` shows them."""
    (tmp_path / "wrong.yml").write_text("name: wrong\nsteps: {a: {kind: shell}, b: {needs: [c]}}\n")
    done = maestro("validate", "wrong.yml", cwd=tmp_path)
    assert done.returncode == 2
    assert "wrong.yml:2:" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["dance"], ["run"], ["up", "--port", "x"]])
def test_wrong_words_exit_with_2(arguments: list[str]) -> None:
    """The usage says what was expected."""
    done = maestro(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: maestro")


def test_no_words_show_the_help() -> None:
    """Whoever types only `maestro` learns which commands there are; on stderr, for it is no answer."""
    done = maestro()
    assert done.stdout == ""
    assert all(f"    {command} " in done.stderr for command in ("run", "validate", "up"))


def test_a_wrong_folder_variable_is_told_in_words(tmp_path: Path) -> None:
    """A MAESTRO_DATA_DIR that cannot be used is named; exit 2 and no trace."""
    (tmp_path / "fine.yml").write_text("name: fine\nsteps: {a: {kind: shell, with: {command: 'true'}}}\n")
    done = maestro("run", "fine.yml", cwd=tmp_path, MAESTRO_DATA_DIR="not/absolute")
    assert done.returncode == 2
    assert "must be an absolute path [environment MAESTRO_DATA_DIR]" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_version_is_told() -> None:
    """One line, exit 0."""
    done = maestro("--version")
    assert (done.returncode, done.stdout.split()[0]) == (0, "maestro")


def test_up_passes_on_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine is found by its name when it is needed, and gets only the options that were given."""
    seen: list[list[str]] = []

    def fake_main(arguments: list[str]) -> int:
        seen.append(arguments)
        return 7

    app = types.ModuleType("maestro_engine.command")
    app.main = fake_main  # type: ignore[attr-defined]  # a module is made here
    monkeypatch.setitem(sys.modules, "maestro_engine", types.ModuleType("maestro_engine"))
    monkeypatch.setitem(sys.modules, "maestro_engine.command", app)
    assert main(["up", "--port", "0", "--data-dir", "d"]) == 7
    assert main(["up"]) == 7
    assert seen == [["--port", "0", "--data-dir", "d"], []]


def test_up_without_the_engine_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit 2 and the name of the wheel."""
    monkeypatch.setitem(sys.modules, "maestro_engine", None)
    monkeypatch.setitem(sys.modules, "maestro_engine.command", None)
    assert main(["up"]) == 2
    assert "maestro-engine" in capsys.readouterr().err


def test_help_comes_without_loading_the_engine(tmp_path: Path) -> None:
    """A person who asks for help does not wait: neither asyncio nor SQLite nor pydantic is loaded for it."""
    script = (
        "import sys\n"
        "from maestro_cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'pydantic', 'sqlite3', 'asyncio', 'maestro_workflow_engine', 'mcp'} & set(sys.modules)\n"
        "sys.exit(repr(heavy) if heavy else 0)\n"
    )
    file = tmp_path / "script.py"
    file.write_text(script)

    done = subprocess.run(
        [sys.executable, str(file)], env=environment(), capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr

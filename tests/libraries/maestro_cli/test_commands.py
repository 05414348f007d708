"""The other words of the command line."""

import argparse
import json
import subprocess
import sys
import types
from pathlib import Path

import pytest
from libraries.maestro_cli.command import environment, maestro

from maestro_cli import main
from maestro_cli._parser import make_parser


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


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["schedule", "add", "--help"], ["run", "--help"], []])
def test_help_comes_without_loading_anything(tmp_path: Path, words: list[str]) -> None:
    """A person who asks for help does not wait: of ours nothing but the words themselves is loaded, and few others."""
    script = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "from maestro_cli import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit:\n    pass\n"
        "loaded = set(sys.modules) - before\n"
        "ours = {name.partition('.')[0] for name in loaded if name.startswith('maestro')} - {'maestro_cli'}\n"
        "heavy = {'pydantic', 'sqlite3', 'asyncio', 'ssl', 'http', 'json', 'mcp'} & loaded\n"
        f"most = {150 if words == ['--version'] else 90}\n"
        "sys.exit(repr(ours | heavy) if ours or heavy else repr(sorted(loaded)) if len(loaded) > most else 0)\n"
    )
    file = tmp_path / "script.py"
    file.write_text(script)

    done = subprocess.run(
        [sys.executable, str(file)], env=environment(), capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr


def test_commands_to_an_engine_do_not_load_one(tmp_path: Path) -> None:
    """`maestro ls` is as quick: neither the engine nor a library outside the standard one is loaded."""
    script = (
        "import os, sys\n"
        "from maestro_cli import main\n"
        "os.environ['MAESTRO_URL'] = 'http://127.0.0.1:1'\n"
        "status = [main(words.split()) for words in ('ls', 'show last', 'inbox', 'schedule list', 'start tea')]\n"
        "heavy = {'pydantic', 'sqlite3', 'asyncio', 'maestro_workflow_engine', 'mcp'} & set(sys.modules)\n"
        "sys.exit(repr(heavy) if heavy else repr(status) if set(status) != {3} else 0)\n"
    )
    file = tmp_path / "script.py"
    file.write_text(script)
    done = subprocess.run(
        [sys.executable, str(file)], env=environment(), capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr


def test_every_command_explains_itself() -> None:
    """`--help` of each, at any depth, ends with 0 and names what it takes."""
    left: list[list[str]] = [[]]
    seen = 0
    while left:
        words = left.pop()
        parser = make_parser()
        for word in words:
            parser = below(parser)[word]
        assert parser.format_help().startswith(f"usage: maestro{''.join(' ' + word for word in words)} ")
        left += [[*words, word] for word in below(parser)]
        seen += 1
    assert seen > 60


def below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands below one."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def test_every_command_that_answers_has_json() -> None:
    """All but those that start a server, or print a script or a contract."""
    left: list[tuple[tuple[str, ...], argparse.ArgumentParser]] = [((), make_parser())]
    without = set()
    while left:
        words, parser = left.pop()
        left += [((*words, word), each) for word, each in below(parser).items()]
        if not below(parser) and "--json" not in parser.format_help():
            without.add(" ".join(words))
    assert without == {"up", "api contract", "completion"}


def test_validate_tells_a_program_every_problem(tmp_path: Path) -> None:
    """One JSON document either way; the exit status is the same as for people."""
    (tmp_path / "fine.yml").write_text("name: fine\nsteps: {a: {kind: shell, with: {command: 'true'}}}\n")
    (tmp_path / "wrong.yml").write_text("name: wrong\nsteps:\n  a: {kind: nope}\n")
    fine = maestro("validate", "fine.yml", "--json", cwd=tmp_path)
    assert fine.returncode == 0
    assert json.loads(fine.stdout)["name"] == "fine"
    wrong = maestro("validate", "wrong.yml", "--json", cwd=tmp_path)
    (problem,) = json.loads(wrong.stdout)["problems"]
    assert (wrong.returncode, wrong.stderr) == (2, "")
    assert (problem["line"], problem["column"], problem["path"]) == (3, 13, "/steps/a/kind")


def test_output_in_a_poor_encoding_is_no_reason_to_end(tmp_path: Path) -> None:
    """A name that ASCII lacks becomes a question mark."""
    (tmp_path / "tea.yml").write_text(
        "name: tea\nsteps: {a: {kind: shell, with: {command: 'echo ☕'}}}\n"
        "outputs: {o: '${{ steps.a.output.stdout }}'}\n"
    )
    done = maestro("run", "tea.yml", "--data-dir", "data", cwd=tmp_path, PYTHONUTF8="0", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "+ done" in done.stdout

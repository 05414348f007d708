"""`maestro completion`: the scripts, as real shells run them."""

import shutil
import subprocess
from pathlib import Path

import pytest
from libraries.maestro_cli.command import maestro


def script_for(shell: str) -> str:
    done = maestro("completion", shell)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def offered(folder: Path, line: str) -> set[str]:
    """What bash offers for the last word of a line."""
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    program = (
        f"{script_for('bash')}\nCOMP_WORDS=({quoted})\nCOMP_CWORD={len(words) - 1}\n_maestro\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        [shutil.which("bash") or "bash", "--norc", "-c", program],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return {word for word in done.stdout.splitlines() if word}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a b.yml").write_text("")
    (tmp_path / "deep").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("line", "wanted", "not_wanted"),
    [
        ("maestro ", {"run", "ls", "schedule", "--version"}, {"--cron", "a b.yml"}),
        ("maestro s", {"start", "show", "schedule", "secret", "signal", "skip"}, {"run", "ls"}),
        ("maestro schedule ", {"add", "backfill", "upcoming"}, {"ls", "deprecate"}),
        ("maestro schedule add ", {"--cron", "--overlap"}, {"add"}),
        ("maestro schedule add --overlap ", {"skip", "queue", "allow"}, {"--cron"}),
        ("maestro ls --status ", {"running", "paused"}, {"--status"}),
        ("maestro ls --status running --li", {"--limit"}, {"--status"}),
        ("maestro run ", {"a b.yml", "deep", "--resume"}, {"run"}),
        ("maestro run a", {"a b.yml"}, {"deep", "--resume"}),
        ("maestro run --inputs-file ", {"a b.yml"}, {"--resume"}),
        ("maestro export x --output ", {"a b.yml"}, {"--force"}),
        ("maestro show ", {"--at-seq"}, {"a b.yml"}),
        ("maestro completion ", {"bash", "zsh", "fish"}, {"run"}),
        ("maestro dance ", {"run"}, set()),
    ],
)
def test_bash_offers_what_fits(folder: Path, line: str, wanted: set[str], not_wanted: set[str]) -> None:
    """Commands, those below them, their options, the values that an option has, and files where a file goes."""
    found = offered(folder, line)
    assert wanted <= found, found
    assert not not_wanted & found


@pytest.mark.parametrize("shell", [shell for shell in ("bash", "zsh", "fish") if shutil.which(shell)])
def test_installed_shells_can_read_their_script(shell: str) -> None:
    """No word of it is a mistake of syntax."""
    read = subprocess.run(
        [shell, "-n"], input=script_for(shell), capture_output=True, text=True, timeout=30, check=False
    )
    assert (read.returncode, read.stderr) == (0, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_command_is_in_every_script(shell: str) -> None:
    """The scripts are made from the parser: nothing is forgotten."""
    script = script_for(shell)
    assert all(word in script for word in ("deprecate", "backfill", "at-seq", "redact-values", "drift"))


def test_fish_quotes_what_people_read() -> None:
    """An apostrophe in a description does not end it; each line is one call."""
    lines = script_for("fish").splitlines()
    assert all(line.startswith(("complete -c maestro ", "#")) for line in lines)
    assert all(line.count("'") % 2 == line.count("\\'") % 2 for line in lines)
    assert any("engine\\'s" in line or "workflow\\'s" in line or "definition\\'s" in line for line in lines)


def test_another_shell_is_refused() -> None:
    """Exit 2 with those there are."""
    done = maestro("completion", "dos")
    assert done.returncode == 2
    assert "fish" in done.stderr

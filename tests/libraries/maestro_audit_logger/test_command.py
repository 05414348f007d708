"""The command `maestro-audit` and the verifier as one file, in processes of their own."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from libraries.maestro_audit_logger.audit_logs import ORIGIN, SIGNER, event, make_log, open_log

from kit.processes import import_path
from maestro_audit_logger.signing import Ed25519Signer


def run(
    *arguments: str | Path, python: tuple[str, ...] = (), cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a Python program to its end."""
    return subprocess.run(
        [sys.executable, *python, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": import_path(), "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def audit(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `maestro-audit`."""
    return run("-m", "maestro_audit_logger", *arguments)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of three entries, one with personal values, and beside it its key and a checkpoint."""
    make_log(tmp_path / "log", 2)
    with open_log(tmp_path / "log") as log_:
        log_.append(
            actor="user:1",
            action="invite",
            object="team:1\N{LATIN SMALL LETTER E WITH ACUTE}",
            outcome="denied",
            details={"why": "\x1b[2J\u202e"},
            personal={"user:7": {"email": "anna@example.com"}},
        )
    (tmp_path / "key").write_text(f"# the key of the log\n{SIGNER.note_key.text()}\n")
    assert audit("witness", tmp_path / "log", tmp_path / "seen", "--key", tmp_path / "key").returncode == 0
    return tmp_path / "log"


def test_verify_says_what_was_found(log: Path) -> None:
    """0 and `sound`; 1 and every problem; 2 where nothing could be checked."""
    good = audit("verify", log, "--key", log.parent / "key", "--checkpoint", log.parent / "seen")
    assert good.returncode == 0, good.stderr
    assert good.stdout.startswith(f"sound: {ORIGIN}\n  entries    3\n")
    assert f"signed by  {ORIGIN}" in good.stdout
    assert "compared   2 checkpoints, with 1 kept elsewhere" in good.stdout
    bare = audit("verify", log)
    assert bare.returncode == 0
    assert "not checked: no --key was given" in bare.stdout
    assert "none kept elsewhere was given" in bare.stdout
    path = log / "segments/0000000000000000.jsonl"
    path.write_bytes(path.read_bytes().replace(b"denied", b"denier"))
    bad = audit("verify", log, "--key", log.parent / "key")
    assert bad.returncode == 1
    assert bad.stdout.startswith("NOT SOUND")
    assert "PROBLEM    entries before 3 are not those of the log's own checkpoint of 3" in bad.stdout
    for arguments in (
        (log.parent,),
        (log.parent / "none",),
        (log, "--key", log / "FORMAT"),
        (log, "--key", log / "no"),
    ):
        done = audit("verify", *arguments)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("maestro-audit: ")
        assert "Traceback" not in done.stderr


def test_show_is_safe_to_look_at(log: Path) -> None:
    """A table without control characters; personal values hidden unless asked for."""
    done = audit("show", log, "--action", "invite")
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "2  2026-01-01T00:00:00.000000Z  user:1  invite  team:1é  denied\n"
        '     details {"why":"\\u001b[2J\\u202e"}\n'
        '     personal {"user:7":{"email":"[protected]"}}\n'
    )
    assert "anna@example.com" in audit("show", log, "--reveal").stdout
    assert audit("show", log, "--last", "1").stdout.count("\n") == 3
    assert audit("show", log, "--actor", "nobody").stderr == "no entries\n"
    assert "is not a time" in audit("show", log, "--since", "yesterday").stderr


def test_export_writes_each_format(log: Path) -> None:
    """JSON Lines, CSV and CEF, filtered as asked."""
    lines = audit("export", log).stdout.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [0, 1, 2]
    rows = list(csv.reader(io.StringIO(audit("export", log, "--format", "csv", "--outcome", "denied").stdout)))
    assert rows[1][:2] == ["2", "2026-01-01T00:00:00.000000Z"]
    cef = audit("export", log, "--format", "cef", "--until", "2026-01-01").stdout
    assert cef == ""
    assert audit("export", log, "--format", "cef", "--since", "2026-01-01").stdout.count("CEF:0|") == 3


def test_erase_and_retain_write_entries(log: Path) -> None:
    """Both ask for the signer of a signed log, do their work, and are seen in the log."""
    for words in (("erase", log, "user:7"), ("retain", log, "--days", "0")):
        refused = audit(*words)
        assert refused.returncode == 2
        assert "this log is signed" in refused.stderr
    with open_log(log):
        held = audit("erase", log, "user:7", "--sign-hmac", log.parent / "key")
        assert (held.returncode, f"pid {os.getpid()}" in held.stderr) == (2, True)
    erased = audit("erase", log, "user:7", "--sign-hmac", log.parent / "key")
    assert (erased.returncode, erased.stdout) == (0, "the key is destroyed\n")
    again = audit("erase", log, "user:7", "--sign-hmac", log.parent / "key")
    assert again.stdout == "there was no key of that subject\n"
    assert "[erased]" in audit("show", log, "--reveal").stdout
    with open_log(log, segment_bytes=1) as log_:
        log_.append_many([event(9)])
    kept = audit("retain", log, "--days", "100000", "--sign-hmac", log.parent / "key")
    assert kept.stdout == "no segment is that old\n"
    removed = audit("retain", log, "--days", "0", "--sign-hmac", log.parent / "key")
    assert removed.stdout == "removed entries 0 to 4 in one segment\n", removed.stderr
    assert audit("retain", log, "--days", "nan", "--sign-hmac", log.parent / "key").returncode == 2
    verified = audit("verify", log, "--key", log.parent / "key")
    assert verified.returncode == 0
    assert "entries    7, of which retention removed the first 5" in verified.stdout


def test_a_rewritten_log_is_not_witnessed(log: Path, tmp_path: Path) -> None:
    """The witness has its own exit code for it."""
    make_log(tmp_path / "other", 5)
    done = audit("witness", tmp_path / "other", tmp_path / "seen")
    assert done.returncode == 1
    assert done.stderr.startswith("NOT WITNESSED: ")
    assert audit("witness", log, tmp_path / "seen").stdout.endswith("nothing new\n")


def test_a_reader_that_stops_early_is_no_error(log: Path) -> None:
    """`export | head -1` ends quietly."""
    command = f"{sys.executable} -m maestro_audit_logger export {log} --format csv | head -1"
    with open_log(log) as log_:
        log_.append_many([event(n) for n in range(5000)])
    environment = {**os.environ, "PYTHONPATH": import_path()}
    done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("seq,at,actor,action,object,outcome,details,context,personal\n", "")


def test_the_verifier_stands_alone(tmp_path: Path) -> None:
    """The one file it writes verifies logs and proofs in an empty folder, without this package and without site."""
    signer = Ed25519Signer.generate(ORIGIN)
    older = make_log(tmp_path / "log", 1500, signer=signer)
    with open_log(tmp_path / "log", signer=signer) as log_:
        log_.append_many([event(n) for n in range(1500, 2100)])
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/verify.py").write_text(audit("verifier").stdout)
    (tmp_path / "key").write_text(signer.note_key.text() + "\n")
    (tmp_path / "seen").write_text(older.note)
    (tmp_path / "inclusion").write_text(audit("prove", tmp_path / "log", "1203").stdout)
    (tmp_path / "consistency").write_text(audit("consistency", tmp_path / "log", tmp_path / "seen").stdout)
    assert audit("checkpoint", tmp_path / "log").stdout == (tmp_path / "log/checkpoint").read_text()

    def verify(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return run("verify.py", *arguments, "--key", tmp_path / "key", python=("-I", "-S"), cwd=tmp_path / "empty")

    whole = verify(tmp_path / "log", "--checkpoint", tmp_path / "seen")
    assert (whole.returncode, whole.stderr) == (0, "")
    assert "entries    2,100" in whole.stdout
    assert (
        whole.stdout
        == audit("verify", tmp_path / "log", "--key", tmp_path / "key", "--checkpoint", tmp_path / "seen").stdout
    )
    proved = verify(tmp_path / "inclusion")
    assert (proved.returncode, proved.stderr) == (0, "")
    assert '"object":"thing:1203"' in proved.stdout
    consistent = verify(tmp_path / "consistency", "--checkpoint", tmp_path / "seen")
    assert (consistent.returncode, consistent.stderr) == (0, "")
    assert "begins with the 1,500 of the older checkpoint, unchanged" in consistent.stdout
    assert verify(tmp_path / "consistency").returncode == 2
    text = (tmp_path / "inclusion").read_text()
    (tmp_path / "inclusion").write_text(text.replace("index 1203", "index 1204"))
    refused = verify(tmp_path / "inclusion")
    assert (refused.returncode, refused.stdout.startswith("NOT SOUND")) == (1, True)
    path = tmp_path / "log/segments/0000000000000000.jsonl"
    path.write_bytes(path.read_bytes()[:-400])
    shorter = verify(tmp_path / "log", "--checkpoint", tmp_path / "seen")
    assert shorter.returncode == 1
    assert "so the last are missing" in shorter.stdout


def test_the_verifier_takes_only_the_standard_library(tmp_path: Path) -> None:
    """It imports nothing else, and defines no name twice, so that joining its parts changed nothing."""
    import ast

    tree = ast.parse(audit("verifier").stdout)
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    }
    assert imported <= sys.stdlib_module_names
    defined: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            defined.append(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            defined += [ast.unparse(target) for target in targets]
    assert len(defined) == len(set(defined))


def test_a_log_signed_with_ed25519_is_looked_after_too(tmp_path: Path) -> None:
    """The command reads a PEM file; another file is refused without showing what is in it."""
    signer = Ed25519Signer.generate(ORIGIN)
    make_log(tmp_path / "log", 1, signer=signer)
    (tmp_path / "pem").write_bytes(signer.to_pem())
    done = audit("erase", tmp_path / "log", "user:7", "--sign-ed25519", ORIGIN, tmp_path / "pem")
    assert (done.returncode, done.stdout) == (0, "there was no key of that subject\n")
    (tmp_path / "pem").write_text("geheim")
    refused = audit("erase", tmp_path / "log", "user:7", "--sign-ed25519", ORIGIN, tmp_path / "pem")
    assert refused.returncode == 2
    assert "geheim" not in refused.stderr

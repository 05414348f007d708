"""The command `maestro-auth`: the first admin once, keys shown once, and clear words where it refuses."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest

from kit.processes import run_unread
from maestro_core_auth import ApiKeys, InvalidCredentials, Principal, SqliteAuthStore, Users, init_admin
from maestro_core_auth._command import main


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, output, errors."""
    code = main(words)
    said = capsys.readouterr()
    return code, said.out.strip(), said.err.strip()


def principal_of(path: Path, secret: str, pepper: bytes = b"") -> Principal:
    async def verify() -> Principal:
        async with SqliteAuthStore(path) as store:
            return await ApiKeys(store, pepper=pepper).verify(secret)

    return asyncio.run(verify())


def test_the_first_admin_is_made_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """His key is all there is on stdout; a second time it is refused, unless asked for."""
    path = tmp_path / "auth.db"
    code, secret, said = run(capsys, "init-admin", "--store", str(path))
    assert (code, secret in said) == (0, False)
    principal = principal_of(path, secret)
    assert (principal.subject, principal.roles) == ("admin", frozenset({"admin"}))
    assert run(capsys, "init-admin", "--store", str(path)) == (
        1,
        "",
        "maestro-auth: there is an admin already: admin; `--again` gives one more key",
    )
    code, second, _ = run(capsys, "init-admin", "--store", str(path), "--again")
    assert (code, principal_of(path, second).subject, second == secret) == (0, "admin", False)
    code, third, _ = run(capsys, "init-admin", "--store", str(path), "--again", "--name", "root")
    assert principal_of(path, third).subject == "root"


async def test_the_way_back_in_leads_in(tmp_path: Path) -> None:
    """`again` for an admin who was shut out lets him in: whoever has the file is the master of it."""
    async with SqliteAuthStore(tmp_path / "auth.db") as store:
        await init_admin(store)
        await Users(store).set_disabled("admin", True)
        issued = await init_admin(store, again=True)
        assert (await ApiKeys(store).verify(issued.secret)).roles == {"admin"}


def test_a_key_from_its_making_to_its_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A user, a narrowed key, its rotation and its revocation, all by command."""
    store = ("--store", str(tmp_path / "auth.db"))
    run(capsys, "init-admin", *store)
    assert run(capsys, "add-user", *store, "ci", "--role", "operator", "--role", "viewer")[:2] == (
        0,
        "ci: operator, viewer",
    )
    words = ("issue-key", *store, "ci", "--role", "viewer", "--scope", "workflow:read", "--label", "nightly")
    code, secret, _ = run(capsys, *words, "--days", "3")
    principal = principal_of(tmp_path / "auth.db", secret)
    assert (code, principal.roles, principal.scopes) == (0, frozenset({"viewer"}), frozenset({"workflow:read"}))
    code, listed, _ = run(capsys, "list-keys", *store, "ci")
    assert listed.startswith(f"{principal.credential_id}  ci  until ")
    assert listed.endswith("viewer workflow:read  nightly")
    assert secret.rsplit("_", 1)[1] not in listed
    code, rotated, _ = run(capsys, "rotate-key", *store, principal.credential_id, "--overlap-hours", "0")
    assert principal_of(tmp_path / "auth.db", rotated).subject == "ci"
    with pytest.raises(InvalidCredentials):
        principal_of(tmp_path / "auth.db", secret)
    key_id = rotated.split("_")[1]
    assert run(capsys, "revoke-key", *store, key_id) == (0, f"{key_id} is revoked", "")
    with pytest.raises(InvalidCredentials):
        principal_of(tmp_path / "auth.db", rotated)
    states = [line.split("  ")[2].split()[0] for line in run(capsys, "list-keys", *store, "ci")[1].splitlines()]
    assert states == ["expired", "revoked"]
    assert run(capsys, "set-roles", *store, "ci") == (0, "ci: no role", "")


def test_a_pepper_comes_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Never from the command line, which others on the machine can read."""
    (tmp_path / "pepper").write_text("a long random text\n")
    words = ("--store", str(tmp_path / "auth.db"), "--pepper-file", str(tmp_path / "pepper"))
    _, secret, _ = run(capsys, "init-admin", *words)
    assert principal_of(tmp_path / "auth.db", secret, b"a long random text").subject == "admin"
    with pytest.raises(InvalidCredentials):
        principal_of(tmp_path / "auth.db", secret)


def test_what_cannot_be_is_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "auth.db"
    code, _, said = run(capsys, "list-keys", "--store", str(path))
    assert (code, said) == (1, f"maestro-auth: there is no store at {path}; `maestro-auth init-admin` makes one")
    assert not path.exists()
    store = ("--store", str(path))
    run(capsys, "init-admin", *store)
    for words, why in (
        (("add-user", *store, "admin"), "there is a user 'admin' already"),
        (("add-user", *store, "x", "--role", "No Role"), "role 'No Role' is no lower-case word"),
        (("issue-key", *store, "nobody"), "there is no user 'nobody'"),
        (("issue-key", *store, "admin", "--role", "owner"), "admin does not have the roles ['owner']"),
        (("issue-key", *store, "admin", "--days", "400"), "a key or a session lives for up to 366 days"),
        (("revoke-key", *store, "nothing"), "there is no key 'nothing'"),
    ):
        assert run(capsys, *words) == (1, "", f"maestro-auth: {why}")
    (tmp_path / "other").write_text("not a database at all, but long enough to be read as one" * 20)
    code, _, said = run(capsys, "list-keys", "--store", str(tmp_path / "other"))
    assert (code, "is no store of maestro-core-auth" in said) == (1, True)


def test_a_store_that_cannot_be_used_is_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder in its place, and a file that somebody has cut a table out of."""
    code, _, said = run(capsys, "list-keys", "--store", str(tmp_path))
    assert (code, said.count("\n"), "cannot be opened" in said) == (1, 0, True), said
    path = tmp_path / "auth.db"
    run(capsys, "init-admin", "--store", str(path))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("DROP TABLE keys")
    code, _, said = run(capsys, "list-keys", "--store", str(path))
    assert (code, said) == (1, "maestro-auth: no such table: keys")


def test_whoever_stops_it_is_shown_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reader who has left, as `| head` does, and Ctrl-C."""
    store = ("--store", str(tmp_path / "auth.db"))
    run(capsys, "init-admin", *store)
    done = run_unread("maestro_core_auth._command", "list-keys", *store)
    assert (done.returncode, done.stderr) == (0, "")

    async def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("maestro_core_auth._command.init_admin", interrupted)
    assert run(capsys, "init-admin", *store) == (130, "", "")

"""The scripts in build-support/bin do what they say, and refuse what they can't do with a word on what to do instead.

Where a script ends in `./pants`, the copy's launcher is replaced by one that prints what it was asked; the real one is
run in test_release, test_visibility and, for `fix`, here.
"""

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from journeys.nested import Ran, Repository, copy_repository, outside_environment, run

SAYS_WHAT_IT_IS_ASKED = '#!/bin/sh\necho "pants was asked: $*"\n'
SECRET = "not-for-any-log"


@pytest.fixture(scope="module")
def scripted(repository: Repository) -> Repository:
    """A copy with two wheels and a launcher that only says what it was asked."""
    shutil.rmtree(repository.root / "src", ignore_errors=True)  # there only when pytest is run without Pants
    for name in ("maestro_one", "maestro_two"):
        repository.write(f"src/python/libraries/{name}/BUILD", "")
        repository.write(f"src/python/libraries/{name}/VERSION", "0.1.0\n")
    repository.write("pants", SAYS_WHAT_IT_IS_ASKED)
    return repository


@dataclass
class Index:
    """An index on loopback whose answers a test chooses; keeps the paths and credentials of what it was asked."""

    address: str = ""
    answer: Callable[[str], tuple[int, dict[str, str], str]] = lambda _: (404, {}, "")
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def indexes() -> Iterator[tuple[Index, Index]]:
    """Two indexes, so that one can send a reader to the other."""
    both, servers = (Index(), Index()), []
    for index in both:

        def answer(handler: BaseHTTPRequestHandler, index: Index = index) -> None:
            index.asked.append((handler.path, handler.headers["Authorization"]))
            code, headers, body = index.answer(handler.path)
            handler.send_response(code)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body.encode())

        members = {"do_GET": answer, "log_message": lambda *_: None}
        server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (BaseHTTPRequestHandler,), members))
        index.address = f"http://127.0.0.1:{server.server_port}/simple/"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        servers.append((server, thread))
    yield both
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


def publish(repository: Repository, *words: str, index: str = "http://127.0.0.1:9/simple/", **env: str) -> Ran:
    settings = {
        "MAESTRO_INDEX_URL": index,
        "TWINE_REPOSITORY_URL_MAESTRO": "http://127.0.0.1:9/",
        "TWINE_USERNAME_MAESTRO": "maestro",
        "TWINE_PASSWORD_MAESTRO": SECRET,
        **env,
    }
    ran = repository.run("build-support/bin/publish", *words, timeout_s=60, env=settings)
    assert SECRET not in ran.text
    return ran


def test_publish_takes_names_and_tags(scripted: Repository, indexes: tuple[Index, Index]) -> None:
    """What is not on the index yet is handed to Pants; a stranger's file of that name and version does not count."""
    index, _ = indexes
    index.answer = lambda _: (200, {}, '<a href="x">maestro_one-0.1.0-py2.py3-none-any.whl</a>')
    for words in (["maestro-one", "maestro-two-v0.1.0"], ["--all"]):
        ran = publish(scripted, *words, index=index.address)
        assert ran.code == 0, ran.text
        assert "publish src/python/libraries/maestro_one:dist src/python/libraries/maestro_two:dist" in ran.text
    assert [path for path, _ in index.asked] == ["/simple/maestro-one/", "/simple/maestro-two/"] * 2


def test_publish_leaves_out_what_is_there_only_when_told(scripted: Repository, indexes: tuple[Index, Index]) -> None:
    """One wheel that is there keeps the others back too, unless `--only-new` is said."""
    index, _ = indexes
    index.answer = lambda path: (200, {}, "maestro_one-0.1.0-py3-none-any.whl" if "one" in path else "")
    ran = publish(scripted, "--all", index=index.address)
    assert ran.code == 1
    assert "maestro-one 0.1.0 is on the index already" in ran.text
    assert "pants was asked" not in ran.text
    ran = publish(scripted, "--all", "--only-new", index=index.address)
    assert ran.code == 0
    assert "pants was asked: publish src/python/libraries/maestro_two:dist" in ran.text


def test_publish_does_not_hand_its_password_on(scripted: Repository, indexes: tuple[Index, Index]) -> None:
    """An index that sends the reader elsewhere gets the credentials, and elsewhere does not."""
    index, elsewhere = indexes
    index.answer = lambda path: (302, {"Location": f"{elsewhere.address}moved/"}, "")
    elsewhere.answer = lambda _: (200, {}, "")
    assert publish(scripted, "maestro-one", index=index.address).code == 0
    assert index.asked[0][1] is not None
    assert elsewhere.asked == [("/simple/moved/", None)]


@pytest.mark.parametrize(
    ("words", "env", "expected"),
    [
        (["maestro-three"], {}, "there is no wheel 'maestro-three'; the wheels are maestro-one, maestro-two"),
        (["../maestro-one"], {}, "there is no wheel '../maestro-one'"),
        (["maestro-one-v0.2.0"], {}, "asks for 0.2.0, but src/python/libraries/maestro_one/VERSION says 0.1.0"),
        (
            ["maestro-one"],
            {"TWINE_PASSWORD_MAESTRO": ""},
            "TWINE_PASSWORD_MAESTRO not set; see docs/guides/releasing.md",
        ),
        (["maestro-one"], {}, "the index (MAESTRO_INDEX_URL) can't be asked for maestro-one"),
        (["maestro-one"], {"MAESTRO_INDEX_URL": "file:///etc/"}, "not an http(s) address"),
        (["maestro-one"], {"MAESTRO_INDEX_URL": f"http://me:{SECRET}@127.0.0.1:9/"}, "without credentials"),
    ],
)
def test_publish_says_what_stands_in_the_way(
    scripted: Repository, words: list[str], env: dict[str, str], expected: str
) -> None:
    """And uploads nothing."""
    ran = publish(scripted, *words, **env)
    assert ran.code == 1
    assert expected in ran.text
    assert "publish: nothing was published" in ran.text
    assert "pants was asked" not in ran.text


@pytest.mark.parametrize("code", [401, 403, 500])
def test_publish_does_not_guess_what_the_index_holds(
    scripted: Repository, indexes: tuple[Index, Index], code: int
) -> None:
    """An index that does not answer the question has not said that the version is free."""
    index, _ = indexes
    index.answer = lambda _: (code, {}, "")
    ran = publish(scripted, "maestro-one", index=index.address)
    assert ran.code == 1
    assert f"the index answered {code}" in ran.text
    assert "pants was asked" not in ran.text


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (None, "nothing changed since"),
        ("src/python/libraries/maestro_one/_new.py", "--changed-dependents=transitive lint check test"),
        ("3rdparty/python/default.lock", "pants was asked: lint check test ::"),
        ("pants.toml", "pants was asked: lint check test ::"),
        ("build-support/bin/lock", "pants was asked: lint check test ::"),
        (".github/workflows/ci.yml", "pants was asked: lint check test ::"),
    ],
)
def test_check_changed_runs_what_a_change_can_have_broken(
    scripted: Repository, tmp_path: Path, changed: str | None, expected: str
) -> None:
    """What depends on the change; everything when the build itself changed."""
    root = tmp_path / "clone"
    subprocess.run(["cp", "-R", scripted.root, root], check=True)
    clone = Repository(root)
    git = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    for words in (["init", "--quiet", "--initial-branch=main"], ["add", "."], ["commit", "--quiet", "--message=One"]):
        assert clone.run(*git, *words, timeout_s=30).code == 0
    clone.run(*git, "checkout", "--quiet", "-b", "change", timeout_s=30)
    if changed:
        with (root / changed).open("a", encoding="utf-8") as file:
            file.write("\n")
    ran = clone.run("build-support/bin/check-changed", "main", timeout_s=30)
    assert ran.code == 0
    assert expected in ran.text


def test_fix_fixes_and_formats(tmp_path: Path) -> None:
    """With the real ruff and black, called from a folder below the root; only what is named is touched."""
    repository = copy_repository(tmp_path / "repository")
    library = "src/python/libraries/maestro_one"
    untidy = "import sys\nimport os\n\ndef  path( ) -> str :\n  return os.sep\n"
    repository.write(f"{library}/BUILD", "python_sources( )\n")
    repository.write(f"{library}/_named.py", untidy)
    repository.write(f"{library}/_other.py", untidy)
    script = repository.root / "build-support/bin/fix"
    ran = repository.run(script, "_named.py", "BUILD", timeout_s=300, cwd=repository.root / library)
    assert ran.code == 0, ran.text
    tidy = "import os\n\n\ndef path() -> str:\n    return os.sep\n"
    assert (repository.root / library / "_named.py").read_text(encoding="utf-8") == tidy
    assert (repository.root / library / "_other.py").read_text(encoding="utf-8") == untidy


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["build-support/bin/fix", "no/such/file.py"], "fix: there is no no/such/file.py"),
        (["build-support/bin/fix", "/"], "fix: / is not in the repository"),
        (["build-support/bin/lock", "nothing"], "lock: there is no list nothing.txt"),
        (["build-support/bin/lock", "--sideways"], "lock: unknown option --sideways"),
    ],
)
def test_a_script_refuses_what_it_can_not_do(scripted: Repository, command: list[str | Path], expected: str) -> None:
    ran = run(command, cwd=scripted.root, env=outside_environment(), timeout_s=120)
    assert ran.code == 2
    assert expected in ran.text

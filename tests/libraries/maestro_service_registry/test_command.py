"""The command line, over a served registry."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kit.processes import import_path, run_unread
from maestro_service_registry import Registration, RegistryClient, RegistryServer
from maestro_service_registry._command import main


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with RegistryServer() as running:
        running.registry.register(
            Registration("orders", "a", "http://127.0.0.1:80", contract="1.4", labels={"zone": "eu"}),
            "a holder's own key",
        )
        running.registry.register(Registration("bills", "b", "http://127.0.0.1:81"), "a holder's own key")
        yield running


def test_ls_shows_a_table(server: RegistryServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ls", "--registry", server.url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["SERVICE", "INSTANCE", "STATUS", "CONTRACT", "TOKEN", "URL", "LABELS"],
        ["bills", "b", "passing", "-", "2", "http://127.0.0.1:81", "-"],
        ["orders", "a", "passing", "1.4", "1", "http://127.0.0.1:80", "zone=eu"],
    ]
    assert len({line.index(column) for line, column in zip(lines, ("URL", "http", "http"), strict=True)}) == 1


def test_ls_asks_as_it_is_told(server: RegistryServer, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--contract", "1.2", "--label", "zone=eu", "--status", "passing", "--json"]
    assert main(["ls", "orders", "--registry", server.url, *words]) == 0
    assert [each["instance"] for each in json.loads(capsys.readouterr().out)] == ["a"]
    assert main(["ls", "none", "--registry", server.url]) == 0
    assert capsys.readouterr() == ("", "No instance fits.\n")


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["ls", "--registry", "http://127.0.0.1:1"], 1, "does not answer"),
        (["ls", "--registry", "nowhere"], 2, "is not http://HOST:PORT"),
        (["ls", "--label", "a b=c"], 2, "labels: the name"),
        (["ls", "--label", "zone"], 2, "'zone' is not NAME=VALUE"),
        (["serve", "--host", "0.0.0.0"], 1, "(the token is read from MAESTRO_REGISTRY_TOKEN)"),
        (["serve", "--data", "/dev/null/x"], 1, "/dev/null"),
        (["serve", "--probe-network", "everywhere"], 2, "everywhere"),
        (["serve", "--port", "99999"], 2, "'99999' is no port: 0 to 65535"),
        (["serve", "--port", "http"], 2, "'http' is no port: 0 to 65535"),
    ],
)
def test_what_is_wrong_is_one_line(
    words: list[str], status: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        found = main(words)
    except SystemExit as error:
        found = int(str(error.code))
    assert found == status
    told = capsys.readouterr().err.splitlines()[-1]
    assert text in told
    assert told.startswith("maestro-registry")


def start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys; from maestro_service_registry._command import main; sys.exit(main())",
            *words,
        ],
        env={**os.environ, "PYTHONPATH": import_path()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_serve_survives_kill_and_watch_tells_what_happens(tmp_path: Path) -> None:
    """Serve, register, SIGKILL, serve again: it is there. Then watch shows the table and each change."""
    data = str(tmp_path / "registry.db")
    words = ("serve", "--port", "0", "--data", data)
    for known, number in ((0, signal.SIGKILL), (1, signal.SIGTERM)):
        process = start(*words)
        assert process.stdout is not None
        assert process.stderr is not None
        url = re.sub(".* on ", "", process.stdout.readline().strip())
        assert process.stdout.readline().endswith(f"registry.db, {known} registered\n")
        client = RegistryClient(url)
        if not known:
            client.register(Registration("orders", "a", "http://a"), "a holder's own key")
        else:
            watcher = start("watch", "--registry", url)
            assert watcher.stdout is not None
            assert watcher.stdout.readline().split()[:2] == ["SERVICE", "INSTANCE"]
            assert watcher.stdout.readline().split()[:2] == ["orders", "a"]
            client.register(Registration("orders", "b", "http://b"), "a holder's own key")
            assert watcher.stdout.readline().split()[:3] == ["registered", "orders", "b"]
            watcher.send_signal(signal.SIGINT)
            assert watcher.wait(30) == 130
            watcher.communicate()
        process.send_signal(number)
        process.wait(30)
        process.communicate()
    assert process.returncode == 0


def test_a_port_in_use_is_named(server: RegistryServer, capsys: pytest.CaptureFixture[str]) -> None:
    host, _, port = server.url.removeprefix("http://").partition(":")
    assert main(["serve", "--port", port]) == 1
    assert f"Address already in use: '{host}:{port}'" in capsys.readouterr().err


def test_a_reader_who_has_left_is_no_error(server: RegistryServer) -> None:
    """As with `| head`."""
    done = run_unread("maestro_service_registry._command", "ls", "--registry", server.url)
    assert (done.returncode, done.stderr) == (0, "")

"""A secret that a workflow uses stands nowhere afterwards: not in the journal, artifacts, logs, states or errors."""

import json
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from maestro_workflow_engine import EmbeddedBackend, StepCall, WorkflowState, builtin_step_kinds, parse_definition
from maestro_workflow_engine._secrets import EnvironmentSecrets
from maestro_workflow_engine._secrets_forms import forms_of
from maestro_workflow_engine.testing import ScriptedKind

TOKEN = 'tok/en+"quoted" 100%&<x>=='
PEM = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQ\n-----END KEY-----\n"
ENVIRONMENT = {"MAESTRO_SECRET_TOKEN": TOKEN, "MAESTRO_SECRET_PEM": PEM, "MAESTRO_SECRET_PIN": "48151623"}
T, P, N = "${{ secrets.TOKEN }}", "${{ secrets.PEM }}", "${{ secrets.PIN }}"


class Echo(BaseHTTPRequestHandler):
    """Gives back all that it was sent, with the status that the path ends in."""

    server: "Server"

    def do_POST(self) -> None:
        """Answer."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        self.server.seen.append(f"{self.path} {self.headers['Authorization']} {body}")
        text = json.dumps({"path": self.path, "headers": dict(self.headers), "body": body})
        self.send_response(int(self.path.partition("?")[0].rpartition("/")[2]))
        self.send_header("X-Token", str(self.headers["Authorization"]))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet."""


class Server(ThreadingHTTPServer):
    """Remembers what it was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Echo)
        self.seen: list[str] = []


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on the loopback."""
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def speak(token: str, **more: str) -> dict[str, Any]:
    """Says it in every way."""
    return {f"key {token}": [token, {"deep": token * 2}], "json": json.dumps({"t": json.dumps(token)}), **more}


def raises(token: str) -> None:
    """Fails with it, and for a reason that holds it too."""
    try:
        raise KeyError(token)
    except KeyError as error:
        raise RuntimeError(f"cannot use {token!r} or {[token]}") from error


async def reveal(call: StepCall) -> object:
    """A kind that does everything wrong."""
    logging.getLogger("a.kind").debug("called by %s", call.step_id)
    name = str(call.arguments["do"])
    if name == "artifact":
        await call.artifacts.put(f"x{call.arguments['token']}".encode(), "leak.txt")
    if name == "name":
        await call.artifacts.put(b"clean", f"of {call.arguments['pin']}.txt")
    if name == "code":
        error = ValueError("with a code")
        error.code = f"bad.{call.arguments['pin']}"  # type: ignore[attr-defined]  # as errors of plugins have it
        raise error
    (call.work_dir / "left").write_text(str(call.arguments["token"]))
    return [str(call.arguments["token"])] * 3000 if name == "large" else {"pin": int(str(call.arguments["pin"]))}


HERE = f"{__name__}:"
REVEAL = {"token": T, "pin": N}
STEPS: dict[str, dict[str, Any]] = {
    "http": {
        "kind": "http",
        "with": {"method": "POST", "headers": {"Authorization": f"Bearer {T}"}, "json": {"p": P, "n": N}},
    },
    "http-failed": {
        "kind": "http",
        "with": {
            "method": "POST",
            "headers": {"Authorization": N},
            "query": {"t": T},
            "body": f"{T} {P}",
            "expect": [204],
        },
    },
    "shell": {
        "kind": "shell",
        "with": {
            "command": 'printf %s "$T" | base64; echo "$T"; echo "$P" >&2; echo "user:$T" | base64 -w0; '
            'echo "$P" > "$MAESTRO_WORK_DIR/p"',
            "env": {"T": T, "P": P},
        },
    },
    "shell-json": {"kind": "shell", "with": {"command": 'echo "{\\"pin\\": $N}"', "env": {"N": N}, "parse": "json"}},
    "shell-failed": {"kind": "shell", "with": {"command": 'echo "$T"; echo "$P" >&2; exit 3', "env": {"T": T, "P": P}}},
    "shell-missing": {"kind": "shell", "with": {"command": [f"no-such-{N}", T]}},
    "python": {"kind": "python", "with": {"function": f"{HERE}speak", "arguments": {"token": T, "pem": P}}},
    "python-failed": {"kind": "python", "with": {"function": f"{HERE}raises", "arguments": {"token": T}}},
    "kind": {"kind": "reveal", "with": {"do": "number", **REVEAL}},
    "large": {"kind": "reveal", "with": {"do": "large", **REVEAL}},
    "name": {"kind": "reveal", "with": {"do": "name", **REVEAL}},
    "artifact-failed": {"kind": "reveal", "with": {"do": "artifact", **REVEAL}},
    "code-failed": {"kind": "reveal", "with": {"do": "code", **REVEAL}},
}


@pytest.fixture
async def backend(tmp_path: Path) -> AsyncIterator[EmbeddedBackend]:
    """An engine that knows the secrets."""
    kinds = {**builtin_step_kinds(), "reveal": ScriptedKind(reveal)}
    async with EmbeddedBackend(
        tmp_path / "data", kinds=kinds, secrets=EnvironmentSecrets(environment=ENVIRONMENT)
    ) as engine:
        yield engine


async def ran(backend: EmbeddedBackend, step: dict[str, Any], url: str) -> WorkflowState:
    """The end of a workflow of this step, and of one that gets what the step came to."""
    if step["kind"] == "http":
        status = 500 if "expect" in step["with"] else 200
        step = {**step, "with": {**step["with"], "url": f"{url}/answer/{status}"}}
    definition = parse_definition(
        {
            "name": "secretive",
            "steps": {
                "uses": {**step, "retry": {"max_attempts": 1}},
                "sees": {"kind": "sleep", "with": {"seconds": 0}, "needs": ["uses"]},
            },
            "outputs": {"all": "${{ steps.uses.output }}"},
        }
    )
    started = await backend.start(definition)
    return await backend.wait(started.workflow_id, 30)


def kept_in(folder: Path, *, but: str = "") -> bytes:
    """Everything that lies in the folder, with the names of the files, but for one folder in it."""
    files = [path for each in folder.iterdir() if each.name != but for path in (each, *each.rglob("*"))]
    return b"".join(str(path).encode() + (path.read_bytes() if path.is_file() else b"") for path in files)


@pytest.mark.parametrize("name", STEPS)
async def test_a_secret_is_used_and_stands_nowhere(
    backend: EmbeddedBackend, server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """Whatever the step does with it, in whatever form; the step itself was given the value."""
    url = f"http://127.0.0.1:{server.server_address[1]}"
    with caplog.at_level(logging.DEBUG):
        state = await ran(backend, STEPS[name], url)
        events = await backend.events(state.id)
        told = json.dumps([state.as_json(), *(event.as_json() for event in events)], ensure_ascii=False)
        told += json.dumps(json.loads(told)) + repr(state) + repr(events) + caplog.text
        # What a step itself has written into its work folder lies there until the workflow is cleared away.
        kept = kept_in(tmp_path / "data", but="work")
        await backend.close()
    assert state.status == ("failed" if name.endswith(("failed", "missing")) else "succeeded"), told
    for form in forms_of(list(ENVIRONMENT.values())):
        assert form not in told
        assert form.encode() not in kept
        assert form.encode() not in kept_in(tmp_path / "data")
    assert b"${{ secrets." in kept  # the definition is there as it was written
    if name == "http":
        assert TOKEN in server.seen[0]
        assert json.dumps(PEM)[1:-1] in server.seen[0]
    if name == "http-failed":
        assert "48151623" in server.seen[0]


@pytest.mark.parametrize(("name", "shown"), [("kind", {"pin": "***"}), ("shell-json", {"pin": "***"})])
async def test_what_is_hidden_is_marked(backend: EmbeddedBackend, name: str, shown: object) -> None:
    """The rest of a result is as it was; those who read it see where something is left out."""
    state = await ran(backend, STEPS[name], "")
    output: Any = state.steps["uses"].output
    assert (output["stdout"] if name.startswith("shell") else output) == shown


async def test_a_secret_that_is_not_there_fails_the_step_by_its_name(backend: EmbeddedBackend) -> None:
    """At once: nobody has to wait for retries that cannot help."""
    step = {"kind": "shell", "with": {"command": "true", "env": {"X": "${{ secrets.OTHER }}"}}}
    state = await ran(backend, step, "")
    error = state.steps["uses"].error
    assert error is not None
    assert (state.status, error["code"]) == ("failed", "workflow.secret-not-found")
    assert "MAESTRO_SECRET_OTHER" in str(error["message"])


async def test_a_secret_that_was_changed_is_new_to_the_next_attempt(tmp_path: Path) -> None:
    """Nothing of it is kept between attempts, nor over a restart."""
    environment, seen = {"MAESTRO_SECRET_TOKEN": "first-value"}, list[str]()

    def look(call: StepCall) -> object:
        seen.append(str(call.arguments["token"]))
        environment["MAESTRO_SECRET_TOKEN"] = "second-value"
        if len(seen) == 1:
            raise RuntimeError("again")
        return None

    definition = parse_definition(
        {
            "name": "n",
            "steps": {"a": {"kind": "look", "with": {"token": T}, "retry": {"max_attempts": 2, "initial_delay_s": 0}}},
        }
    )
    async with EmbeddedBackend(
        tmp_path / "data", kinds={"look": ScriptedKind(look)}, secrets=EnvironmentSecrets(environment=environment)
    ) as engine:
        started = await engine.start(definition)
        assert (await engine.wait(started.workflow_id, 20)).status == "succeeded"
    assert seen == ["first-value", "second-value"]

"""The command `maestro` as somebody types it to a running engine; in this process, for there are many of them."""

import io
import json
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from maestro_cli import main
from maestro_cli._api import Api


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it printed."""

    returncode: int
    stdout: str
    stderr: str


class Client:
    """Types commands in one folder, to one engine."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder

    def __call__(self, *words: str | Path, given: str = "", **more: str) -> Done:
        """The command to its end, whatever that is; no exception ever leaves it."""
        out, err = _stream(), _stream()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err), chdir(self.folder):
            for name, value in {"MAESTRO_URL": self.url, **more}.items():
                patch.setenv(name, value)
            patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given.encode()), "utf-8"))
            try:
                status = main([str(word) for word in words])
            except SystemExit as usage:
                status = int(str(usage.code))
        return Done(status, _text(out), _text(err))

    def says(self, *words: str | Path, given: str = "") -> str:
        """What a command that ends well prints."""
        done = self(*words, given=given)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout

    def json(self, *words: str | Path, given: str = "") -> Any:
        """What it prints with --json, which is one document and nothing else."""
        return json.loads(self.says(*words, "--json", given=given))

    def start(self, *words: str) -> str:
        """The id of a workflow of `parcels.yml` that waits for its approval and its signal."""
        workflow_id: str = self.json("start", "parcels.yml", *words)["id"]
        self.until(workflow_id, "ok", "waiting")
        self.until(workflow_id, "go", "waiting")
        return workflow_id

    def until(self, workflow_id: str, step: str, status: str) -> None:
        """Wait until a step stands so, by the events that tell it."""
        type_ = {"waiting": "step.waiting", "succeeded": "step.succeeded"}[status]
        for event in Api(self.url).events(workflow_id, 1):
            if event["type"] == type_ and event["data"].get("step") == step and event["data"].get("item") is None:
                return
        raise AssertionError(f"{step} of {workflow_id} was never {status}")


def _stream() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True)


def _text(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()

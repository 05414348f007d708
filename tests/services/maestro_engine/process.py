"""An engine in a process of its own, as a person starts it."""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import IO, Any

from kit.processes import import_path


def make_admin(data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`maestro-engine init-admin`, to its end."""
    return subprocess.run(
        [sys.executable, "-m", "maestro_engine", "--data-dir", str(data_dir), "init-admin", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": import_path(), "NO_COLOR": "1"},
        timeout=60,
        check=False,
    )


class EngineProcess:
    """An engine in a process of its own."""

    def __init__(self, data_dir: Path, *arguments: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "maestro_engine", "--data-dir", str(data_dir), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": import_path(), "NO_COLOR": "1", **environment},
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._said = threading.Condition()
        self._readers = []
        for stream in (self.process.stdout, self.process.stderr):
            self._readers.append(threading.Thread(target=self._gather, args=(stream,), daemon=True))
            self._readers[-1].start()

    def _gather(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                with self._said:
                    self.lines.append(line.rstrip("\n"))
                    self._said.notify_all()

    def line_with(self, text: str, within_s: float = 30.0) -> str:
        """The first line that holds a text, as soon as it is written."""
        end = time.monotonic() + within_s
        with self._said:
            while True:
                for line in self.lines:
                    if text in line:
                        return line
                if not self._said.wait(max(0.0, end - time.monotonic())) and time.monotonic() >= end:
                    raise AssertionError(f"{text!r} was not said: {self.lines}")

    @property
    def url(self) -> str:
        return self.line_with("Maestro engine on").split()[3]

    def ask(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """The answer to a GET, or with a body to a POST; raises HTTPError where it is a problem."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        request = urllib.request.Request(self.url + path, data=data, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def event_of(self, workflow_id: str, type_: str, *, key: str | None = None) -> dict[str, Any]:
        """The first event after the start whose type begins so, as soon as it is there."""
        request = urllib.request.Request(
            f"{self.url}/api/workflows/{workflow_id}/events",
            headers={"Accept": "text/event-stream", "Last-Event-ID": "1"}
            | ({"Authorization": f"Bearer {key}"} if key else {}),
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            for line in answer:
                if line.startswith(b"data: "):
                    event: dict[str, Any] = json.loads(line[6:])
                    if event["type"].startswith(type_):
                        return event
        raise AssertionError(f"{workflow_id} ended without {type_}")

    def ended(self, within_s: float = 30.0) -> int:
        return self.process.wait(within_s)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        for reader in self._readers:
            reader.join(10)

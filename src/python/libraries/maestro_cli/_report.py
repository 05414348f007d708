"""What `maestro run` prints: for a person, or one JSON a line for a program."""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TextIO

from maestro_cli._progress import Progress
from maestro_cli._result import result_lines
from maestro_cli._screen import Screen, look_of, may_draw_in_place
from maestro_workflow_engine import Event


class Report(Protocol):
    """Told everything about a run as it happens."""

    def event(self, event: Event) -> None:
        """Something happened."""
        ...

    def tick(self) -> None:
        """Time has passed."""
        ...

    def say(self, text: str) -> None:
        """A remark of the command line itself."""
        ...

    def hold(self) -> None:
        """Somebody is asked something on the screen: leave it alone until `release`."""
        ...

    def release(self) -> None:
        """The screen is free again."""
        ...

    def ended(self, state: Mapping[str, Any], paths: Mapping[str, Path]) -> None:
        """The workflow has ended so; `paths` says where each artifact lies, by its digest."""
        ...

    def close(self) -> None:
        """Nothing more comes; also after an error."""
        ...


class PersonReport:
    """One line a step, then the result. Events up to `quiet_until` get no line: they were told before."""

    def __init__(self, progress: Progress, stream: TextIO, environment: Mapping[str, str], quiet_until: int) -> None:
        self._progress = progress
        self._look = look_of(stream, environment, progress)
        self._screen = Screen(stream, self._look, in_place=may_draw_in_place(stream, environment))
        self._in_place = may_draw_in_place(stream, environment)
        self._quiet_until = quiet_until

    def event(self, event: Event) -> None:
        row = self._progress.apply(event)
        if event.seq <= self._quiet_until:
            return
        if row is not None and self._is_worth_a_line(event, row.is_settled):
            self._screen.settle(row, event.at)
        self._screen.draw(self._progress, datetime.now(UTC))

    def _is_worth_a_line(self, event: Event, settled: bool) -> bool:
        """Ends always; without a screen to draw on, also retries: they explain a wait."""
        if event.data.get("item") is not None:
            return False
        return settled or (not self._in_place and event.type == "step.failed")

    def tick(self) -> None:
        self._screen.draw(self._progress, datetime.now(UTC))

    def say(self, text: str) -> None:
        self._screen.say(text)

    def hold(self) -> None:
        self._screen.hold()

    def release(self) -> None:
        self._screen.release()
        self._screen.draw(self._progress, datetime.now(UTC))

    def ended(self, state: Mapping[str, Any], paths: Mapping[str, Path]) -> None:
        self._screen.close()
        for line in result_lines(state, paths, self._look, self._progress.took_s):
            self._screen.say(line)

    def close(self) -> None:
        self._screen.close()


class JsonReport:
    """One JSON a line: each event as it is stored, then the final state with where its artifacts lie."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def event(self, event: Event) -> None:
        self._line(event.as_json())

    def tick(self) -> None:
        """Nothing: a program needs no clock."""

    def say(self, text: str) -> None:
        if text.strip():
            print(text.strip(), file=sys.stderr)

    def hold(self) -> None:
        """Nobody is asked anything here."""

    def release(self) -> None:
        """Nothing was held."""

    def ended(self, state: Mapping[str, Any], paths: Mapping[str, Path]) -> None:
        self._line({"type": "final", "state": state, "artifacts": {key: str(path) for key, path in paths.items()}})

    def close(self) -> None:
        """Nothing is held."""

    def _line(self, document: Mapping[str, Any]) -> None:
        self._stream.write(json.dumps(document) + "\n")
        self._stream.flush()

"""`maestro watch`: follows a workflow of a running engine to its end."""

import os
import sys
import threading
from argparse import Namespace
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, Self

from maestro_cli._api import Api, path_of
from maestro_cli._client import api_of, workflow_id
from maestro_cli._errors import CliError, EngineUnreachable
from maestro_cli._progress import Progress
from maestro_cli._report import JsonReport, PersonReport, Report
from maestro_cli._shape import OBJECT, WORKFLOW
from maestro_cli._text import plain
from maestro_workflow_engine import Event, InvalidDefinition, parse_definition

_TICK_S: Final = 0.5
_ATTEMPTS: Final = 10
_ENDS: Final = frozenset({"workflow.succeeded", "workflow.failed", "workflow.cancelled"})


def watch(options: Namespace) -> int:
    """Follow to the end; returns 0 when it succeeded, 1 when not."""
    api = api_of(options)
    return follow(api, workflow_id(api, options.workflow), as_json=options.json)


def follow(api: Api, id_: str, *, as_json: bool) -> int:
    """Follow one workflow; returns 0 when it succeeded, 1 when not."""
    report = _report(api, id_, as_json=as_json)
    try:
        with _Ticking(report) as ticking:
            _pass_on(api, id_, ticking.event)
        state = api.get(path_of("workflows", id_), WORKFLOW)
        report.ended(state, {})
    finally:
        report.close()
    return 0 if state["status"] == "succeeded" else 1


def _report(api: Api, id_: str, *, as_json: bool) -> Report:
    if as_json:
        return JsonReport(sys.stdout)
    try:
        definition = parse_definition(api.get(path_of("workflows", id_, "definition"), OBJECT))
    except InvalidDefinition as error:
        raise CliError(f"the definition of {plain(id_)} cannot be shown by this version: {error}") from error
    report = PersonReport(Progress.of(definition), sys.stdout, os.environ, 0)
    report.say(plain(f"{definition.name} · {id_}"))
    report.say("")
    return report


def _pass_on(api: Api, id_: str, tell: Callable[[Event], None]) -> None:
    """Every event once, in order; a connection that breaks is made again from where it was."""
    upcoming, failures = 1, 0
    while True:
        broken: EngineUnreachable | None = None
        try:
            for shape in api.events(id_, upcoming):
                _tell(tell, shape)
                upcoming, failures = shape["seq"] + 1, 0
                if shape["type"] in _ENDS:
                    return
        except _Senseless:
            raise
        except EngineUnreachable as error:
            broken = error
        failures += 1
        if failures == _ATTEMPTS:
            raise broken or EngineUnreachable(
                plain(f"{api.url} ends the stream of {id_} again and again before its end")
            )
        threading.Event().wait(min(5.0, 0.1 * 2**failures))


class _Senseless(EngineUnreachable):
    """What came is no event of ours: to ask for it again would not help."""


def _tell(tell: Callable[[Event], None], shape: Mapping[str, Any]) -> None:
    at = datetime.fromisoformat(shape["at"])
    event = Event(shape["seq"], shape["workflow_id"], shape["type"], at, shape["data"], shape.get("position", 0))
    try:
        tell(event)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _Senseless(plain(f"event {event.seq} of {event.workflow_id} is not what {event.type[:40]} is")) from error


class _Ticking:
    """Lets the clock on the screen go on while no event comes; the report is told one thing at a time."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="maestro-tick", daemon=True)

    def __enter__(self) -> Self:
        self._ticker.start()
        return self

    def __exit__(self, *reason: object) -> None:
        self._is_over.set()
        self._ticker.join()

    def event(self, event: Event) -> None:
        """Something happened."""
        with self._lock:
            self._report.event(event)

    def _tick(self) -> None:
        while not self._is_over.wait(_TICK_S):
            with self._lock:
                self._report.tick()

"""Whom a program can call: a live copy of what the registry knows, which outlives the registry."""

import json
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

from maestro_service_registry._errors import InvalidRequest, RegistryError
from maestro_service_registry._model import ANY, Instance, Query, Snapshot
from maestro_service_registry._registry import Registry
from maestro_service_registry._wire import read_object, read_snapshot

_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 5.0
_WATCH_S: Final = 20.0
_BETWEEN_S: Final = 0.05
"""After each answer: a registry that answers at once, always (two behind one address), gets 20 questions a second."""

_log = logging.getLogger("maestro_service_registry")


class Directory:
    """Follows the instances that fit a query, on a thread; `instances()` answers from memory and never waits.

    While the registry is away it goes on giving those that were there last: an old address is better than none, and who
    calls finds out whether it works. With a `cache_file` that holds over a restart of this program too. `age_s` says
    how long ago the registry was last heard.
    """

    def __init__(
        self,
        registry: Registry,
        query: Query = ANY,
        *,
        cache_file: Path | None = None,
        on_change: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._query = query
        self._cache_file = cache_file
        self._on_change = on_change
        self._clock = clock
        self._state = threading.Condition()
        self._known: dict[tuple[str, str], Instance] = {}
        self._revision: int | None = None
        self._heard_at_s: float | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="registry-directory", daemon=True)
        if cache_file is not None:
            self._take(_read_cache(cache_file))

    def instances(self) -> list[Instance]:
        """Those that pass, by service and instance; neither failing nor draining ones."""
        with self._state:
            known = sorted(self._known.items())
        return [instance for _, instance in known if instance.status == "passing"]

    @property
    def age_s(self) -> float | None:
        """Seconds since the registry last answered; None when it has not since this program began."""
        with self._state:
            return None if self._heard_at_s is None else self._clock() - self._heard_at_s

    def wait(self, enough: Callable[[list[Instance]], bool], timeout_s: float) -> bool:
        """Wait until the instances are as wanted; whether they are."""
        with self._state:
            return self._state.wait_for(lambda: enough(self.instances()), timeout_s)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._state:
            self._stopped = True
            self._state.notify_all()
        # It may be waiting for the registry's next word; that wait is bounded, and nothing depends on it any more.
        self._thread.join(timeout=0.5)

    def step(self, wait_s: float = 0.0) -> None:
        """Catch up with the registry once; raises RegistryError when it does not answer."""
        changes = self._registry.changes(self._revision, self._query, wait_s) if self._revision is not None else None
        if changes is None or changes.lost:
            snapshot = self._registry.snapshot(self._query)
            known = {(each.service, each.instance): each for each in snapshot.instances}
            self._keep(known, snapshot.revision)
            return
        known = dict(self._known)
        for change in changes.changes:
            where = change.instance.service, change.instance.instance
            if change.kind in ("registered", "changed") and self._query.fits(change.instance):
                known[where] = change.instance
            else:
                known.pop(where, None)
        self._keep(known, changes.revision)

    def _keep(self, known: dict[tuple[str, str], Instance], revision: int) -> None:
        with self._state:
            differs = known != self._known
            self._known, self._revision, self._heard_at_s = known, revision, self._clock()
            self._state.notify_all()
        if differs:
            if self._cache_file is not None:
                _write_cache(self._cache_file, Snapshot(revision, tuple(known.values())))
            if self._on_change is not None:
                try:
                    self._on_change()
                except Exception:
                    _log.exception("on_change has failed; the registry is followed on")

    def _take(self, snapshot: Snapshot | None) -> None:
        for instance in snapshot.instances if snapshot else ():
            if self._query.fits(instance):
                self._known[instance.service, instance.instance] = instance

    def _run(self) -> None:
        pause_s = _FIRST_WAIT_S
        while not self._stopped:
            try:
                self.step(_WATCH_S)
                pause_s = _FIRST_WAIT_S
                self._pause(_BETWEEN_S)
            except Exception as error:  # whatever it is: to end here would leave old addresses for ever
                strange = not isinstance(error, RegistryError)
                text = "the registry is away, going on with %d instances: %s"
                _log.warning(text, len(self._known), error, exc_info=strange)
                self._pause(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_WAIT_S)

    def _pause(self, pause_s: float) -> None:
        with self._state:
            self._state.wait_for(lambda: self._stopped, pause_s)


def _read_cache(path: Path) -> Snapshot | None:
    """What was kept; a file that is not there, or not whole, is told and begins anew."""
    try:
        return read_snapshot(read_object(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, InvalidRequest) as error:
        _log.warning("the cache %s cannot be used and is left aside: %s", path, error)
        return None


def _write_cache(path: Path, snapshot: Snapshot) -> None:
    """Replace the file whole: a crash leaves the old one or the new one."""
    document = {"revision": snapshot.revision, "items": [instance.as_json() for instance in snapshot.instances]}
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as file:
            file.write(json.dumps(document))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        _log.warning("the cache %s cannot be written: %s", path, error)

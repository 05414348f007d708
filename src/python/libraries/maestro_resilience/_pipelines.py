"""Pipelines by name, which may be replaced while they are in use."""

import random as _random
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping

from maestro_resilience._checks import Checks
from maestro_resilience._clock import SYSTEM_CLOCK, Clock
from maestro_resilience._errors import PipelineExists, Problem, UnknownPipeline
from maestro_resilience._events import Listener, PipelineReplaced, notify
from maestro_resilience._pipeline import Pipeline
from maestro_resilience._policy import P, Policy, T
from maestro_resilience._spec import PipelineReader, invalid, pointer


class NamedPipeline(Policy):
    """What stands behind a name: each call runs under the definition of the moment at which it began."""

    kind = "named_pipeline"

    def __init__(self, name: str, current: Policy, clock: Clock, listeners: Iterable[Listener]) -> None:
        super().__init__(name=name, clock=clock, listeners=listeners)
        self.current = current

    @property
    def async_only(self) -> bool:
        return self.current.async_only

    @property
    def opens_streams(self) -> bool:
        return self.current.opens_streams

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.current.call(fn, *args, **kwargs)

    async def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.current.acall(fn, *args, **kwargs)


class Pipelines:
    """A registry of pipelines. What `get` gives, and what it decorated, follows every later `replace` and `load`."""

    def __init__(
        self,
        *,
        names: Mapping[str, object] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        random: Callable[[], float] = _random.random,
        listeners: Iterable[Listener] = (),
    ) -> None:
        self._clock = clock
        self._listeners = tuple(listeners)
        self._reader = PipelineReader(names=names, clock=clock, random=random, listeners=self._listeners)
        self._named: dict[str, NamedPipeline] = {}
        self._specs: dict[str, str] = {}  # as written at the last load: by their text, in which 1 is not True
        self._lock = threading.RLock()

    def names(self) -> list[str]:
        """The names that are defined, sorted."""
        with self._lock:
            return sorted(self._named)

    def get(self, name: str) -> NamedPipeline:
        """The pipeline of that name; raises UnknownPipeline."""
        with self._lock:
            found = self._named.get(name)
            if found is None:
                known = ", ".join(sorted(self._named)) or "none"
                raise UnknownPipeline(f"no pipeline is called {name!r}; defined: {known}")
            return found

    def define(self, name: str, policy: Policy) -> NamedPipeline:
        """Give a policy or pipeline a name; raises PipelineExists when it is taken."""
        self._check(name, policy)
        with self._lock:
            if name in self._named:
                raise PipelineExists(f"pipeline {name!r} is defined already; replace() changes it")
            named = self._named[name] = NamedPipeline(name, policy, self._clock, self._listeners)
            return named

    def replace(self, name: str, policy: Policy) -> None:
        """Put a new policy behind a name that exists; calls under way end as they began. Raises UnknownPipeline."""
        self._check(name, policy)
        with self._lock:
            self.get(name).current = policy
            self._specs.pop(name, None)
        self._tell([name])

    def load(self, document: object) -> None:
        """Define or replace pipelines from data, a mapping of name to list of policies: all, or on any problem none.

        A pipeline whose data did not change since the last load keeps running with its state; names that the document
        does not hold stay as they are. Raises InvalidPolicy with every problem and its JSON Pointer.
        """
        problems: list[Problem] = []
        if not isinstance(document, Mapping):
            problems.append(Problem("", "must be a mapping of pipeline names to lists of policies"))
            document = {}
        with self._lock:
            made: dict[str, Pipeline] = {}
            specs = {name: repr(spec) for name, spec in document.items()}
            for name, spec in document.items():
                if not isinstance(name, str) or not name:
                    problems.append(Problem(f"/{pointer(name)}", "must be a name, as a string that is not empty"))
                elif self._specs.get(name) != specs[name]:
                    pipeline = self._reader.read(name, spec, problems, f"/{pointer(name)}")
                    if pipeline is not None:
                        made[name] = pipeline
            if problems:
                raise invalid(problems)
            replaced = [name for name in made if name in self._named]
            for name, pipeline in made.items():
                if name in self._named:
                    self._named[name].current = pipeline
                else:
                    self._named[name] = NamedPipeline(name, pipeline, self._clock, self._listeners)
            self._specs.update(specs)
        self._tell(replaced)

    def _tell(self, replaced: list[str]) -> None:
        """Tell the listeners, outside the lock: they may take their time, and may ask for pipelines."""
        for name in replaced if self._listeners else ():
            notify(self._listeners, PipelineReplaced(name, self._clock.now_s()))

    def _check(self, name: str, policy: Policy) -> None:
        checks = Checks("pipelines")
        checks.text("name", name)
        if not isinstance(policy, Policy):
            checks.fail("policy", "a Policy or Pipeline", policy)
        checks.done()

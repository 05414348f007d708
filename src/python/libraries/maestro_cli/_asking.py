"""While a workflow runs in this process: asks the person at the terminal what its steps want to know of people."""

import asyncio
import getpass
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NamedTuple

from maestro_cli._form import LEFT_OUT, questions
from maestro_cli._report import Report
from maestro_cli._terminal import Terminal
from maestro_cli._text import plain
from maestro_cli._view import subject_of
from maestro_workflow_engine import CommandRefused, EmbeddedBackend, Event, InvalidAnswer, SlowReader, WorkflowNotFound

_LOOK_ROUND_S: Final = 0.3
_MOST_TRIES: Final = 100
_LATER: Final = frozenset({"l", "later", ""})


class Place(NamedTuple):
    """Where something waits: a step of a workflow, or one item of it."""

    workflow_id: str
    step: str
    item: int | None

    def __str__(self) -> str:
        return self.step if self.item is None else f"{self.step}[{self.item}]"


class Asking:
    """Knows what one workflow and its children wait for; asks what a person can answer, when there is a terminal."""

    def __init__(self, backend: EmbeddedBackend, report: Report, terminal: Terminal | None, workflow_id: str) -> None:
        self._backend = backend
        self._report = report
        self._terminal = terminal
        self._is_ours = {workflow_id: True}
        self._root = workflow_id
        self._open: dict[Place, Mapping[str, Any]] = {}
        self._later: set[Place] = set()
        self._current: tuple[Place, asyncio.Task[None]] | None = None
        self._has_news = asyncio.Event()

    async def run(self, from_position: int) -> list[str]:
        """Ask until nothing can go on but by answers that nobody gives here; what it waits for then, for people."""
        following = asyncio.create_task(self._follow(from_position))
        try:
            while True:
                await self._next_news(following)
                if self._open and not await self._ask_one() and await self._is_stuck(self._root):
                    return [
                        f"{place} waits on {on['kind']} {subject_of(on)}".rstrip() for place, on in self._open.items()
                    ]
        finally:
            following.cancel()
            await asyncio.wait({following})

    async def _next_news(self, following: "asyncio.Task[None]") -> None:
        """Wait for something to happen, and then until it is quiet: a look at the whole workflow is not cheap."""
        waiting = asyncio.create_task(self._has_news.wait())
        try:
            await asyncio.wait({waiting, following}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        if following.done():
            following.result()
        while self._has_news.is_set():
            self._has_news.clear()
            await asyncio.sleep(_LOOK_ROUND_S)

    # --- what waits ---

    async def _follow(self, from_position: int) -> None:
        async for event in self._events(from_position):
            step = event.data.get("step")
            if step is None or not await self._belongs(event.workflow_id):
                continue
            place = Place(event.workflow_id, step, event.data.get("item"))
            on = event.data.get("on") if event.type == "step.waiting" else None
            if on is not None and on["kind"] != "workflow":
                self._open[place] = on
            elif place in self._open:
                del self._open[place]
                self._later.discard(place)
                if self._current is not None and self._current[0] == place:
                    self._current[1].cancel()
            if self._open:
                self._has_news.set()

    async def _events(self, position: int) -> AsyncIterator[Event]:
        while True:
            try:
                async for event in self._backend.watch(from_position=position):
                    yield event
            except SlowReader as error:
                position = error.resume_from

    async def _belongs(self, workflow_id: str) -> bool:
        """Whether a workflow is the one that was started here, or a child of it."""
        if workflow_id not in self._is_ours:
            parent = (await self._backend.get(workflow_id)).parent
            self._is_ours[workflow_id] = parent is not None and await self._belongs(str(parent["workflow"]))
        return self._is_ours[workflow_id]

    async def _is_stuck(self, workflow_id: str) -> bool:
        """Whether nothing of it runs, and no time that will come goes on with it."""
        try:
            state = await self._backend.get(workflow_id)
        except WorkflowNotFound:  # a child that is being started
            return False
        if state.is_finished or (state.definition is not None and state.definition.timeout_s is not None):
            return False
        for step in state.steps.values():
            for run in step.items or (step,):
                if run.status in ("scheduled", "running", "retrying"):
                    return False
                if run.status != "waiting":
                    continue
                on = None if run.wait is None else run.wait.on
                if on is None or run.due_at is not None:
                    return False
                if on["kind"] == "workflow" and not await self._is_stuck(str(on["workflow"])):
                    return False
        return True

    # --- asking ---

    async def _ask_one(self) -> bool:
        """Ask the oldest question that was not put off; False when there is none, or nobody to ask."""
        asked = [place for place, on in self._open.items() if on["kind"] == "approval" and place not in self._later]
        if self._terminal is None or not asked:
            return False
        place = asked[0]
        task = asyncio.create_task(self._ask(self._terminal, place, self._open[place]))
        self._current = place, task
        try:
            await asyncio.wait({task})
        finally:
            self._current = None
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        if not task.cancelled():
            task.result()
        self._has_news.set()
        return True

    async def _ask(self, terminal: Terminal, place: Place, on: Mapping[str, Any]) -> None:
        self._report.hold()
        try:
            terminal.show(f"\n  ? {plain(str(place))}: {plain(str(on.get('title') or 'approve?'))}")
            for about in ("description", "url"):
                for line in str(on.get(about) or "").splitlines():
                    terminal.show(f"    {plain(line)}")
            for _ in range(_MOST_TRIES):
                answer = await _answer(terminal, on)
                if answer is None:
                    self._later.add(place)
                    return
                if await self._is_taken(terminal, place, answer):
                    return
        finally:
            self._report.release()

    async def _is_taken(self, terminal: Terminal, place: Place, answer: dict[str, Any]) -> bool:
        try:
            await self._backend.answer(place.workflow_id, place.step, answer, item=place.item, by=_person())
        except InvalidAnswer as error:
            for problem in error.problems:
                terminal.show(f"    {plain(problem.path.removeprefix('/data/'))}: {plain(problem.message)}")
            return False
        except CommandRefused as error:  # the deadline was faster
            terminal.show(f"    {plain(str(error))}")
        self._open.pop(place, None)
        return True


async def _answer(terminal: Terminal, on: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the person says; None for later."""
    while True:
        said = await terminal.ask("    Approve? [y]es, [n]o, [l]ater: ")
        word = None if said is None else said.strip().lower()
        if word is None or word in _LATER:
            return None
        if word in ("n", "no"):
            comment = await terminal.ask("    Why (may be empty): ")
            return {"approved": False, **({"comment": comment} if comment else {})}
        if word in ("y", "yes"):
            break
    data: dict[str, Any] = {}
    for question in questions(on.get("form")):
        while True:
            said = await terminal.ask(f"    {question.prompt}")
            if said is None:
                return None
            try:
                value = question.value(said)
            except ValueError as error:
                terminal.show(f"    {plain(str(error))}")
                continue
            break
        if value is not LEFT_OUT:
            data[question.name] = value
    return {"approved": True, "data": data}


def _person() -> str | None:
    """The name of whoever is signed in on this machine."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # there is none
        return None

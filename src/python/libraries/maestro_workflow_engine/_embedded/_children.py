"""Workflows that are steps of others: started when their step waits for them, and never left behind by it."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Final, TypeAlias

from maestro_workflow_engine._commands import Answer, Cancel
from maestro_workflow_engine._definition import WorkflowDefinition
from maestro_workflow_engine._embedded._engine import Engine
from maestro_workflow_engine._embedded._hosted import Hosted
from maestro_workflow_engine._embedded._parking import Parking
from maestro_workflow_engine._embedded._reader import Reader
from maestro_workflow_engine._errors import (
    BadArguments,
    EngineError,
    WorkflowError,
    WorkflowExists,
    WorkflowNotFound,
)
from maestro_workflow_engine._events import ArtifactRef
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._state import Place, WorkflowState
from maestro_workflow_engine._step_errors import ChildTooDeep

MAX_DEPTH: Final = 16

Templates: TypeAlias = Callable[[str, str | None], Awaitable[tuple[WorkflowDefinition, str]]]
"""Gives the definition of a template and its version; the version None asks for the newest."""


class Children:
    """Starts a child once its parent's wait for it is durable, and answers the parent once the child's end is.

    Both are done again, and change nothing then, after a crash in between.
    """

    def __init__(
        self,
        engine: Engine,
        parking: Parking,
        reader: Reader,
        *,
        start: Callable[..., Awaitable[object]],
        state_of: Callable[[str], Awaitable[WorkflowState]],
        load: Callable[[ArtifactRef], JSON],
        templates: Templates | None,
        run_aside: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._engine = engine
        self._parking = parking
        self._reader = reader
        self._start = start
        self._state_of = state_of
        self._load = load
        self._templates = templates
        self._run_aside = run_aside
        self._beginning: set[str] = set()
        self._unwanted: set[str] = set()
        """Children that were let go while they were being started."""

    # --- what the engine tells ---

    def waits(self, parent: Hosted, place: Place) -> None:
        """It is durable that a place waits for its child."""
        child_id = parent.children[place]
        if child_id not in self._beginning:
            self._beginning.add(child_id)
            self._run_aside(self._begin(parent, place, child_id))

    def ended(self, child: Hosted) -> None:
        """It is durable that a workflow has ended."""
        parent = child.state.parent
        if parent is None:
            return
        place = _place_in(parent)
        run = self._engine.runs.get(str(parent["workflow"]))
        if run is not None:
            self._answer(run, place, child.id, _result(child.state, self._load))
        else:
            self._run_aside(self._answer_parked(str(parent["workflow"]), place, child.state))

    def let_go(self, child_id: str) -> None:
        """It is durable that nobody waits for a child any more."""
        if child_id in self._beginning:
            self._unwanted.add(child_id)
        else:
            self._run_aside(self._cancel(child_id))

    def adopt(self, parent: Hosted) -> None:
        """Go on with the children of a workflow that was left alone until now."""
        for place in parent.children:
            self.waits(parent, place)

    async def mend(self) -> None:
        """Do what a crash has left undone."""
        for row in await self._reader.unanswered():
            if await self._parking.is_ours(row.workflow_id):
                run = await self._parking.loaded_quietly(row.workflow_id)
                if run is not None and (row.step, row.item) in run.children:
                    self.waits(run, (row.step, row.item))
        for workflow_id in await self._reader.orphans():
            if await self._parking.is_ours(workflow_id):
                await self._cancel(workflow_id)

    # --- how ---

    async def _begin(self, parent: Hosted, place: Place, child_id: str) -> None:
        """Start the child, or find that it was started before."""
        try:
            if child_id in self._engine.runs:
                return
            try:
                state = await self._state_of(child_id)
            except WorkflowNotFound:
                await self._start_child(parent, place, child_id)
                return
            if state.parent is None or state.parent["workflow"] != parent.id:
                raise WorkflowExists(child_id)
            if state.is_finished:
                await self._answer_parked(parent.id, place, state)
            elif not await self._parking.is_ours(child_id):
                await self._parking.loaded_quietly(child_id)
        except EngineError:
            raise
        except WorkflowError as error:
            problem: dict[str, JSON] = {"code": error.code, "message": str(error), "retryable": False}
            run = await self._parking.loaded_quietly(parent.id)
            if run is not None:
                value: JSON = {"status": "failed", "outputs": None, "error": problem, "spent": {}}
                self._answer(run, place, child_id, value)
        finally:
            self._beginning.discard(child_id)
        if child_id in self._unwanted:
            self._unwanted.discard(child_id)
            await self._cancel(child_id)

    async def _start_child(self, parent: Hosted, place: Place, child_id: str) -> None:
        state = parent.state
        waiting = state.place(place)
        on: Mapping[str, Any] = (waiting.wait.on if waiting.wait is not None else None) or {}
        depth = 1 if state.parent is None else int(str(state.parent["depth"])) + 1
        if depth > MAX_DEPTH:
            raise ChildTooDeep(f"workflows start workflows at most {MAX_DEPTH} levels deep")
        definition, version = await self._definition(parent, place, on)
        await self._start(
            definition,
            on.get("inputs"),
            workflow_id=child_id,
            template=on.get("template"),
            version=version,
            base_dir=parent.base_dir,
            priority=state.priority,
            budget=waiting.reserved,
            parent={"workflow": parent.id, "step": place[0], "item": place[1], "depth": depth},
        )

    async def _definition(
        self, parent: Hosted, place: Place, on: Mapping[str, Any]
    ) -> tuple[WorkflowDefinition, str | None]:
        template = on.get("template")
        if template is None:
            body = parent.definition.steps[place[0]].body
            if body is None:
                raise BadArguments(f"step {place[0]!r} names no template and has no body")
            return body, None
        if self._templates is None:
            raise BadArguments(f"this engine has no templates, so it cannot start {template!r}")
        return await self._templates(template, on.get("version"))

    async def _answer_parked(self, parent_id: str, place: Place, child: WorkflowState) -> None:
        if await self._parking.is_ours(parent_id):
            run = await self._parking.loaded_quietly(parent_id)
            if run is not None:
                self._answer(run, place, child.id, _result(child, self._load))

    def _answer(self, parent: Hosted, place: Place, child_id: str, value: JSON) -> None:
        if parent.children.get(place) == child_id:
            self._engine.advance(parent, Answer(*place, value))

    async def _cancel(self, child_id: str) -> None:
        child = await self._parking.loaded_quietly(child_id)
        if child is not None and not child.state.is_finished:  # its end may be on the way to the disk
            self._engine.advance(child, Cancel("the step that waited for it has ended"))


def _place_in(parent: Mapping[str, Any]) -> Place:
    return parent["step"], parent.get("item")


def _result(state: WorkflowState, load: Callable[[ArtifactRef], JSON]) -> JSON:
    """What the parent's step is told."""
    outputs = load(state.outputs) if isinstance(state.outputs, ArtifactRef) else state.outputs
    error: JSON = None if state.error is None else dict(state.error)
    spent: dict[str, JSON] = dict(state.spent)
    return {"status": state.status, "outputs": outputs, "error": error, "spent": spent}

"""How workflows begin: new, as the child of another, or as another run again."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from maestro_workflow_engine._artifacts import ArtifactStore
from maestro_workflow_engine._commands import Start
from maestro_workflow_engine._definition import WorkflowDefinition
from maestro_workflow_engine._embedded._control import Control
from maestro_workflow_engine._embedded._hosted import Hosted
from maestro_workflow_engine._embedded._settings import checked_budget, checked_priority
from maestro_workflow_engine._errors import WorkflowExists, WorkflowNotFound
from maestro_workflow_engine._ids import check_labels, check_text, check_workflow_id, new_workflow_id
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._ports import Started
from maestro_workflow_engine._refusals import StepNotFound
from maestro_workflow_engine._run import ScratchDir
from maestro_workflow_engine._state import WorkflowState, new_state


class Starting(Control):
    """Starts workflows; each is durable when the start returns."""

    data_dir: Path

    def __init__(self, store: ArtifactStore) -> None:
        super().__init__(store)
        self._starting: set[str] = set()
        """Ids that are being started now."""

    async def start(
        self,
        definition: WorkflowDefinition,
        inputs: Mapping[str, object] | None = None,
        *,
        workflow_id: str | None = None,
        template: str | None = None,
        version: str | None = None,
        labels: Mapping[str, str] | None = None,
        base_dir: Path | None = None,
        priority: int | None = None,
        budget: Mapping[str, float] | None = None,
        by: str | None = None,
    ) -> Started:
        """Begin a workflow; it is durable when this returns. Raises InvalidInputs, UnknownStepKind, WorkflowExists.

        `base_dir` is the folder that relative paths in the definition start from: the current one when None.
        `priority` (higher goes first) and `budget` stand in for those of the definition; `by` says who started it.
        """
        return await self._launch(
            definition,
            inputs,
            workflow_id=workflow_id,
            template=template,
            version=version,
            labels=labels,
            base_dir=base_dir,
            priority=priority,
            budget=budget,
            by=by,
        )

    async def rerun(
        self,
        workflow_id: str,
        *,
        from_steps: Sequence[str] = (),
        definition: WorkflowDefinition | None = None,
        inputs: Mapping[str, object] | None = None,
        at_seq: int | None = None,
        new_id: str | None = None,
        by: str | None = None,
    ) -> Started:
        """Begin a new workflow that takes over what an earlier one has achieved.

        A step that had succeeded is reused when its definition, its rendered input and its tools are the same;
        `from_steps` run in any case, with all that come after them. None keeps the definition and the inputs of the
        earlier one; `at_seq` takes it as it was then: a fork. Raises WorkflowNotFound, StepNotFound, InvalidInputs.
        """
        self._check_working()
        origin = await self.get(workflow_id) if at_seq is None else await self.state_at(workflow_id, at_seq)
        chosen = definition or origin.definition
        if chosen is None:
            raise WorkflowNotFound(workflow_id)
        for step in from_steps:
            if step not in chosen.steps:
                raise StepNotFound(workflow_id, step)
        row = await self._reader.workflow(workflow_id)
        given = origin.inputs if inputs is None else inputs
        if inputs is None:  # those that only an earlier definition knew are of no use
            given = {name: value for name, value in origin.inputs.items() if name in chosen.inputs}
        return await self._launch(
            chosen,
            given,
            workflow_id=new_id,
            template=origin.template if definition is None else None,
            version=origin.version if definition is None else None,
            labels=origin.labels,
            base_dir=row.base_dir,
            priority=origin.priority,
            budget=origin.budget,
            by=by,
            origin=origin,
            from_steps=from_steps,
        )

    async def _launch(
        self,
        definition: WorkflowDefinition,
        inputs: Mapping[str, object] | None,
        *,
        workflow_id: str | None,
        template: str | None,
        version: str | None,
        base_dir: Path | None,
        priority: int | None,
        budget: Mapping[str, float] | None,
        labels: Mapping[str, str] | None = None,
        by: str | None = None,
        parent: Mapping[str, JSON] | None = None,
        origin: WorkflowState | None = None,
        from_steps: Sequence[str] = (),
    ) -> Started:
        self._check_working()
        self._check_kinds(definition)
        source: dict[str, JSON] | None = None
        if origin is not None:
            source = {"workflow": origin.id, "seq": origin.seq, "from": list(from_steps)}
        command = Start(
            inputs=definition.resolve_inputs(inputs or {}),
            template=template,
            labels=dict(labels or {}),
            priority=None if priority is None else checked_priority(priority),
            budget=None if budget is None else checked_budget(budget),
            parent=parent,
            origin=source,
            version=version,
            by=by,
        )
        folder = _absolute(base_dir)
        check_labels(dict(labels or {}))
        for text, what in ((template, "the name of the template"), (version, "the version"), (by, "who starts it")):
            check_text(text, what)
        check_text(str(folder), "the base folder")
        id_ = new_workflow_id(self._clock.now()) if workflow_id is None else workflow_id
        check_workflow_id(id_)
        if id_ in self._starting or id_ in self._engine.runs:
            raise WorkflowExists(id_)
        self._starting.add(id_)
        try:
            if workflow_id is not None:
                await self._check_new(id_)
            self._keep_definition(definition)
            state = new_state(definition, id_)
            scratch = self._scratch(id_)
            seq = await self._engine.start(
                lambda key: Hosted(key, definition, state, folder, scratch, origin=origin), command
            )
        finally:
            self._starting.discard(id_)
        return Started(id_, seq)

    async def _check_new(self, workflow_id: str) -> None:
        try:
            await self._reader.workflow(workflow_id)
        except WorkflowNotFound:
            self._check_working()
        else:
            raise WorkflowExists(workflow_id)

    def _scratch(self, workflow_id: str) -> ScratchDir:
        return ScratchDir(self.data_dir / "work" / workflow_id)


def _absolute(folder: Path | None) -> Path:
    return Path.cwd() if folder is None else Path(folder).absolute()

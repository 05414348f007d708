"""One unfinished workflow in the memory of the engine."""

import asyncio
import shutil
from collections import deque
from collections.abc import Callable
from pathlib import Path

from maestro_workflow_engine._artifacts import ArtifactStore
from maestro_workflow_engine._definition import WorkflowDefinition
from maestro_workflow_engine._errors import BadMapItems
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._scope import rendered, scope_of
from maestro_workflow_engine._state import Place, WorkflowState


class ScratchDir:
    """The scratch folder of one workflow, made when it is first asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.is_made = path.exists()

    def make(self) -> Path:
        """Its path; the folder is there afterwards."""
        if not self.is_made:
            self._path.mkdir(parents=True, exist_ok=True)
            self.is_made = True
        return self._path

    async def remove(self) -> None:
        """Throw it away with all that is in it."""
        if self.is_made:
            await asyncio.to_thread(shutil.rmtree, self._path, ignore_errors=True)


class Run:
    """A workflow with what the engine needs to bring it on; its state runs ahead of what is durable."""

    __slots__ = (
        "_items", "_tools", "base_dir", "definition", "done", "durable_seq", "key", "ready", "scratch", "state",
        "timers",
    )  # fmt: skip

    def __init__(
        self, key: int, definition: WorkflowDefinition, state: WorkflowState, base_dir: Path, scratch: ScratchDir
    ) -> None:
        self.key = key
        self.definition = definition
        self.state = state
        self.base_dir = base_dir
        self.scratch = scratch
        self.durable_seq = state.seq
        self.ready: deque[Place] = deque()
        self.timers: dict[Place, Callable[[], None]] = {}
        self.done = asyncio.Event()
        self._tools: dict[str, JSON] | None = None
        self._items: dict[str, list[JSON]] = {}

    @property
    def id(self) -> str:
        """The id of the workflow."""
        return self.state.id

    def tools(self, store: ArtifactStore) -> dict[str, JSON]:
        """The tool sources of the definition, rendered; raises ExpressionFailed."""
        if self._tools is None:
            template = self.definition.tools
            scope = {} if template.is_constant else scope_of(self.state, template, store.load)
            tools = rendered(template, scope, "/tools")
            self._tools = tools if isinstance(tools, dict) else {}
        return self._tools

    def arguments(self, place: Place, store: ArtifactStore) -> dict[str, JSON]:
        """The arguments of one run of a step, rendered; raises ExpressionFailed."""
        step = self.definition.steps[place[0]]
        template = step.arguments
        scope: dict[str, object] = {}
        if not template.is_constant:
            scope = scope_of(self.state, template, store.load)
            if place[1] is not None and template.uses_item:
                scope["item"] = self._item(place[0], place[1], store)
                scope["index"] = place[1]
        arguments = rendered(template, scope, "/with")
        return arguments if isinstance(arguments, dict) else {}

    def _item(self, step_id: str, index: int, store: ArtifactStore) -> JSON:
        items = self._items.get(step_id)
        if items is None:
            over = self.definition.steps[step_id].map
            if over is None:
                raise BadMapItems(f"step {step_id!r} maps over nothing")
            value = rendered(over.items, scope_of(self.state, over.items, store.load), "/map/items")
            if not isinstance(value, list):
                raise BadMapItems(f"the items of step {step_id!r} are no list any more")
            items = self._items[step_id] = value
        return items[index]

"""One unfinished workflow in the memory of the engine."""

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from maestro_workflow_engine._artifacts import ArtifactStore
from maestro_workflow_engine._definition import LimitUse, WorkflowDefinition
from maestro_workflow_engine._errors import BadMapItems, ExpressionFailed
from maestro_workflow_engine._expressions import Template
from maestro_workflow_engine._json import JSON, json_kind
from maestro_workflow_engine._scope import loaded, rendered, scope_of
from maestro_workflow_engine._state import Place, WorkflowState

MAX_NAME = 256
"""Characters in the name of a limit, and in the key of concurrent workflows."""


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
            import shutil

            await asyncio.to_thread(shutil.rmtree, self._path, ignore_errors=True)


class Run:
    """A workflow with what the engine needs to bring it on; its state runs ahead of what is durable."""

    __slots__ = (
        "_concurrency_key", "_items", "_tools", "base_dir", "definition", "done", "durable_seq", "id", "key",
        "scratch", "state", "timers",
    )  # fmt: skip

    def __init__(
        self, key: int, definition: WorkflowDefinition, state: WorkflowState, base_dir: Path, scratch: ScratchDir
    ) -> None:
        self.id = state.id
        self.key = key
        self.state = state
        self.base_dir = base_dir
        self.scratch = scratch
        self.durable_seq = state.seq
        self.timers: dict[Place, Callable[[], None]] = {}
        self.done = asyncio.Event()
        self.migrate(definition)

    def migrate(self, definition: WorkflowDefinition) -> None:
        """Go on with another definition."""
        self.definition = definition
        self._tools: dict[str, JSON] | None = None
        self._items: dict[str, list[JSON]] = {}
        self._concurrency_key: str | None = None

    @property
    def has_begun(self) -> bool:
        """Whether any attempt of it was ever begun."""
        return any(
            each.started_at is not None
            for step in self.state.steps.values()
            for each in ((step,) if step.items is None else step.items)
        )

    # --- what attempts are given ---

    def secret_names(self, step_id: str) -> frozenset[str]:
        """The secrets that an attempt of a step is given."""
        arguments, tools = self.definition.steps[step_id].arguments, self.definition.tools
        if arguments.is_constant and tools.is_constant:
            return frozenset()
        return arguments.secrets | tools.secrets

    def tools(self, store: ArtifactStore, secrets: Mapping[str, str]) -> dict[str, JSON]:
        """The tool sources of the definition, rendered; raises ExpressionFailed."""
        template = self.definition.tools
        if self._tools is not None:
            return self._tools
        scope = {} if template.is_constant else scope_of(self.state, template, store.load, {"secrets": secrets})
        value = rendered(template, scope, "/tools")
        tools = value if isinstance(value, dict) else {}
        if not template.secrets:  # a secret may change from one attempt to the next
            self._tools = tools
        return tools

    def arguments(self, place: Place, store: ArtifactStore, secrets: Mapping[str, str]) -> dict[str, JSON]:
        """The arguments of one run of a step, rendered; raises ExpressionFailed."""
        template = self.definition.steps[place[0]].arguments
        arguments = rendered(template, self._scope(place, template, store, secrets), "/with")
        return arguments if isinstance(arguments, dict) else {}

    def _scope(
        self, place: Place, template: Template, store: ArtifactStore, secrets: Mapping[str, str]
    ) -> dict[str, object]:
        if template.is_constant:
            return {}
        step_id, item = place
        step = self.definition.steps[step_id]
        extra: dict[str, object] = {"secrets": secrets}
        if item is not None and template.uses_item:
            extra["item"] = self._item(step.undoes or step_id, item, store)
            extra["index"] = item
        if step.repeat is not None:
            run = self.state.place(place)
            extra["iteration"] = run.iteration
            extra["previous"] = loaded(run.output, store.load) if run.iteration > 1 else None
        if step.undoes is not None:
            extra["output"] = loaded(self.state.place((step.undoes, item)).output, store.load)
        return scope_of(self.state, template, store.load, extra)

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

    # --- what limits its attempts ---

    def concurrency_key(self, store: ArtifactStore) -> str:
        """The key of which only so many workflows run at once, as text; raises ExpressionFailed."""
        if self._concurrency_key is None:
            rules = self.definition.concurrency
            template = Template(self.id) if rules is None else rules.key
            value = rendered(template, scope_of(self.state, template, store.load), "/concurrency/key")
            self._concurrency_key = _name(value, "/concurrency/key")
        return self._concurrency_key

    def limits(self, place: Place, store: ArtifactStore) -> Iterator[tuple[str, LimitUse]]:
        """The names of the flow limits that a place counts against; raises ExpressionFailed."""
        for number, use in enumerate(self.definition.steps[place[0]].limits):
            path = f"/limits/{number}/name"
            yield _name(rendered(use.name, self._scope(place, use.name, store, {}), path), path), use


def _name(value: JSON, path: str) -> str:
    """A text, or a number as text; raises ExpressionFailed."""
    text = json.dumps(value) if isinstance(value, int | float) else value
    if not isinstance(text, str):
        raise ExpressionFailed(f"a text was expected, {json_kind(value)} came", path=path)
    if not 1 <= len(text) <= MAX_NAME or not text.isprintable():
        raise ExpressionFailed(f"a text of 1 to {MAX_NAME} printable characters was expected", path=path)
    return text

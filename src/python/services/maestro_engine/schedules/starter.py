"""How a start of a schedule becomes a workflow, once."""

import contextlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from maestro_engine.schedules.store import RunRow, ScheduleRow
from maestro_engine.templates.service import Template, Templates
from maestro_workflow_engine import (
    ExecutionBackend,
    WorkflowDefinition,
    WorkflowExists,
    WorkflowFinished,
    WorkflowNotFound,
)

SCHEDULE_LABEL: Final = "maestro.schedule"
NOMINAL_LABEL: Final = "maestro.nominal-at"
_PLACEHOLDER: Final = re.compile(r"\$\{\{ *schedule\.(name|nominal_at) *\}\}")


class Starter:
    """Starts workflows under ids that follow from what they are started for: again, it is the same workflow."""

    def __init__(self, backend: ExecutionBackend, templates: Templates) -> None:
        self._backend = backend
        self._templates = templates

    async def check(self, name: str, settings: Mapping[str, Any], now: datetime) -> dict[str, Any]:
        """The settings as they are kept, with the definition as an object.

        Raises what a start at `now` would raise: TemplateError, YamlError, InvalidDefinition, InvalidInputs.
        """
        _, definition = await self._found(settings)
        definition.resolve_inputs(_filled(settings["inputs"], name, now))
        return {**settings, **({"definition": definition.document} if "definition" in settings else {})}

    async def start(self, schedule: ScheduleRow, run: RunRow) -> str:
        """The id of the workflow, which is durable; raises what ExecutionBackend.start and Templates.named raise."""
        settings, workflow_id = schedule.settings, _workflow_id(schedule, run)
        template, definition = await self._found(settings)
        labels = {SCHEDULE_LABEL: schedule.name, NOMINAL_LABEL: _rfc3339(run.nominal_at)}
        # It exists where a crash came between the start and the note of it.
        with contextlib.suppress(WorkflowExists):
            await self._backend.start(
                definition,
                _filled(settings["inputs"], schedule.name, run.nominal_at),
                workflow_id=workflow_id,
                template=template.name if template else None,
                version=template.version if template else None,
                labels={**settings["labels"], **labels},
                base_dir=template.base_dir if template else None,
                priority=settings["priority"],
                by=f"schedule:{schedule.name}",
            )
        return workflow_id

    async def has_ended(self, workflow_id: str) -> bool:
        """Whether a workflow has ended, or was deleted since."""
        try:
            return (await self._backend.get(workflow_id)).is_finished
        except WorkflowNotFound:
            return True

    async def end_of(self, workflow_id: str) -> None:
        """Return when a workflow has ended; raises what ExecutionBackend.wait raises."""
        await self._backend.wait(workflow_id)

    async def cancel(self, schedule: ScheduleRow, workflow_id: str, reason: str) -> None:
        """Begin to cancel a workflow, unless it has ended."""
        with contextlib.suppress(WorkflowFinished, WorkflowNotFound):
            await self._backend.cancel(workflow_id, reason, by=f"schedule:{schedule.name}")

    async def _found(self, settings: Mapping[str, Any]) -> tuple[Template | None, WorkflowDefinition]:
        if "template" in settings:
            template = await self._templates.named(settings["template"])
            return template, template.definition
        return None, await self._templates.parsed(settings["definition"])


def _workflow_id(schedule: ScheduleRow, run: RunRow) -> str:
    what = f"run{run.id}" if run.kind == "manual" else f"{run.nominal_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    return f"{schedule.name}-{what}-{schedule.id}"


def _filled(value: Any, name: str, nominal_at: datetime) -> Any:
    """The inputs with the name of the schedule and the time that the start is for."""
    if isinstance(value, str):
        known = {"name": name, "nominal_at": _rfc3339(nominal_at)}
        return _PLACEHOLDER.sub(lambda found: known[found[1]], value)
    if isinstance(value, list):
        return [_filled(each, name, nominal_at) for each in value]
    if isinstance(value, dict):
        return {key: _filled(each, name, nominal_at) for key, each in value.items()}
    return value


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

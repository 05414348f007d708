"""A call of a step kind, made by hand."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from maestro_workflow_engine._artifacts import ArtifactStore, CallArtifacts
from maestro_workflow_engine._ports import StepCall
from maestro_workflow_engine._run import ScratchDir


def make_call(
    folder: Path,
    arguments: Mapping[str, object],
    *,
    tools: Mapping[str, object] | None = None,
    step_id: str = "step",
    attempt: int = 1,
    due_at: datetime | None = None,
) -> StepCall:
    """A call as the engine would make it; scratch folder and artifacts lie below `folder`, which is also `base_dir`."""
    store = ArtifactStore(folder / "artifacts")
    store.prepare()
    return StepCall(
        workflow_id="workflow",
        workflow_name="by-hand",
        step_id=step_id,
        item_index=None,
        attempt=attempt,
        idempotency_key=f"workflow/{step_id}/{attempt}",
        arguments=arguments,
        tools=tools or {},
        timeout_s=None,
        base_dir=folder,
        artifacts=CallArtifacts(store),
        scratch=ScratchDir(folder / "work"),
        due_at=due_at,
    )

"""A call of a step kind, made by hand."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from maestro_workflow_engine._artifacts import ArtifactStore, CallArtifacts
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._ports import Answered, StepCall
from maestro_workflow_engine._run import ScratchDir
from maestro_workflow_engine._secrets import Masker


def make_call(
    folder: Path,
    arguments: Mapping[str, object],
    *,
    tools: Mapping[str, object] | None = None,
    workflow_id: str = "workflow",
    step_id: str = "step",
    item_index: int | None = None,
    attempt: int = 1,
    due_at: datetime | None = None,
    answer: Answered | None = None,
    memo: JSON = None,
    secrets: Mapping[str, str] | None = None,
) -> StepCall:
    """A call as the engine would make it; scratch folder and artifacts lie below `folder`, which is also `base_dir`.

    `due_at`, `answer` and `memo` are those of a call that goes on after a Wait.
    """
    store = ArtifactStore(folder / "artifacts")
    store.prepare()
    return StepCall(
        workflow_id=workflow_id,
        workflow_name="by-hand",
        step_id=step_id,
        item_index=item_index,
        attempt=attempt,
        idempotency_key=f"{workflow_id}/{step_id if item_index is None else f'{step_id}[{item_index}]'}/{attempt}",
        arguments=arguments,
        tools=tools or {},
        timeout_s=None,
        base_dir=folder,
        artifacts=CallArtifacts(store, Masker((secrets or {}).values())),
        scratch=ScratchDir(folder / "work"),
        due_at=due_at,
        answer=answer,
        memo=memo,
        secrets=secrets or {},
    )

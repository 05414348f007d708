"""The step kind `workflow`: runs another workflow, and ends as that ends."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Final

from maestro_workflow_engine._errors import BadArguments
from maestro_workflow_engine._ids import may_be_workflow_id
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._kinds._arguments import Readers, mapping, read, static_problems, title
from maestro_workflow_engine._ports import StepCall, Wait
from maestro_workflow_engine._step_errors import ChildFailed

_READERS: Final[Readers] = {"template": title, "version": title, "inputs": mapping}
_NO_TEMPLATE: Final = "a version needs `template`: that which it is one of"


class WorkflowKind:
    """`with: {template: "invoice", version: "3", inputs: {…}}`, or `with: {inputs: {…}}` in a step with a `body`.

    Gives the outputs of the child. A child that fails or is cancelled fails the attempt; the next one begins another
    child. Whoever cancels or skips the step cancels the child.
    """

    def check(self, arguments: Mapping[str, object], tools: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Static problems below `with`."""
        yield from static_problems(arguments, _READERS)
        if "version" in arguments and "template" not in arguments:
            yield "/version", _NO_TEMPLATE

    async def run(self, call: StepCall) -> object:
        """Wait for the child, which the engine starts; then give what it came to."""
        values = read(call.arguments, _READERS)
        if "version" in values and "template" not in values:
            raise BadArguments(f"/with/version: {_NO_TEMPLATE}")
        if call.answer is not None:
            return _outcome(call.answer.value, child_id(call))
        on: dict[str, JSON] = {"kind": "workflow", "workflow": child_id(call), "inputs": values.get("inputs", {})}
        on.update({name: values[name] for name in ("template", "version") if name in values})
        return Wait(None, on)

    async def close(self) -> None:
        """Nothing is held."""


def child_id(call: StepCall) -> str:
    """The id of the child of one attempt: the same when the attempt is called again."""
    place = call.step_id if call.item_index is None else f"{call.step_id}.{call.item_index}"
    id_ = f"{call.workflow_id}.{place}.{call.attempt}"
    if may_be_workflow_id(id_):
        return id_
    return f"{call.workflow_id[:80]}.{hashlib.sha256(id_.encode()).hexdigest()[:40]}"


def _outcome(answer: JSON, child: str) -> JSON:
    ended = answer if isinstance(answer, dict) else {}
    if ended.get("status") == "succeeded":
        return ended.get("outputs")
    error = ended.get("error")
    how = "was cancelled" if ended.get("status") == "cancelled" else "has failed"
    why = f": {error.get('message')}" if isinstance(error, dict) else ""
    raise ChildFailed(f"the child workflow {child!r} {how}{why}")

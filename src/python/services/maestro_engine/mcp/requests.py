"""Approvals of a workflow as questions to an MCP client, and its responses as answers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from maestro_core_auth import Principal
from maestro_workflow_engine import JSON, ItemState, WorkflowState

_EMPTY_FORM: Final[Mapping[str, JSON]] = {"type": "object", "properties": {}}


@dataclass(frozen=True, slots=True)
class Approval:
    """One run of a step that waits for a person."""

    step: str
    item: int | None
    attempt: int
    on: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Names this question, and never another one, as long as the workflow lives."""
        place = self.step if self.item is None else f"{self.step}[{self.item}]"
        return place if self.attempt == 1 else f"{place}~{self.attempt}"

    @property
    def message(self) -> str:
        """What the person reads."""
        title, more = str(self.on.get("title") or f"Approve {self.step}?"), self.on.get("description")
        return f"{title}\n\n{more}" if more else title

    def is_for(self, caller: Principal) -> bool:
        """Whether the caller is one of those who are asked; nobody named means anybody, and an admin may answer all."""
        asked = self.on.get("to") or ()
        names = {caller.subject, *caller.roles}
        return not asked or "admin" in names or not names.isdisjoint(asked)

    def as_request(self) -> dict[str, Any]:
        """The question as `elicitation/create` in form mode."""
        form = self.on.get("form") or _EMPTY_FORM
        return {
            "method": "elicitation/create",
            "params": {"mode": "form", "message": self.message, "requestedSchema": dict(form)},
        }


def approvals(state: WorkflowState) -> list[Approval]:
    """Those that wait, in the order of the definition."""
    return [
        Approval(step, item, run.attempt, run.wait.on)
        for step, item, run in _runs(state)
        if run.status == "waiting" and run.wait is not None and run.wait.on is not None and run.wait.kind == "approval"
    ]


def _runs(state: WorkflowState) -> Iterator[tuple[str, int | None, ItemState]]:
    for step in state.steps.values():
        yield step.id, None, step
        for index, item in enumerate(step.items or ()):
            yield step.id, index, item


def answer_in(response: object) -> JSON:
    """The answer in an elicitation result: accepted, declined, or None where the person left the question open.

    Raises ValueError for anything else.
    """
    if not isinstance(response, Mapping) or response.get("action") not in ("accept", "decline", "cancel"):
        raise ValueError("a response has an action: accept, decline or cancel")
    content = response.get("content")
    if content is not None and not isinstance(content, Mapping):
        raise ValueError("the content of a response is an object")
    if response["action"] == "cancel":
        return None
    return {"approved": response["action"] == "accept", "data": dict(content or {})}

"""One attempt of a step: what its kind is given, and what is made of that which it gives."""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from types import NoneType
from typing import Final, Literal, NamedTuple, TypeAlias, TypeGuard

from maestro_workflow_engine import _outcome
from maestro_workflow_engine._artifacts import ArtifactStore, CallArtifacts
from maestro_workflow_engine._commands import Command, StepFailed, StepSucceeded, StepWaits
from maestro_workflow_engine._errors import BadStepResult
from maestro_workflow_engine._events import ArtifactRef
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._limits import Turn
from maestro_workflow_engine._ports import Answered, StepCall, StepKind, Wait
from maestro_workflow_engine._run import Run
from maestro_workflow_engine._secrets import Masker, SecretNotFound, SecretSource
from maestro_workflow_engine._state import ItemState

_log: Final = logging.getLogger("maestro_workflow_engine")

INLINE_BYTES: Final = 16 << 10
"""Outputs up to this size lie in the journal, larger ones in the artifact store."""

_LONGEST_WAIT_S: Final = 10 * 366 * 86_400.0
_JSON: Final = (dict, list, str, int, float, NoneType)
_NOTHING_SECRET: Final = Masker(())

Stop: TypeAlias = Literal["timeout", "cancel", "drop", "close"]
"""Why an attempt is stopped: its time or its workflow is over, or nobody wants to hear of it any more."""


class World(NamedTuple):
    """What calls need beside the workflow."""

    kinds: Mapping[str, StepKind]
    store: ArtifactStore
    secrets: SecretSource | None
    max_output_bytes: int
    give_up: Callable[[OSError], None]
    """Told when an output cannot be kept."""


class Attempt:
    """One attempt that is under way."""

    __slots__ = (
        "_masker", "awaited_by", "has_begun", "is_over", "number", "place", "run", "stop", "task", "timer", "turn",
        "usage", "was_called",
    )  # fmt: skip

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.run = turn.run
        self.place = turn.place
        self.number = turn.run.state.place(turn.place).attempt
        self.task: asyncio.Task[None] | None = None
        self.stop: Stop | None = None
        self.timer: Callable[[], None] | None = None
        self.has_begun = False
        """Whether its task has had its first turn."""
        self.is_over = False
        self.awaited_by: Run | None = None
        """The workflow that has offered its place again, while it is being stopped."""
        self.was_called = False
        self.usage: dict[str, float] = {}
        self._masker = _NOTHING_SECRET

    @property
    def timeout_s(self) -> float | None:
        """How long one call of it may take."""
        return self.run.definition.steps[self.place[0]].timeout_s

    def failed(self, error: BaseException) -> StepFailed:
        """The command that reports an exception, without secrets and with what was used."""
        shown = error if self._masker is _NOTHING_SECRET else None  # a traceback may show a secret
        _log.debug("workflow.step_raised workflow_id=%s step=%s", self.run.id, self.place[0], exc_info=shown)
        usage, _ = _outcome.used(self.usage)
        return _outcome.failed(*self.place, self.number, error, masker=self._masker, usage=usage)

    async def call(self, world: World) -> Command | None:
        """Call the step kind; raises what it raises. None: the engine is giving up."""
        run, place = self.run, self.place
        names = run.secret_names(place[0])
        secrets = await self._secrets(names, world) if names else {}
        step = run.definition.steps[place[0]]
        artifacts = CallArtifacts(world.store, self._masker)
        state = run.state.place(place)
        call = StepCall(
            workflow_id=run.id,
            workflow_name=run.state.name,
            step_id=place[0],
            item_index=place[1],
            attempt=self.number,
            idempotency_key=self._idempotency_key(),
            arguments=run.arguments(place, world.store, secrets),
            tools=run.tools(world.store, secrets),
            timeout_s=step.timeout_s,
            base_dir=run.base_dir,
            artifacts=artifacts,
            scratch=run.scratch,
            due_at=state.due_at,
            answer=_answer_of(state),
            memo=None if state.wait is None else state.wait.memo,
            secrets=secrets,
            usage=self.usage,
        )
        self.was_called = True
        result = await world.kinds[step.kind].run(call)
        if not isinstance(result, _JSON) and (isinstance(result, Wait) or _is_wait(result)):
            return self._waits(result)
        usage, unsound = _outcome.used(self.usage)
        if unsound is not None:
            raise BadStepResult(f"the step kind noted a usage that is none: {unsound}")
        value, text = _outcome.plain(result, world.max_output_bytes, self._masker)
        output: JSON | ArtifactRef = value
        if len(text) > INLINE_BYTES:
            try:
                output = await world.store.keep_json(text, value)
            except OSError as error:
                world.give_up(error)
                return None
        return StepSucceeded(*place, self.number, output, tuple(artifacts.kept), usage)

    def _idempotency_key(self) -> str:
        step, item = self.place
        return f"{self.run.id}/{step if item is None else f'{step}[{item}]'}/{self.number}"

    async def _secrets(self, names: Collection[str], world: World) -> dict[str, str]:
        if world.secrets is None:
            raise SecretNotFound(min(names), "this engine was opened without a source of secrets")
        secrets = {name: await world.secrets.get(name) for name in sorted(names)}
        self._masker = Masker(secrets.values())
        return secrets

    def _waits(self, wait: Wait) -> StepWaits:
        seconds, on, memo = wait.seconds, wait.on, wait.memo
        if seconds is not None:
            is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
            if not is_number or not 0 <= seconds <= _LONGEST_WAIT_S:
                raise BadStepResult(f"a step cannot wait for {seconds!r:.40} s: from 0 to ten years are possible")
        elif on is None:
            raise BadStepResult("a Wait needs seconds, or something that it waits on")
        noted: dict[str, JSON] | None = None
        if on is not None:
            noted = self._checked_on(on)
        memo = _outcome.noted(memo, "the memo of a Wait")
        if self._masker.value(memo) != memo:
            raise BadStepResult("the memo of a Wait holds the value of a secret, which would be stored: leave it out")
        return StepWaits(*self.place, self.number, None if seconds is None else float(seconds), noted, memo)

    def _checked_on(self, on: Mapping[str, JSON]) -> dict[str, JSON]:
        value = _outcome.noted(dict(on) if isinstance(on, Mapping) else on, "what a Wait waits on")
        kind = value.get("kind") if isinstance(value, dict) else None
        if not isinstance(value, dict) or not isinstance(kind, str) or not kind or kind == "budget":
            raise BadStepResult("what a Wait waits on is a mapping with a `kind` that is a text, and not 'budget'")
        masked = self._masker.value(value)
        if not isinstance(masked, dict) or (kind == "workflow" and masked != value):
            raise BadStepResult(
                "the inputs of a child workflow hold the value of a secret: let the child read it itself"
            )
        return masked


def _is_wait(result: object) -> TypeGuard[Wait]:
    """Whether a result is a Wait by its shape: kinds of other wheels have one of their own. No JSON value has it."""
    return all(hasattr(result, name) for name in ("seconds", "on", "memo"))


def _answer_of(state: ItemState) -> Answered | None:
    wait = state.wait
    if wait is None or not wait.is_answered or wait.answered_at is None:
        return None
    return Answered(wait.answer, wait.by, wait.answered_at)

"""Step kinds between the engine and the real ones: stubs, cassettes, and faults by a flag."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from maestro_workflow_engine._errors import WorkflowError
from maestro_workflow_engine._ports import StepCall, StepKind, Wait
from maestro_workflow_engine._testing._cassette import Cassette
from maestro_workflow_engine._testing._clock import ManualClock

Stub: TypeAlias = Any
"""A value, an exception, a function of the call, or a list of these, one per attempt (the last one goes on)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with a step: its first `fail` attempts fail, it takes `delay_s`, the engine crashes at its first
    `crash` calls once they have taken effect, and with `twice` each call is made twice.
    """

    fail: int = 0
    delay_s: float = 0.0
    crash: int = 0
    twice: bool = False


class InjectedFault(WorkflowError):
    """A fault that a test asked for; it can be tried again."""

    code = "workflow.injected-fault"
    retryable = True


def faults_of(flag: str) -> dict[str, Fault]:
    """`"step:fail=2,delay_s=5; *:twice"` as faults by step, `*` for all others; raises ValueError."""
    found: dict[str, Fault] = {}
    for part in filter(None, (part.strip() for part in flag.split(";"))):
        step, separator, words = part.partition(":")
        if not separator or not step.strip():
            raise ValueError(f"a fault is written STEP:WORD=NUMBER,…, not {part!r}")
        fault = Fault()
        for word in words.split(","):
            name, _, value = (piece.strip() for piece in word.partition("="))
            try:
                amount: Any = True if name == "twice" else float(value) if name == "delay_s" else int(value)
                fault = replace(fault, **{name: amount})
            except (TypeError, ValueError):
                known = "fail=N, delay_s=SECONDS, crash=N, twice"
                raise ValueError(f"{word.strip()!r} is no fault; known are {known}") from None
        found[step.strip()] = fault
    return found


@dataclass
class Spoiled:
    """What has gone wrong so far, over all crashes."""

    faults: Mapping[str, Fault]
    clock: ManualClock
    crashed: asyncio.Event = field(default_factory=asyncio.Event)
    not_idempotent: set[str] = field(default_factory=set)
    _crashes: dict[str, int] = field(default_factory=dict)
    _delayed: set[str] = field(default_factory=set)

    def of(self, step: str) -> Fault:
        """What goes wrong with a step."""
        return self.faults.get(step) or self.faults.get("*") or Fault()

    def is_delayed(self, call: StepCall) -> bool:
        """Whether the call has yet to wait for its delay."""
        if self.of(call.step_id).delay_s <= 0 or call.idempotency_key in self._delayed:
            return False
        self._delayed.add(call.idempotency_key)
        return True

    def crashes(self, call: StepCall) -> bool:
        """Whether the engine crashes after this call."""
        count = self._crashes.get(call.step_id, 0)
        if count >= self.of(call.step_id).crash:
            return False
        self._crashes[call.step_id] = count + 1
        self.crashed.set()
        return True


class StubbedKind:
    """Gives a stub, a recording, or what the real kind gives; and lets go wrong what shall."""

    def __init__(
        self, name: str, kind: StepKind, stubs: Mapping[str, Stub], cassette: Cassette | None, spoiled: Spoiled
    ) -> None:
        self._name = name
        self._kind = kind
        self._stubs = stubs
        self._cassette = cassette
        self._spoiled = spoiled

    def check(self, arguments: Mapping[str, object], tools: Mapping[str, object]) -> Iterable[tuple[str, str]]:
        """As the real kind checks."""
        return self._kind.check(arguments, tools)

    async def close(self) -> None:
        """Close the real kind."""
        await self._kind.close()

    async def run(self, call: StepCall) -> object:
        """What the step comes to in this test."""
        fault = self._spoiled.of(call.step_id)
        if self._spoiled.is_delayed(call):
            return Wait(fault.delay_s, memo=call.memo)
        if fault.delay_s > 0 and call.due_at is not None and call.answer is None:
            call = replace(call, due_at=None)
        if call.attempt <= fault.fail:
            raise InjectedFault(f"attempt {call.attempt} of {call.step_id} fails, as asked for")
        result = await self._result(call)
        if fault.twice and not isinstance(result, Wait) and await self._result(call) != result:
            self._spoiled.not_idempotent.add(call.step_id)
        if self._spoiled.crashes(call):
            await asyncio.Event().wait()  # what it came to is never reported: the engine is closed meanwhile
        return result

    async def _result(self, call: StepCall) -> object:
        if call.step_id in self._stubs:
            return await _stubbed(self._stubs[call.step_id], call)
        if self._cassette is None or self._name in ("approval", "signal", "event", "sleep", "workflow"):
            return await self._kind.run(call)
        recording = self._cassette.find(call)
        if recording is None:
            recording = await self._recorded(self._cassette, call)
        if "error" in recording:
            raise RecordedFailure(**recording["error"])
        return recording["result"]

    async def _recorded(self, cassette: Cassette, call: StepCall) -> dict[str, Any]:
        recording: dict[str, Any]
        try:
            result = await self._kind.run(call)
        except Exception as error:  # whatever a step raises belongs on the cassette
            recording = {"error": {"message": str(error), "code": getattr(error, "code", "workflow.step-raised"),
                                   "retryable": getattr(error, "retryable", True)}}  # fmt: skip
        else:
            if isinstance(result, Wait):
                return {"result": result}
            recording = {"result": result}
        cassette.keep(call, recording)
        return recording


class RecordedFailure(Exception):
    """A failure that a cassette plays."""

    def __init__(self, message: str, code: str, retryable: bool) -> None:
        super().__init__(message)
        self.code = code
        self.retryable = retryable


async def _stubbed(stub: Stub, call: StepCall) -> object:
    if isinstance(stub, list):
        stub = stub[min(call.attempt, len(stub)) - 1]
    if isinstance(stub, BaseException):
        raise stub
    if isinstance(stub, Callable):  # type: ignore[arg-type]  # the ABC works for isinstance
        stub = stub(call)
        if asyncio.iscoroutine(stub):
            stub = await stub
    return stub

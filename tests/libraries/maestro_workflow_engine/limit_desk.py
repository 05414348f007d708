"""Limits that are worked by hand, without a runner."""

import math
from pathlib import Path
from typing import Any

from maestro_workflow_engine import FlowLimit, parse_definition
from maestro_workflow_engine._artifacts import ArtifactStore
from maestro_workflow_engine._limits import Limits, Turn, check_limit
from maestro_workflow_engine._run import Run, ScratchDir
from maestro_workflow_engine._state import Place, new_state


class Desk:
    """Limits with a clock that is moved by hand; everything that may begin does so, up to `free`."""

    def __init__(self, *, idle_s: float = math.inf, free: int = 1_000) -> None:
        self.now = 1_000.0
        self.free = free
        self.begun: dict[str, Turn] = {}
        self.errors: list[str] = []
        store = ArtifactStore(Path("/nowhere"))
        self.limits = Limits(store, lambda: self.now, idle_s=idle_s, is_wanted=self._is_wanted)

    def _is_wanted(self, run: Run, place: Place) -> bool:
        return place in run.state.in_flight

    def run(self, id_: str, *steps: dict[str, Any], priority: int = 0, **rest: Any) -> Run:
        """A workflow whose steps (s0, s1, …) can be offered."""
        document = {f"s{i}": {"kind": "test", "with": {}, **step} for i, step in enumerate(steps or ({},))}
        definition = parse_definition({"name": rest.pop("name", "work"), "steps": document, **rest})
        state = new_state(definition, id_)
        state.priority = priority
        return Run(1, definition, state, Path(), ScratchDir(Path("/nowhere")))

    def offer(self, run: Run, *numbers: int) -> list[str]:
        """Offer steps of a workflow; gives what begins, as `workflow/step`."""
        for number in numbers or range(len(run.definition.steps)):
            place = (f"s{number}", None)
            run.state.in_flight[place] = None
            self.limits.offer(run, place)
        return self.take()

    def take(self) -> list[str]:
        """What begins now."""
        names = []
        while len(self.begun) < self.free and (turn := self.limits.take()) is not None:
            name = f"{turn.run.id}/{turn.place[0]}"
            if turn.error is not None:
                self.errors.append(str(turn.error))
                continue
            assert name not in self.begun, "begun twice"
            for line, _ in turn.passes:
                most = line.gate.figures.max_parallel
                assert most is None or line.gate.running <= most, "more than the limit allows"
                assert not line.gate.figures.is_paused
            self.begun[name] = turn
            names.append(name)
        return names

    def end(self, name: str, went_well: bool | None = True) -> list[str]:
        """An attempt ends; gives what begins then."""
        turn = self.begun.pop(name)
        del turn.run.state.in_flight[turn.place]
        self.limits.end(turn.passes, went_well)
        return self.take()

    def set(self, name: str, **figures: Any) -> list[str]:
        """Set a limit, as the runner does; gives what begins then."""
        limit = FlowLimit(name, **figures)
        check_limit(limit)
        self.limits.set(limit)
        self.begun = {key: self.limits.counted(name, turn) for key, turn in self.begun.items()}
        return self.take()

    def delete(self, name: str) -> list[str]:
        """Forget a limit."""
        self.limits.delete(name)
        return self.take()

    def later(self, seconds: float) -> list[str]:
        """Time passes; gives what the alarm lets begin."""
        until = self.now + seconds
        begun = []
        while (due_at := self.limits.due_at) is not None and due_at <= until:
            self.now = max(self.now, due_at)
            self.limits.wake()
            begun += self.take()
        self.now = until
        return begun

    def why(self, run: Run, number: int) -> tuple[str, str]:
        """Kind and message of what holds up a step."""
        cause = self.limits.held(run, (f"s{number}", None))
        assert cause is not None
        assert cause.step == f"s{number}"
        return cause.kind, cause.message

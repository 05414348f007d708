"""What may begin now: flow limits, concurrency of workflows, priorities and turns; pure but for the clock given."""

import heapq
import itertools
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias, cast

from maestro_workflow_engine._artifacts import ArtifactStore
from maestro_workflow_engine._definition import LimitUse
from maestro_workflow_engine._errors import WorkflowError
from maestro_workflow_engine._limits._gate import Gate
from maestro_workflow_engine._limits._groups import Groups
from maestro_workflow_engine._limits._held import concurrency_cause, gate_cause
from maestro_workflow_engine._limits._turns import Turns
from maestro_workflow_engine._ports import Cause, FlowLimit
from maestro_workflow_engine._run import Run
from maestro_workflow_engine._state import Place

_AUTOMATIC: Final = ("kind:", "workflow:")
"""Names under which every attempt of a step kind, or of the workflows of one name, is counted without being told."""
_SWEPT: Final = 256
"""Names of limits that are kept before the first look for some that can be forgotten."""
_EARLY_S: Final = 1e-5
_NO_ERA: Final = -1


class _Line:
    """One flow limit with the places that it holds up."""

    __slots__ = ("due_at", "gate", "level", "time_s", "turns")

    def __init__(self, gate: Gate, time_s: Callable[[], float]) -> None:
        self.gate = gate
        self.turns = Turns()
        self.level: int | None = None
        self.due_at: float | None = None
        """When time opens it; None: nobody waits for that."""
        self.time_s = time_s

    def take(self) -> tuple[Run, Place] | None:
        """The next of its places, if any may begin."""
        if self.gate.refusal(self.time_s()) is not None:
            return None
        taken = self.turns.take()
        return None if taken is None else taken[:2]


Pass: TypeAlias = tuple[_Line, int]
"""One limit that an attempt counts against, and the era of its breaker."""


class Turn(NamedTuple):
    """A place that may begin, and already counts against its limits; with `error` it can only fail."""

    run: Run
    place: Place
    passes: tuple[Pass, ...] = ()
    error: WorkflowError | None = None


class Limits:
    """Queues of places, and the decision which of them begins next.

    `time_s` is a steady clock. `idle_s` is how long ago the last attempt of an earlier engine may have begun: rates
    begin as full as that allows. `is_wanted` tells whether a place still has to begin when its turn has come.
    """

    def __init__(
        self,
        store: ArtifactStore,
        time_s: Callable[[], float],
        *,
        idle_s: float,
        is_wanted: Callable[[Run, Place], bool],
    ) -> None:
        self._store = store
        self.time_s = time_s
        self._quiet_since = time_s() - idle_s
        self._has_begun = False
        self._is_wanted = is_wanted
        self._turns = Turns()
        self._groups = Groups()
        self.overtaken = self._groups.overtaken
        """Workflows to be cancelled because a newer one of their key has come; whoever does so empties the list."""
        self._lines: dict[str, _Line] = {}
        self._swept = _SWEPT
        self._automatic: dict[str, _Line] = {}
        self._blocked: dict[Run, dict[Place, _Line]] = {}
        self._due: list[tuple[float, int, _Line]] = []
        self._numbers = itertools.count()

    # --- places come and go ---

    def offer(self, run: Run, place: Place) -> None:
        """Let a place begin when its turn comes."""
        group = None if run.definition.concurrency is None else self._groups.holds_back(run)
        if group is None:
            self._turns.add(run, place)
        else:
            group.waiting.add(run, place)

    def take(self) -> Turn | None:
        """The place that begins now; None when none may."""
        while (taken := self._turns.take()) is not None:
            run, place, line = taken
            if line is not None:
                self._unblock(run, place)
            turn: Turn | None = None
            if self._is_wanted(run, place) and not (self._blocked and place in self._blocked.get(run, ())):
                definition = run.definition
                if definition.concurrency is None and not self._automatic and not definition.steps[place[0]].limits:
                    turn = Turn(run, place)
                else:
                    turn = self._admitted(run, place, is_new=line is None)
            if line is not None:
                self._stir(cast(_Line, line), in_front=False)
            if turn is not None:
                self._has_begun = True
                return turn
        return None

    def end(self, passes: tuple[Pass, ...], went_well: bool | None) -> None:
        """What a turn has begun is over; `went_well` None when that says nothing about what it called."""
        for line, era in passes:
            line.gate.end(era, went_well, self.time_s())
            self._stir(line, in_front=True)
            self._forget(line)

    def withdraw(self, run: Run) -> None:
        """Take back every place of a workflow that has not begun; its slot stays its own."""
        self._turns.remove(run)
        for line in set(self._blocked.pop(run, {}).values()):
            line.turns.remove(run)
        if run.definition.concurrency is not None:
            self._groups.withdraw(run)

    def release(self, run: Run) -> None:
        """Forget a workflow that has ended, and let one that waits for its slot go on."""
        self.withdraw(run)
        for next_run, places in self._groups.leave(run):
            self._turns.add_all(next_run, places)

    def restore(self, run: Run) -> None:
        """Give a workflow of an earlier engine its slot back, if it had begun."""
        if run.definition.concurrency is not None and run.has_begun:
            try:
                self._groups.hold(run, run.concurrency_key(self._store))
            except WorkflowError:  # the step that comes next meets the same and fails of it
                return

    def reprioritize(self, run: Run) -> None:
        """Heed a priority that has changed."""
        self._turns.move(run)
        self._groups.move(run)
        for line in set(self._blocked.get(run, {}).values()):
            line.turns.move(run)
            self._stir(line, in_front=True)

    # --- limits ---

    def set(self, limit: FlowLimit) -> None:
        """Hold a limit from now on, also for what is under way."""
        line = self._line(limit.name)
        line.gate.set(limit, self.time_s(), is_central=True)
        if limit.name.startswith(_AUTOMATIC):
            self._automatic[limit.name] = line
        self._stir(line, in_front=True)

    def delete(self, name: str) -> None:
        """Forget a limit; what definitions say holds again."""
        line = self._lines.get(name)
        if line is not None and line.gate.is_central:
            line.gate.set(FlowLimit(name), self.time_s(), is_central=False)
            self._automatic.pop(name, None)
            self._stir(line, in_front=True)
            self._forget(line)

    def counted(self, name: str, turn: Turn) -> Turn:
        """A turn that began before the limit was set, counted against it if it falls under it."""
        line = self._automatic.get(name)
        if line is None or name not in _automatic_names(*turn[:2]) or any(each is line for each, _ in turn.passes):
            return turn
        line.gate.running += 1
        return turn._replace(passes=(*turn.passes, (line, _NO_ERA)))

    # --- time ---

    @property
    def due_at(self) -> float | None:
        """When time alone lets something begin, by the steady clock."""
        while self._due and self._due[0][2].due_at != self._due[0][0]:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def wake(self) -> None:
        """Look again at what has become due."""
        now = self.time_s() + _EARLY_S
        while (due_at := self.due_at) is not None and due_at <= now:
            _, _, line = heapq.heappop(self._due)
            line.due_at = None
            self._stir(line, in_front=True)

    # --- why ---

    def held(self, run: Run, place: Place) -> Cause | None:
        """Why a place that was offered has not begun; None when it waits for nothing but its turn."""
        group = self._groups.holds_back(run)
        if group is not None:
            return concurrency_cause(group, run, place)
        line = self._blocked.get(run, {}).get(place)
        return None if line is None else gate_cause(line.gate, self.time_s(), place, len(line.turns))

    def is_queued(self, run: Run) -> bool:
        """Whether places of a workflow wait for their turn."""
        return run in self._turns

    # --- inside ---

    def _admitted(self, run: Run, place: Place, *, is_new: bool) -> Turn | None:
        rules = run.definition.concurrency
        try:
            if rules is not None:
                key = run.concurrency_key(self._store)
                if not self._groups.enter(run, key, rules, place):
                    self._hold_back(run)
                    return None
            lines = self._lines_of(run, place)
        except WorkflowError as error:
            return Turn(run, place, (), error)
        now = self.time_s()
        for line in lines:
            refusal = line.gate.refusal(now)
            if refusal is not None or (is_new and _is_behind(line, run)):
                line.turns.add(run, place)
                self._blocked.setdefault(run, {})[place] = line
                self._stir(line, in_front=True)
                return None
        return Turn(run, place, tuple((line, line.gate.begin(now)) for line in lines))

    def _hold_back(self, run: Run) -> None:
        group = self._groups.holds_back(run)
        if group is not None:
            group.waiting.add_all(run, self._turns.remove(run))

    def _lines_of(self, run: Run, place: Place) -> list[_Line]:
        if len(self._lines) >= self._swept:
            for line in list(self._lines.values()):
                self._forget(line)
            self._swept = max(_SWEPT, 2 * len(self._lines))
        lines: dict[str, _Line] = {}
        for name, use in run.limits(place, self._store):
            line = lines[name] = self._line(name)
            if not line.gate.is_central:
                self._adopt(line.gate, use)
        if self._automatic:
            lines.update(
                (name, self._automatic[name]) for name in _automatic_names(run, place) if name in self._automatic
            )
        return list(lines.values())

    def _adopt(self, gate: Gate, use: LimitUse) -> None:
        """The figures of the definition that used the name last hold; a use without figures takes what there is."""
        held = gate.figures
        figures = (use.max_parallel, use.rate_count, use.rate_per_s)
        if figures[:2] != (None, None) and figures != (held.max_parallel, held.rate_count, held.rate_per_s):
            gate.set(FlowLimit(held.name, *figures), self.time_s(), is_central=False)

    def _line(self, name: str) -> _Line:
        line = self._lines.get(name)
        if line is None:
            # Attempts that an automatic limit would have counted may have begun a moment ago.
            is_late = self._has_begun and name.startswith(_AUTOMATIC)
            began_at = self.time_s() if is_late else self._quiet_since
            line = self._lines[name] = _Line(Gate(name, began_at=began_at), self.time_s)
        return line

    def _forget(self, line: _Line) -> None:
        if not line.turns and line.gate.is_forgettable(self.time_s()):
            self._lines.pop(line.gate.figures.name, None)

    def _unblock(self, run: Run, place: Place) -> None:
        places = self._blocked[run]
        del places[place]
        if not places:
            del self._blocked[run]

    def _stir(self, line: _Line, *, in_front: bool) -> None:
        """Give a line its turn when what it holds up may begin, or note when it may."""
        first = line.turns.first
        if first is None:
            return
        now = self.time_s()
        refusal = line.gate.refusal(now)
        if refusal is None:
            priority = first.state.priority
            if line.level is None or line.level < priority:
                self._turns.add_line(line, priority, in_front=in_front)
        elif refusal.wait_s is not None and (line.due_at is None or now + refusal.wait_s < line.due_at):
            line.due_at = now + refusal.wait_s
            heapq.heappush(self._due, (line.due_at, next(self._numbers), line))


def _automatic_names(run: Run, place: Place) -> tuple[str, str]:
    return f"kind:{run.definition.steps[place[0]].kind}", f"workflow:{run.definition.name}"


def _is_behind(line: _Line, run: Run) -> bool:
    """Whether others that came earlier go first."""
    first = line.turns.first
    return first is not None and first.state.priority >= run.state.priority

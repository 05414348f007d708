"""How many workflows of one key run at once."""

from collections.abc import Iterable, Iterator

from maestro_workflow_engine._definition import Concurrency
from maestro_workflow_engine._limits._turns import Turns
from maestro_workflow_engine._run import Run
from maestro_workflow_engine._state import Place


class Group:
    """The workflows of one key: those that hold a slot, and those that wait for one with what they want to run."""

    __slots__ = ("holders", "key", "live", "members", "waiting")

    def __init__(self, key: str) -> None:
        self.key = key
        self.holders: dict[Run, None] = {}
        self.waiting = Turns()
        self.live: dict[Run, None] = {}
        """Those that nobody has asked to make room, the oldest first."""
        self.members = 0


class Groups:
    """All keys; a workflow holds its slot from its first dispatch until `leave`."""

    def __init__(self) -> None:
        self.overtaken: list[Run] = []
        self._groups: dict[str, Group] = {}
        self._of: dict[Run, Group] = {}

    def hold(self, run: Run, key: str) -> None:
        """Give a workflow its slot, whoever else has one: it has begun before."""
        self._join(run, key).holders[run] = None

    def enter(self, run: Run, key: str, rules: Concurrency, place: Place) -> bool:
        """Whether a workflow may be dispatched; one that may not waits from now on, with this place."""
        group = self._of.get(run) or self._join(run, key)
        if run in group.holders:
            return True
        if rules.when_full == "cancel_oldest":
            while len(group.live) > rules.limit:
                oldest = next(iter(group.live))
                del group.live[oldest]
                self.overtaken.append(oldest)
        if len(group.holders) < rules.limit:
            group.holders[run] = None
            return True
        group.waiting.add(run, place)
        return False

    def holds_back(self, run: Run) -> Group | None:
        """The group in which a workflow waits."""
        group = self._of.get(run)
        return group if group is not None and run in group.waiting else None

    def move(self, run: Run) -> None:
        """Heed a priority that has changed."""
        group = self._of.get(run)
        if group is not None:
            group.waiting.move(run)

    def withdraw(self, run: Run) -> None:
        """Take back what a workflow wants to run; its age counts on."""
        group = self._of.get(run)
        if group is not None:
            group.waiting.remove(run)

    def leave(self, run: Run) -> Iterator[tuple[Run, Iterable[Place]]]:
        """Take out a workflow that has ended; gives those that may go on now, with their places."""
        group = self._of.get(run)
        if group is None:
            return
        del self._of[run]
        group.members -= 1
        group.holders.pop(run, None)
        group.live.pop(run, None)
        group.waiting.remove(run)
        if not group.members:
            del self._groups[group.key]
        while (first := group.waiting.first) is not None:
            rules = first.definition.concurrency
            if rules is not None and len(group.holders) >= rules.limit:
                return
            group.holders[first] = None
            yield first, group.waiting.remove(first)

    def _join(self, run: Run, key: str) -> Group:
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = Group(key)
        self._of[run] = group
        group.live[run] = None
        group.members += 1
        return group

"""Who is next: places by the priority of their workflow, and fair turns within one priority."""

from collections import deque
from collections.abc import Iterable
from typing import Protocol, TypeAlias

from maestro_workflow_engine._run import Run
from maestro_workflow_engine._state import Place


class Line(Protocol):
    """Places that wait elsewhere, and take turns as if they were one workflow."""

    level: int | None
    """The priority at which it stands in line; None: it does not."""

    def take(self) -> tuple[Run, Place] | None:
        """The next of its places, if any may begin."""
        ...


Taken: TypeAlias = tuple[Run, Place, Line | None]
"""A place, and the line that it came from."""


class Turns:
    """A queue of places: the highest priority first, and the workflows of one priority in turns, place by place."""

    __slots__ = ("_levels", "_order", "_places")

    def __init__(self) -> None:
        self._places: dict[Run, deque[Place]] = {}
        self._levels: dict[int, deque[Run | Line]] = {}
        self._order: list[tuple[int, deque[Run | Line]]] = []

    def __bool__(self) -> bool:
        return bool(self._places)

    def __len__(self) -> int:
        return sum(map(len, self._places.values()))

    def __contains__(self, run: Run) -> bool:
        return run in self._places

    @property
    def first(self) -> Run | None:
        """The workflow whose turn is next, lines left aside."""
        for _, level in self._order:
            for taker in level:
                if isinstance(taker, Run):
                    return taker
        return None

    def add(self, run: Run, place: Place) -> None:
        """Put a place behind all others of its workflow."""
        places = self._places.get(run)
        if places is None:
            self._places[run] = deque((place,))
            self._level(run.state.priority).append(run)
        else:
            places.append(place)

    def add_all(self, run: Run, places: Iterable[Place]) -> None:
        """Put places behind all others of their workflow."""
        for place in places:
            self.add(run, place)

    def add_line(self, line: Line, priority: int, *, in_front: bool) -> None:
        """Give a line a turn; where it stood before counts no more."""
        line.level = priority
        level = self._level(priority)
        if in_front:
            level.appendleft(line)
        else:
            level.append(line)

    def take(self) -> Taken | None:
        """The next place."""
        for priority, level in self._order:
            while level:
                taker = level.popleft()
                if isinstance(taker, Run):
                    places = self._places[taker]
                    place = places.popleft()
                    if places:
                        level.append(taker)
                    else:
                        del self._places[taker]
                    return taker, place, None
                if taker.level == priority:
                    taker.level = None
                    taken = taker.take()
                    if taken is not None:
                        return *taken, taker
        return None

    def remove(self, run: Run) -> Iterable[Place]:
        """Take out a workflow; gives its places."""
        places = self._places.pop(run, None)
        if places is None:
            return ()
        for _, level in self._order:
            if run in level:
                level.remove(run)
        return places

    def move(self, run: Run) -> None:
        """Put a workflow where its priority, which has changed, belongs."""
        self.add_all(run, self.remove(run))

    def _level(self, priority: int) -> deque[Run | Line]:
        level = self._levels.get(priority)
        if level is None:
            level = self._levels[priority] = deque()
            self._order = sorted(self._levels.items(), key=lambda item: -item[0])
        return level

"""How many refusals get an entry of their own: who is refused all the time must not fill the disk. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

PER_WINDOW: Final = 100
WINDOW: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Window:
    """A minute of refusals of one actor: some have an entry each, the others are counted."""

    actor: str
    since: datetime
    kept: int = 0
    counted: int = 0

    def is_over(self, at: datetime) -> bool:
        """Whether its minute has passed; a clock that is set back ends it too."""
        return not timedelta(0) <= at - self.since < WINDOW


class Refusals:
    """The windows of all actors. Those are users that exist and one for everybody else, so they are not many."""

    def __init__(self) -> None:
        self._windows: dict[str, Window] = {}

    def keeps(self, actor: str, at: datetime) -> bool:
        """Whether one more refusal gets an entry of its own; otherwise it is counted. Ask `ended` first."""
        window = self._windows.get(actor) or Window(actor, at)
        is_kept = window.kept < PER_WINDOW
        self._windows[actor] = (
            replace(window, kept=window.kept + 1) if is_kept else replace(window, counted=window.counted + 1)
        )
        return is_kept

    def ended(self, at: datetime) -> list[Window]:
        """Forget the windows that are over, and give those that have counted something."""
        over = [window for window in self._windows.values() if window.is_over(at)]
        for window in over:
            del self._windows[window.actor]
        return [window for window in over if window.counted]

    def all(self) -> list[Window]:
        """Forget every window, and give those that have counted something: nothing more comes."""
        every = [window for window in self._windows.values() if window.counted]
        self._windows.clear()
        return every

"""The step kind `sleep`: waits, also over restarts, and holds no place at the runner meanwhile."""

import math
from collections.abc import Iterator, Mapping
from typing import Final

from maestro_workflow_engine._errors import BadArguments
from maestro_workflow_engine._kinds._arguments import is_open, unknown_names
from maestro_workflow_engine._ports import StepCall, Wait

_MAX_S: Final = 10 * 366 * 86_400.0


class SleepKind:
    """`with: {seconds: 90}`; gives the seconds back."""

    def check(self, arguments: Mapping[str, object], tools: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Static problems below `with`."""
        yield from unknown_names(arguments, {"seconds"})
        if "seconds" not in arguments:
            yield "", "sleep needs `seconds`"
        elif not is_open(arguments["seconds"]) and _problem(arguments["seconds"]) is not None:
            yield "/seconds", str(_problem(arguments["seconds"]))

    async def run(self, call: StepCall) -> object:
        """Wait at the first call; the second is the end of it."""
        seconds = call.arguments.get("seconds")
        problem = _problem(seconds)
        if problem is not None or not isinstance(seconds, int | float):
            raise BadArguments(f"/with/seconds: {problem}")
        return Wait(float(seconds)) if call.due_at is None else {"seconds": seconds}

    async def close(self) -> None:
        """Nothing is held."""


def _problem(seconds: object) -> str | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not math.isfinite(seconds):
        return "a number of seconds was expected"
    return None if 0 <= seconds <= _MAX_S else "the seconds are from 0 to ten years"

"""The step kind `sleep`: waits, also over restarts, and holds no place at the runner meanwhile."""

from collections.abc import Iterator, Mapping
from typing import Final

from maestro_workflow_engine._kinds._arguments import Readers, duration_s, read, static_problems
from maestro_workflow_engine._ports import StepCall, Wait

_READERS: Final[Readers] = {"seconds": duration_s}


class SleepKind:
    """`with: {seconds: 90}`; gives the seconds back."""

    def check(self, arguments: Mapping[str, object], tools: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Static problems below `with`."""
        yield from static_problems(arguments, _READERS)
        if "seconds" not in arguments:
            yield "", "sleep needs `seconds`"

    async def run(self, call: StepCall) -> object:
        """Wait at the first call; the second is the end of it."""
        seconds = read(call.arguments, _READERS, ["seconds"])["seconds"]
        return Wait(seconds) if call.due_at is None else {"seconds": call.arguments["seconds"]}

    async def close(self) -> None:
        """Nothing is held."""

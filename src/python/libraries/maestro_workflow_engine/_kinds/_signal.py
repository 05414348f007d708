"""The step kind `signal`: waits for somebody to tell the workflow something."""

from collections.abc import Iterator, Mapping
from typing import Final

from maestro_workflow_engine._kinds._arguments import Readers, duration_s, read, static_problems, title
from maestro_workflow_engine._ports import StepCall, Wait
from maestro_workflow_engine._step_errors import WaitExpired

_READERS: Final[Readers] = {"name": title, "timeout_s": duration_s}


class SignalKind:
    """`with: {name: "paid", timeout_s: 3600}`; gives what the signal carries. Without `timeout_s` it waits for ever.

    A signal that came before is taken at once; each is taken by one step only.
    """

    def check(self, arguments: Mapping[str, object], tools: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Static problems below `with`."""
        yield from static_problems(arguments, _READERS)
        if "name" not in arguments:
            yield "", "signal needs `name`: that of the signal to wait for"

    async def run(self, call: StepCall) -> object:
        """Wait at the first call; the second has the payload, or comes too late."""
        values = read(call.arguments, _READERS, ["name"])
        if call.answer is not None:
            return call.answer.value
        if call.due_at is not None:
            raise WaitExpired(f"no signal {values['name']!r} came within {values.get('timeout_s', 0.0):g} s")
        return Wait(values.get("timeout_s"), {"kind": "signal", "name": values["name"]})

    async def close(self) -> None:
        """Nothing is held."""

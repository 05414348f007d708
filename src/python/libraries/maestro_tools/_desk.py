"""Where a server of the older protocol (2025-11-25) asks: in the middle of a call, which stays open meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import mcp.types as types

from maestro_tools._errors import InputRequired, SecretAsked, ToolsError
from maestro_tools._masking import Masker
from maestro_tools._questions import Ask, read_question


class Caller:
    """One call in flight, as the desk knows it; `fault` is what went wrong with a question that was asked for it."""

    def __init__(self, label: str, ask: Ask | None, on_crowd: Callable[[], None]) -> None:
        self.label = label
        self.ask = ask
        self.on_crowd = on_crowd
        self.fault: ToolsError | None = None


# Over HTTP a question comes in the context of the request whose stream it is on.
_CALLER: ContextVar[Caller | None] = ContextVar("maestro_tools_caller", default=None)


class Desk:
    """Brings each question to the call that it is for.

    Over stdio nothing says which call that is. So when one asks while others are in flight, the question is called off,
    and all that were in flight fail for it if they fail: `InputRequired`, worth a retry.
    """

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._calls: list[Caller] = []

    @contextmanager
    def calling(self, label: str, ask: Ask | None, on_crowd: Callable[[], None] = lambda: None) -> Iterator[Caller]:
        """A call is in flight for as long as the block runs; `on_crowd` hears of a question that was called off."""
        caller = Caller(label, ask, on_crowd)
        self._calls.append(caller)
        token = _CALLER.set(caller)
        try:
            yield caller
        finally:
            _CALLER.reset(token)
            self._calls.remove(caller)

    async def elicit(self, context: object, params: types.ElicitRequestParams) -> types.ElicitResult:
        """Answer `elicitation/create`: the callback of the SDK's session."""
        caller = _CALLER.get() or (self._calls[0] if len(self._calls) == 1 else None)
        if caller is None or caller not in self._calls or caller.ask is None:
            for one in self._calls:
                one.on_crowd()
                one.fault = InputRequired(
                    f"{one.label}: the server asked a question while {len(self._calls)} calls were in flight, and does "
                    "not say which of them it is for",
                    retryable=True,
                )
            return types.ElicitResult(action="cancel")
        try:
            asked = params.model_dump(by_alias=True, mode="json", exclude_none=True)
            question = read_question(caller.label, "", self._masker.mask_all(asked))
        except ToolsError as error:
            caller.fault = error
            return types.ElicitResult(action="decline" if isinstance(error, SecretAsked) else "cancel")
        return types.ElicitResult.model_validate(await caller.ask(question))

"""How a step that cannot end yet says so: the shapes that an engine knows, without knowing the engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Wait:
    """Call the step again, with `memo`: after `seconds`, or once what it waits `on` is answered (None: only then)."""

    seconds: float | None = None
    on: Mapping[str, Any] | None = None
    memo: Any = None


class Answer(Protocol):
    """What a Wait was answered with."""

    @property
    def value(self) -> Any: ...


class Call(Protocol):
    """What a kind needs to know of one attempt at a step.

    An engine that knows no Wait may leave `answer` and `memo` out.
    """

    @property
    def idempotency_key(self) -> str: ...
    @property
    def arguments(self) -> Mapping[str, Any]: ...
    @property
    def tools(self) -> Mapping[str, Any]: ...
    @property
    def timeout_s(self) -> float | None: ...
    @property
    def base_dir(self) -> Path: ...


def answer_of(call: Call) -> Answer | None:
    """What this call was answered with; None when it goes on for another reason, or is the first."""
    answer: Answer | None = getattr(call, "answer", None)
    return answer


def memo_of(call: Call) -> Any:
    """What the Wait before this call gave to remember; None when there was none."""
    return getattr(call, "memo", None)

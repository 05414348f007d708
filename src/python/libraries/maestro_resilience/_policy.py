"""The shape that every policy has: `call`, `acall`, and use as a decorator."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from types import CoroutineType
from typing import Any, ClassVar, ParamSpec, TypeVar, cast

from maestro_resilience._checks import Checks
from maestro_resilience._clock import SYSTEM_CLOCK, Clock
from maestro_resilience._decorate import decorate
from maestro_resilience._errors import WrongCall
from maestro_resilience._events import Event, Listener, notify

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Policy(ABC):
    """One way of guarding a call; objects are shared freely between threads and tasks.

    A policy of your own defines `call` and `acall`. Both take the function and its arguments, which lets policies nest
    without a closure per call: `outer.call(inner.call, fn, argument)`.
    """

    kind: ClassVar[str] = "policy"

    def __init__(
        self, *, name: str | None = None, clock: Clock = SYSTEM_CLOCK, listeners: Iterable[Listener] = ()
    ) -> None:
        checks = Checks(self.kind)
        self.name = checks.text("name", self.kind if name is None else name)
        self.clock = clock
        if not callable(getattr(clock, "now_s", None)):
            checks.fail("clock", "a Clock", clock)
        self.listeners = checks.functions("listeners", listeners)
        checks.done()

    @abstractmethod
    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the function under this policy."""

    @abstractmethod
    async def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the async function under this policy."""

    @property
    def async_only(self) -> bool:
        """Whether `call` always raises WrongCall, so that only async functions may be decorated."""
        return False

    @property
    def opens_streams(self) -> bool:
        """Whether it may decorate a generator function, of which it then governs all up to the first item."""
        return False

    def __call__(self, fn: F) -> F:
        """Decorate a function, a coroutine function, or (where `opens_streams`) a sync or async generator function."""
        return cast(F, decorate(self, fn))

    def emit(self, event: Event) -> None:
        """Give an event to the listeners; guard with `if self.listeners` to build no event that nobody hears."""
        notify(self.listeners, event)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"


def sync_result(result: T) -> T:
    """The result of a sync call; a coroutine here means that an async function was given to `call`."""
    if isinstance(result, CoroutineType):
        result.close()
        raise WrongCall("call() was given an async function, whose work it cannot see: use `await policy.acall(fn, …)`")
    return result

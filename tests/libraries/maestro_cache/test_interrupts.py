"""A Ctrl-C between any two steps: whoever asks next gets a value, and nobody waits for ever."""

import inspect
import sys
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import pytest

from maestro_cache import Cache, Key, MemoryStore, Policy
from maestro_cache.testing import ManualClock

KEY = Key[int]("k")
FRESH = Policy(ttl_s=10, stale_s=10, jitter=0, lease_s=None)


class CtrlC:
    """Raises KeyboardInterrupt at the cache's step of that number in this thread: where Python looks for signals.

    That is where a function begins, and where a call has returned; what a generator yields is no return.
    """

    def __init__(self, at: int) -> None:
        self._left = at
        self.came = False

    def __enter__(self) -> None:
        self._before = sys.gettrace()
        sys.settrace(self._step)

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _step(self, frame: FrameType, event: str, argument: Any) -> Any:
        frame.f_trace_lines = False
        ours = frame.f_globals["__name__"].partition(".")[0] in ("maestro_cache", "contextlib")
        returned = event == "return" and not frame.f_code.co_flags & inspect.CO_GENERATOR
        if ours and (event == "call" or returned):
            self._left -= 1
            if self._left < 0 and not self.came:
                self.came = True
                sys.settrace(None)
                raise KeyboardInterrupt
        return self._step


def ask_until_no_step_is_left(stale: bool) -> int:
    """Ask anew with a Ctrl-C at each step; how many there are."""
    for step in range(1_000):
        clock = ManualClock()
        with Cache(FRESH, MemoryStore(clock=clock)) as cache, ThreadPoolExecutor(1) as pool:
            if stale:
                cache.set(KEY, 1)
                clock.advance(15)
            interrupt = CtrlC(step)
            try:
                with interrupt:
                    cache.get_or_compute(KEY, lambda: 2)
            except KeyboardInterrupt:
                assert interrupt.came
            assert pool.submit(cache.get_or_compute, KEY, lambda: 3).result(20) in (1, 2, 3), f"after step {step}"
            assert cache.get_or_compute(KEY, lambda: 4) in (1, 2, 3), f"in the thread itself, after step {step}"
            if not interrupt.came:
                return step
    raise AssertionError("it has no end")


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize("stale", [False, True], ids=["missing", "stale"])
def test_a_ctrl_c_at_any_step_leaves_nobody_waiting(stale: bool) -> None:
    assert ask_until_no_step_is_left(stale) > 40

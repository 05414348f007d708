"""What the fuzzing of definitions and expressions shares: hostile pieces, mutations, and a bound on work."""

import contextlib
import copy
import os
import sys
from collections.abc import Iterator
from random import Random
from typing import Any

from hypothesis import HealthCheck, settings

IS_LONG = os.environ.get("MAESTRO_FUZZ") == "long"

HOSTILE: tuple[Any, ...] = (
    None, True, -1, 0, 1e308, -0.0, 2**63, 10**400, float("nan"), float("inf"),
    "", "\x00", "\ud800", "a\n", "x" * 5_000, "9" * 5_000, "__class__", "../../etc/passwd", "secrets",
    [], {}, [[]], {"": ""}, {"__proto__": {}}, ["a"] * 300, {"x": {"x": {"x": {}}}},
    "${{", "${{ }}", "${{ ( }}", "${{ inputs }}", "${{ secrets.KEY }}", "a ${{ secrets.KEY }} b",
    "${{ steps.s0.output }}", "${{ steps.s0.output.__class__.__mro__ }}", "${{ inputs.__dict__ }}",
    "${{ item }}", "${{ output }}", "${{ previous }}", "${{ iteration }}", "${{ workflow.status }}",
    "${{ range(10000) }}", "${{ range(0, 18446744073709551615) }}", "${{ join(range(10000), 'xxxxxxxxxxxx') }}",
    "${{ 9223372036854775807 * 9223372036854775807 }}", "${{ 1 / 0 }}", "${{ 2 ** 9999 }}", "${{ from_json('[[[[') }}",
    "${{ " + "(" * 200 + "1" + ")" * 200 + " }}", "${{ " + "not " * 300 + "true }}",
    "${{ __import__('os').system('id') }}", "${{ inputs['x'].__init__.__globals__ }}", "${{ len.__self__ }}",
    "${{ inputs.x if true else 1 }}",
)  # fmt: skip
KEYS = (
    "kind", "with", "needs", "join", "when", "map", "items", "max_parallel", "repeat", "until", "max_iterations",
    "retry", "max_attempts", "timeout_s", "on_error", "compensate", "limits", "cost", "body", "steps", "inputs",
    "outputs", "tools", "budget", "finally", "on_failure", "concurrency", "priority", "name", "s0", "s1",
    "__class__", "", "x" * 300,
)  # fmt: skip


def trials(short: int, long: int) -> settings:
    """How much is tried: MAESTRO_FUZZ=long tries many more, with another seed each time."""
    return settings(
        max_examples=long if IS_LONG else short,
        derandomize=not IS_LONG,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )


def mutated(document: dict[str, Any], random: Random) -> dict[str, Any]:
    """The document with a few of its parts replaced, dropped, doubled, renamed or nested."""
    other = copy.deepcopy(document)
    for _ in range(random.randint(1, 4)):
        holder = random.choice(list(_holders(other)))
        if not holder:
            continue
        key = random.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        what = random.choice(["replace", "replace", "drop", "copy", "rename", "nest"])
        if what == "replace":
            holder[key] = copy.deepcopy(random.choice(HOSTILE))
        elif what == "drop":
            del holder[key]
        elif what == "nest":
            holder[key] = nested(holder[key], random.choice([1, 5, 120, 5_000]), random)
            break  # too deep to be copied once more
        elif isinstance(holder, list):
            holder.append(copy.deepcopy(holder[key]))
        else:
            value = holder[key] if what == "copy" else holder.pop(key)
            holder[random.choice(KEYS)] = copy.deepcopy(value)
    return other


def nested(value: Any, levels: int, random: Random) -> Any:
    """A value so many levels deep."""
    for _ in range(levels):
        value = [value] if random.random() < 0.5 else {"x": value}
    return value


def _holders(value: Any) -> Iterator[Any]:
    """Every mapping and list of a document; nothing here recurses."""
    waiting = [value]
    for each in waiting:
        if isinstance(each, dict | list):
            yield each
            waiting += each.values() if isinstance(each, dict) else each


def texts(value: Any) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Every text of a document, with the way to it."""
    waiting: list[tuple[tuple[Any, ...], Any]] = [((), value)]
    for way, each in waiting:
        if isinstance(each, str):
            yield way, each
        elif isinstance(each, dict):
            waiting += [((*way, key), below) for key, below in each.items()]
        elif isinstance(each, list):
            waiting += [((*way, place), below) for place, below in enumerate(each)]


@contextlib.contextmanager
def bounded(calls: int) -> Iterator[None]:
    """At most so many calls of functions in here: what would hang fails, whatever the machine is doing meanwhile."""
    left = calls

    def count(frame: Any, happening: str, argument: Any) -> None:
        nonlocal left
        if happening == "call":
            left -= 1
            if left < 0:
                sys.setprofile(None)
                raise AssertionError(f"more than {calls} calls")

    earlier = sys.getprofile()
    sys.setprofile(count)
    try:
        yield
    finally:
        sys.setprofile(earlier)

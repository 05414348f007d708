"""How long a page of history takes among a million finished workflows, for every combination of filters.

Builds the journal in bulk once (kept with --folder), then asks a real backend for first pages and for pages deep in the
list, with values that fit many workflows, few, and none together. Prints p50, p95 and the slowest, in milliseconds.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import platform
import random
import sqlite3
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from maestro_workflow_engine import EmbeddedBackend
from workflow_engine.history_data import APART_US, Told, build, told

FILTERS = ("status", "name", "template", "label", "labels", "input", "few", "parent", "after", "before")
GOAL_MS = 20.0


def question(chosen: tuple[str, ...], draw: random.Random, workflows: int) -> dict[str, Any]:
    """Filters for one page: half of the time all of one workflow, so that there is one, half of the time of several."""
    same = told(draw.randrange(1, workflows + 1)) if draw.random() < 0.5 else None

    def some() -> Told:
        return same or told(draw.randrange(1, workflows + 1))

    asked: dict[str, Any] = {"labels": {}, "inputs": {}}
    for each in chosen:
        if each in ("status", "name", "template"):
            asked[each] = getattr(some(), each) or "flow-01"
        elif each == "label":
            asked["labels"]["team"] = some().labels["team"]
        elif each == "labels":
            asked["labels"] |= {name: value for name, value in some().labels.items() if name != "team"}
        elif each == "input":
            asked["inputs"] |= {"dry_run": some().inputs["dry_run"], "amount": some().inputs["amount"]}
        elif each == "few":
            asked["inputs"]["customer"] = some().inputs["customer"]
        elif each == "parent":
            asked["parent"] = some().parent or "parent-77"
        elif each == "after":
            asked["started_after"] = at(some().started_at - draw.randrange(10_000) * APART_US)
        else:
            asked["started_before"] = at(some().started_at + draw.randrange(10_000) * APART_US)
    return asked


def at(number: int) -> datetime:
    """A time of the history."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=number)


async def timed(backend: EmbeddedBackend, asked: dict[str, Any]) -> tuple[float, int]:
    """Milliseconds for a page of 50, and how many workflows were on it."""
    begun_at = time.perf_counter()
    page = await backend.list(limit=50, **asked)
    return (time.perf_counter() - begun_at) * 1000, len(page.items)


def combinations() -> Iterator[tuple[str, ...]]:
    """Every set of filters, also none."""
    for size in range(len(FILTERS) + 1):
        yield from itertools.combinations(FILTERS, size)


async def measure(folder: Path, workflows: int, rounds: int) -> None:
    """Ask, and print the table."""
    draw = random.Random(1)
    by_size: defaultdict[tuple[int, str], list[float]] = defaultdict(list)
    by_combination: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)
    found = pages = 0
    async with EmbeddedBackend(folder, kinds={}, retention=None) as backend:
        await timed(backend, {})
        for _ in range(rounds):
            for chosen in combinations():
                asked = question(chosen, draw, workflows)
                for place, after in (("first", {}), ("deep", {"after": str(draw.randrange(1, workflows))})):
                    took_ms, items = await timed(backend, {**asked, **after})
                    by_size[len(chosen), place].append(took_ms)
                    by_combination[chosen].append(took_ms)
                    found, pages = found + (items > 0), pages + 1
        disjoint = [await timed(backend, {"labels": {"half": "yes", "other": "yes"}}) for _ in range(50)]
    print(f"{'filters':<28}{'p50 ms':>9}{'p95 ms':>9}{'slowest':>9}{'pages':>8}")
    for (size, place), values in sorted(by_size.items()):
        line(f"{size} filters, {place} page", values)
    line("two halves, none of both", [took_ms for took_ms, _ in disjoint])
    line("all", [value for values in by_combination.values() for value in values])
    above = [chosen for chosen, values in by_combination.items() if p95(values) >= GOAL_MS]
    print(f"{found} of {pages} pages had workflows on them")
    print(f"combinations with a p95 of {GOAL_MS:.0f} ms or more: {len(above)} of {len(by_combination)}")
    for chosen in sorted(by_combination, key=lambda chosen: -p95(by_combination[chosen]))[:5]:
        print(f"  p95 {p95(by_combination[chosen]):.1f} ms: {', '.join(chosen)}")


def p95(values: list[float]) -> float:
    """The value that 95 of 100 stay below."""
    return sorted(values)[-1 - len(values) // 20]


def line(title: str, values: list[float]) -> None:
    """One line of the table."""
    print(f"{title:<28}{statistics.median(values):>9.2f}{p95(values):>9.2f}{max(values):>9.2f}{len(values):>8}")


def options() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(description="Pages of history among many finished workflows.")
    parser.add_argument("--workflows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=10, help="questions for each combination of filters")
    parser.add_argument("--folder", type=Path, help="where the journal is made, and found again (default: thrown away)")
    return parser.parse_args()


def main() -> None:
    """Run what was asked for."""
    asked = options()
    with contextlib.ExitStack() as stack:
        folder = asked.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        journal = folder / "journal.db"
        if not journal.exists():
            folder.mkdir(parents=True, exist_ok=True)
            begun_at = time.perf_counter()
            build(journal, asked.workflows)
            print(f"built in {time.perf_counter() - begun_at:.0f} s")
        print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
        print(f"SQLite {sqlite3.sqlite_version}, {asked.workflows:,} workflows, {journal.stat().st_size >> 20} MiB")
        asyncio.run(measure(folder, asked.workflows, asked.rounds))


if __name__ == "__main__":
    main()

"""The order of steps: topological, or the knots that make it impossible.

No step may be needed twice by the same one. Nothing here recurses.
"""

import heapq
from collections.abc import Mapping, Sequence

Needs = Mapping[str, Sequence[str]]


def topological_order(needs: Needs) -> list[str]:
    """All steps, each behind what it needs, ties in the order given; steps on or behind a cycle are left out."""
    places = {step: place for place, step in enumerate(needs)}
    steps = list(needs)
    waiting_for = {step: len(needed) for step, needed in needs.items()}
    dependents = dependents_of(needs)
    ready = [place for place, step in enumerate(steps) if not waiting_for[step]]
    order: list[str] = []
    while ready:
        step = steps[heapq.heappop(ready)]
        order.append(step)
        for dependent in dependents[step]:
            waiting_for[dependent] -= 1
            if not waiting_for[dependent]:
                heapq.heappush(ready, places[dependent])
    return order


def dependents_of(needs: Needs) -> dict[str, list[str]]:
    """Who needs each step, in the order given."""
    dependents: dict[str, list[str]] = {step: [] for step in needs}
    for step, needed in needs.items():
        for other in needed:
            dependents[other].append(step)
    return dependents


def cycles(needs: Needs) -> list[list[str]]:
    """One cycle for each knot of steps that wait for each other, a → b for a that needs b, from its first step on."""
    left = dict(needs)
    for step in topological_order(needs):
        del left[step]
    places = {step: place for place, step in enumerate(left)}
    knots = (
        sorted(knot, key=places.__getitem__) for knot in _knots({s: [n for n in left[s] if n in left] for s in left})
    )
    found = [_shortest_cycle(knot, needs) for knot in knots if len(knot) > 1]
    return sorted(found, key=lambda cycle: places[cycle[0]])


def _shortest_cycle(knot: list[str], needs: Needs) -> list[str]:
    """The shortest way from the first step of a knot back to itself."""
    first, members = knot[0], set(knot)
    came_from: dict[str, str] = {}
    frontier = [first]
    while first not in came_from:
        below = []
        for step in frontier:
            for needed in needs[step]:
                if needed in members and needed not in came_from:
                    came_from[needed] = step
                    below.append(needed)
        frontier = below
    way = [first, came_from[first]]
    while way[-1] != first:
        way.append(came_from[way[-1]])
    return way[::-1]


def _knots(needs: Needs) -> list[list[str]]:
    """Strongly connected components (Tarjan's algorithm, with a stack of its own)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    open_steps: dict[str, None] = {}
    knots: list[list[str]] = []
    for root in needs:
        if root in index:
            continue
        index[root] = low[root] = len(index)
        open_steps[root] = None
        work = [(root, iter(needs[root]))]
        while work:
            step, rest = work[-1]
            for needed in rest:
                if needed not in index:
                    index[needed] = low[needed] = len(index)
                    open_steps[needed] = None
                    work.append((needed, iter(needs[needed])))
                    break
                if needed in open_steps:
                    low[step] = min(low[step], index[needed])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[step])
                if low[step] == index[step]:
                    knot: list[str] = []
                    while not knot or knot[-1] != step:
                        knot.append(open_steps.popitem()[0])
                    knots.append(knot)
    return knots

"""Checks what the parts of a definition say about each other: what expressions read, and who waits for whom."""

from collections.abc import Mapping, Sequence
from typing import Final

from maestro_workflow_engine._definition import InputSpec, Phase
from maestro_workflow_engine._expressions import Template, Use
from maestro_workflow_engine._order import cycles
from maestro_workflow_engine._parse_places import Place, refusal
from maestro_workflow_engine._parse_steps import Draft
from maestro_workflow_engine._report import Report

_SHOWN_CYCLE_STEPS = 12
BLOCKS: Final[Mapping[Phase, str]] = {"main": "steps", "on_failure": "on_failure", "finally": "finally"}
"""The key of the document under which the steps of a phase stand."""


class References:
    """Knows the names of one definition and reports those that do not exist or cannot be read where they are."""

    def __init__(
        self, report: Report, inputs: Mapping[str, InputSpec], drafts: Mapping[str, Draft], *, is_body: bool
    ) -> None:
        self._report = report
        self._inputs = inputs
        self._drafts = drafts
        self._advice = "; a body sees only its own: hand it over through with.inputs" if is_body else ""

    def check(self, path: str, name: str, template: Template) -> None:
        """Check what is read by a template that belongs to no step: tools, outputs, concurrency.key."""
        self._reads(Place(name, "main"), path, template)

    def check_compensation(self, draft: Draft) -> None:
        """Check what the undoing of a step reads."""
        if draft.compensate is not None:
            place = Place("compensate.with", "compensation", maps=draft.map is not None)
            self._reads(place, f"{draft.compensate.path}/with", draft.compensate.arguments)

    def needs_of(self, step: str, draft: Draft) -> tuple[str, ...]:
        """The steps that a step waits for, declared and implied, sorted; those that do not exist are reported."""
        needs: set[str] = set()
        for place, needed in enumerate(draft.needs):
            other = self._drafts.get(needed)
            if other is not None and other is not draft and other.phase == draft.phase:
                needs.add(needed)
            else:
                self._report.add(f"{draft.path}/needs/{place}", *self._need_problem(step, needed))
        for name, below, template in draft.reads:
            where = Place(name, draft.phase, step, draft.map is not None, draft.repeat is not None)
            needs |= self._reads(where, draft.path + below, template)
        if draft.join is not None and draft.join.count > len(needs):
            self._report_join(draft, len(needs))
        return tuple(sorted(needs)) if len(needs) > 1 else tuple(needs)

    def check_cycles(self, needs: Mapping[str, Sequence[str]]) -> None:
        """Report one cycle for each knot of steps that wait for each other."""
        for cycle in cycles(needs):
            shown = cycle if len(cycle) <= _SHOWN_CYCLE_STEPS + 2 else [*cycle[:_SHOWN_CYCLE_STEPS], "…", cycle[-1]]
            way = " → ".join(shown)
            message = f"these {len(cycle) - 1} steps wait for each other: {way}; remove one of these needs"
            self._report.add(self._place_of_need(cycle[0], cycle[1]), "cycle", message)

    def _need_problem(self, step: str, needed: str) -> tuple[str, str]:
        if needed == step:
            return "self-reference", "a step cannot wait for itself: remove it"
        if needed not in self._drafts:
            return "unknown-step", self._no_step(needed)
        phase = self._drafts[needed].phase
        when = "has ended before" if phase == "main" else "does not begin while this one can run"
        message = f"needs names steps of the same block, and {needed!r} stands in '{BLOCKS[phase]}': it {when}"
        return "wrong-phase", message

    def _reads(self, place: Place, path: str, template: Template) -> set[str]:
        """Check every read of a template; gives the steps of its own phase that it reads and that exist."""
        found: set[str] = set()
        for use in template.uses:
            names = use.names
            if names[0] == "inputs":
                if len(names) > 1 and names[1] not in self._inputs:
                    self._add(path, use, "unknown-input", self._no_input(names[1]))
                continue
            problem = refusal(place, names)
            if problem is None and names[0] == "steps":
                problem = self._step_problem(place, names[1])
                if problem is None and self._drafts[names[1]].phase == place.phase:
                    found.add(names[1])
            if problem is not None:
                self._add(path, use, *problem)
        return found

    def _step_problem(self, place: Place, step: str) -> tuple[str, str] | None:
        if step not in self._drafts:
            return "unknown-step", self._no_step(step)
        phase = self._drafts[step].phase
        if phase in ("main", place.phase):
            return None
        return "wrong-phase", f"{step!r} stands in '{BLOCKS[phase]}' and cannot be read here: read a step of 'steps'"

    def _report_join(self, draft: Draft, count: int) -> None:
        if count == 0:
            message = "the step needs no other, so there is nothing to join: add needs, or leave join out"
        else:
            message = f"join asks for more steps than the {count} that this one needs: write {count} or fewer"
        self._report.add(f"{draft.path}/join", "contradiction", message)

    def _add(self, path: str, use: Use, code: str, message: str) -> None:
        self._report.add(path + use.path, code, f"{message} (at character {use.offset + 1} of the text)")

    def _no_step(self, name: str) -> str:
        hint = self._report.hint(name, self._drafts)
        return f"there is no step {name[:64]!r}{hint}: add it, or correct the id{self._advice}"

    def _no_input(self, name: str) -> str:
        hint = self._report.hint(name, self._inputs)
        return f"there is no input {name[:64]!r}{hint}: declare it under inputs{self._advice}"

    def _place_of_need(self, step: str, needed: str) -> str:
        """The path of what makes one step wait for another."""
        draft = self._drafts[step]
        if needed in draft.needs:
            return f"{draft.path}/needs/{draft.needs.index(needed)}"
        for _, below, template in draft.reads:
            for use in template.uses:
                if use.names[:2] == ("steps", needed):
                    return draft.path + below + use.path
        return draft.path

"""Checks what the parts of a definition say about each other: what expressions read, and who waits for whom."""

from collections.abc import Mapping, Sequence

from maestro_workflow_engine._definition import InputSpec
from maestro_workflow_engine._expressions import Template, Use
from maestro_workflow_engine._json import pointer
from maestro_workflow_engine._order import cycles
from maestro_workflow_engine._parse_steps import Draft
from maestro_workflow_engine._report import Report

_SHOWN_CYCLE_STEPS = 12
_NO_MAP = "this step has no map: add one, or read inputs and steps only"
_BEFORE_MAP = "it is worked out once, before the runs for each item: read inputs and steps only"
_NO_STEP_HERE = "it is worked out once for the whole workflow: read inputs and steps only"
_TOOLS_ARE_FIXED = "tools are the same for all steps: read inputs and workflow only"


class References:
    """Knows the names of one definition and reports those that do not exist or cannot be read where they are."""

    def __init__(self, report: Report, inputs: Mapping[str, InputSpec], drafts: Mapping[str, Draft]) -> None:
        self._report = report
        self._inputs = inputs
        self._drafts = drafts

    def check_tools(self, tools: Template) -> None:
        """Check what the sources of tools read."""
        self._read_steps("/tools", tools, no_steps=_TOOLS_ARE_FIXED, no_item=_TOOLS_ARE_FIXED)

    def check_outputs(self, outputs: Template) -> None:
        """Check what the outputs of the workflow read."""
        self._read_steps("/outputs", outputs, no_item=_NO_STEP_HERE)

    def needs_of(self, step: str, draft: Draft) -> tuple[str, ...]:
        """The steps that a step waits for, declared and implied, sorted; those that do not exist are reported."""
        path = pointer("/steps", step)
        needs: set[str] = set()
        for place, needed in enumerate(draft.needs):
            if needed in self._drafts and needed != step:
                needs.add(needed)
            elif needed == step:
                message = "a step cannot wait for itself: remove it"
                self._report.add(f"{path}/needs/{place}", "self-reference", message)
            else:
                self._report.add(f"{path}/needs/{place}", "unknown-step", self._no_step(needed))
        for below, template in draft.templates():
            if template.uses:
                no_item = _BEFORE_MAP if below != "/with" else None if draft.map else _NO_MAP
                needs |= self._read_steps(path + below, template, own=step, no_item=no_item)
        return tuple(sorted(needs))

    def check_cycles(self, needs: Mapping[str, Sequence[str]]) -> None:
        """Report one cycle for each knot of steps that wait for each other."""
        for cycle in cycles(needs):
            shown = cycle if len(cycle) <= _SHOWN_CYCLE_STEPS + 2 else [*cycle[:_SHOWN_CYCLE_STEPS], "…", cycle[-1]]
            way = " → ".join(shown)
            message = f"these {len(cycle) - 1} steps wait for each other: {way}; remove one of these needs"
            self._report.add(self._place_of_need(cycle[0], cycle[1]), "cycle", message)

    def _read_steps(
        self, path: str, template: Template, *, own: str | None = None, no_steps: str = "", no_item: str | None
    ) -> set[str]:
        """Check every read of a template; gives the steps that it reads and that exist."""
        found: set[str] = set()
        for use in template.uses:
            root = use.names[0]
            if root == "steps":
                if no_steps:
                    self._add(path, use, "unreadable", f"no step can be read here: {no_steps}")
                elif use.names[1] == own:
                    self._add(
                        path, use, "self-reference", f"a step cannot read its own {use.names[2]}: read one before it"
                    )
                elif use.names[1] in self._drafts:
                    found.add(use.names[1])
                else:
                    self._add(path, use, "unknown-step", self._no_step(use.names[1]))
            elif root == "inputs" and len(use.names) > 1:
                if use.names[1] not in self._inputs:
                    self._add(path, use, "unknown-input", self._no_input(use.names[1]))
            elif root in ("item", "index") and no_item is not None:
                self._add(path, use, "item-outside-map", f"{root} has no value here: {no_item}")
        return found

    def _add(self, path: str, use: Use, code: str, message: str) -> None:
        self._report.add(path + use.path, code, f"{message} (at character {use.offset + 1} of the text)")

    def _no_step(self, name: str) -> str:
        return f"there is no step {name[:64]!r}{self._report.hint(name, self._drafts)}: add it, or correct the id"

    def _no_input(self, name: str) -> str:
        return f"there is no input {name[:64]!r}{self._report.hint(name, self._inputs)}: declare it under inputs"

    def _place_of_need(self, step: str, needed: str) -> str:
        """The path of what makes one step wait for another."""
        path, draft = pointer("/steps", step), self._drafts[step]
        if needed in draft.needs:
            return f"{path}/needs/{draft.needs.index(needed)}"
        for below, template in draft.templates():
            for use in template.uses:
                if use.names[:2] == ("steps", needed):
                    return path + below + use.path
        return path

"""Reads one step of a definition document."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from typing import Protocol, TypeAlias

from maestro_workflow_engine._dataclasses import dataclass
from maestro_workflow_engine._definition import (
    InputSpec,
    Join,
    LimitUse,
    MapOver,
    Phase,
    Repeat,
    RetryPolicy,
    WorkflowDefinition,
)
from maestro_workflow_engine._expressions import Template
from maestro_workflow_engine._json import JSON, json_kind
from maestro_workflow_engine._parse_body import check_body_inputs
from maestro_workflow_engine._parse_flow import (
    ONE_ATTEMPT,
    read_cost,
    read_join,
    read_limits,
    read_map,
    read_repeat,
    read_retry,
)
from maestro_workflow_engine._parse_values import NAME, Values

STEP_KEYS = (
    "kind",
    "with",
    "needs",
    "join",
    "when",
    "map",
    "repeat",
    "retry",
    "timeout_s",
    "on_error",
    "compensate",
    "limits",
    "cost",
    "body",
)
COMPENSATE_KEYS = ("kind", "with", "retry", "timeout_s")
ON_ERROR = ("fail", "continue")
CHILD_KIND = "workflow"

NO_ARGUMENTS = Template({})


class CheckedKind(Protocol):
    """What parsing asks of a step kind."""

    def check(self, arguments: Mapping[str, object], tools: Mapping[str, object]) -> Iterable[tuple[str, str]]:
        """Static problems as (JSON Pointer below `with`, message); values that hold "${{" are not known yet."""


ReadBody: TypeAlias = Callable[[str, str, dict[str, JSON]], tuple[WorkflowDefinition | None, dict[str, InputSpec]]]
"""Reads the body of a step from (its path, the step's id, its data); the definition is None when it has problems."""


@dataclass(slots=True)
class Draft:
    """A step as far as it can be read alone; `reads` holds (where it stands, path below the step, template)."""

    path: str
    phase: Phase
    kind: str = ""
    arguments: Template = NO_ARGUMENTS
    needs: Sequence[str] = ()
    join: Join | None = None
    when: Template | None = None
    map: MapOver | None = None
    repeat: Repeat | None = None
    retry: RetryPolicy = ONE_ATTEMPT
    timeout_s: float | None = None
    tolerates_failure: bool = False
    limits: tuple[LimitUse, ...] = ()
    cost: Template | None = None
    compensate: "Draft | None" = None
    body: WorkflowDefinition | None = None
    source: Mapping[str, JSON] = field(default_factory=dict)
    reads: tuple[tuple[str, str, Template], ...] = ()

    def note(self, place: str, below: str, template: Template | None) -> None:
        """Remember a template that reads something, for the checks against the other steps."""
        if template is not None and template.uses:
            self.reads += ((place, below, template),)


class StepReader:
    """Reads steps one by one and reports what is wrong in each."""

    def __init__(
        self,
        values: Values,
        kinds: Mapping[str, CheckedKind] | None,
        tools: Mapping[str, object],
        read_body: ReadBody,
    ) -> None:
        self._values = values
        self._report = values.report
        self._kinds = kinds
        self._tools = tools
        self._read_body = read_body

    def read(self, path: str, step: str, raw: JSON, phase: Phase) -> Draft:
        """The step at a path of the document, with whatever could be read of it."""
        draft = Draft(path, phase)
        if not isinstance(raw, dict):
            self._report.add(path, "wrong-type", f"a step is a mapping with a kind, not {json_kind(raw)}")
            return draft
        self._report.check_keys(path, raw, STEP_KEYS, "a step")
        self._read_call(path, raw, draft)
        if "body" in raw:
            draft.body = self._body(path, step, raw)
        if "needs" in raw:
            draft.needs = self._needs(f"{path}/needs", raw["needs"])
        self._read_flow(path, raw, draft)
        if "compensate" in raw:
            draft.compensate = self._compensate(f"{path}/compensate", raw["compensate"], phase)
        draft.source = raw
        return draft

    def _read_call(self, path: str, raw: dict[str, JSON], draft: Draft) -> None:
        """What is called, with what, how often it is tried and for how long."""
        if "with" in raw:
            draft.arguments = self._arguments(f"{path}/with", raw["with"])
            draft.note("with", "/with", draft.arguments)
        self._read_kind(path, raw, draft)
        if "retry" in raw:
            draft.retry = read_retry(self._values, f"{path}/retry", raw["retry"])
        draft.timeout_s = self._values.timeout(path, raw)

    def _read_flow(self, path: str, raw: dict[str, JSON], draft: Draft) -> None:
        values = self._values
        if "join" in raw:
            draft.join = read_join(values, f"{path}/join", raw["join"])
        if "when" in raw:
            draft.when = self._when(f"{path}/when", raw["when"])
            draft.note("when", "/when", draft.when)
        if "map" in raw:
            draft.map = read_map(values, f"{path}/map", raw["map"])
            draft.note("map.items", "/map/items", None if draft.map is None else draft.map.items)
        if "repeat" in raw:
            draft.repeat = read_repeat(values, f"{path}/repeat", raw["repeat"])
            draft.note("repeat.until", "/repeat/until", None if draft.repeat is None else draft.repeat.until)
        if "limits" in raw:
            limits = read_limits(values, f"{path}/limits", raw["limits"])
            draft.limits = tuple(limits.values())
            for below, limit in limits.items():
                draft.note("limits", f"/limits{below}", limit.name)
        if "cost" in raw:
            draft.cost = read_cost(values, f"{path}/cost", raw["cost"])
            draft.note("cost", "/cost", draft.cost)
        if "on_error" in raw:
            draft.tolerates_failure = values.word(path, raw, "on_error", ON_ERROR) == "continue"

    def _read_kind(self, path: str, raw: dict[str, JSON], draft: Draft) -> None:
        if "kind" not in raw and "body" not in raw:
            self._report.add(path, "missing-key", f"the step has no 'kind': add one{self._known_kinds()}")
            return
        kind = raw.get("kind", CHILD_KIND)
        if not isinstance(kind, str) or not NAME.match(kind):
            self._report.add(f"{path}/kind", "wrong-type", f"kind is the name of a step kind{self._known_kinds()}")
            return
        draft.kind = kind
        arguments = raw.get("with", {})
        if kind == CHILD_KIND and "body" not in raw and isinstance(arguments, dict) and "template" not in arguments:
            message = "the step says not which workflow to start: name its template in with.template, or give it a body"
            self._report.add(path, "missing-template", message)
        if self._kinds is None:
            return
        if kind not in self._kinds:
            hint = self._report.hint(kind, self._kinds)
            message = f"there is no step kind {kind!r}{hint}{self._known_kinds()}"
            self._report.add(f"{path}/kind", "unknown-kind", message)
            return
        if isinstance(arguments, dict) and "body" not in raw:
            self._check_arguments(f"{path}/with", kind, self._kinds[kind], arguments)

    def _known_kinds(self) -> str:
        return f"; installed are {', '.join(sorted(self._kinds))}" if self._kinds else ""

    def _check_arguments(self, path: str, name: str, kind: CheckedKind, arguments: dict[str, JSON]) -> None:
        try:
            problems = list(kind.check(arguments, self._tools))
        except Exception as error:  # a plug-in's mistake is told like any other problem, and names the plug-in
            message = f"the step kind {name!r} could not check this: its check raised {type(error).__name__}"
            self._report.add(path, "kind-check-failed", message)
            return
        for below, message in problems:
            self._report.add(path + below, "bad-arguments", message)

    def _arguments(self, path: str, raw: JSON) -> Template:
        if not isinstance(raw, dict):
            self._report.add(path, "wrong-type", f"with is a mapping of arguments, not {json_kind(raw)}")
            return NO_ARGUMENTS
        return self._values.template(path, raw)

    def _body(self, path: str, step: str, raw: dict[str, JSON]) -> WorkflowDefinition | None:
        kind, body, arguments = raw.get("kind"), raw["body"], raw.get("with", {})
        if isinstance(kind, str) and kind != CHILD_KIND:
            message = f"a step with a body is of kind {CHILD_KIND}, not {kind[:64]!r}: leave kind out, or the body"
            self._report.add(f"{path}/kind", "bad-value", message)
        if not isinstance(body, dict):
            message = f"body is a definition, a mapping with steps, not {json_kind(body)}"
            self._report.add(f"{path}/body", "wrong-type", message)
            return None
        definition, inputs = self._read_body(f"{path}/body", step, body)
        if isinstance(arguments, dict):
            check_body_inputs(self._report, path, arguments, inputs)
        return definition

    def _needs(self, path: str, raw: JSON) -> list[str]:
        if not isinstance(raw, list):
            example = f"write [{raw}]" if isinstance(raw, str) and NAME.match(raw) else "write [step, …]"
            self._report.add(path, "wrong-type", f"needs is a list of steps, not {json_kind(raw)}: {example}")
            return []
        needs: dict[str, None] = {}
        for i, step in enumerate(raw):
            if not isinstance(step, str):
                self._report.add(f"{path}/{i}", "wrong-type", f"the id of a step is a string, not {json_kind(step)}")
            elif step in needs:
                self._report.add(f"{path}/{i}", "duplicate", f"{step[:64]!r} is named twice: remove one")
            else:
                needs[step] = None
        return list(needs)

    def _when(self, path: str, raw: JSON) -> Template | None:
        if isinstance(raw, bool):
            return Template(raw)
        wanted = "true, false or exactly one ${{ … }} that holds all of the condition"
        return self._values.expression(path, raw, "when", wanted)

    def _compensate(self, path: str, raw: JSON, phase: Phase) -> Draft | None:
        if phase != "main":
            message = f"what {phase} does is not undone: compensate stands only in 'steps'"
            self._report.add(path, "misplaced", message, at_key=True)
            return None
        draft = Draft(path, "compensation")
        if not isinstance(raw, dict):
            self._report.add(path, "wrong-type", f"compensate is a mapping with a kind, not {json_kind(raw)}")
            return None
        self._report.check_keys(path, raw, COMPENSATE_KEYS, "compensate")
        self._read_call(path, {key: raw[key] for key in COMPENSATE_KEYS if key in raw}, draft)
        draft.source = raw
        return draft

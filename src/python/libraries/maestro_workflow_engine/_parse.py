"""Reads a definition document: every problem at once, each with its place."""

from collections.abc import Mapping

from maestro_workflow_engine._definition import InputSpec, Phase, Step, WorkflowDefinition
from maestro_workflow_engine._expressions import Template
from maestro_workflow_engine._json import JSON, canonical_digest, json_faults, json_kind, plain_copy, pointer
from maestro_workflow_engine._order import dependents_of, topological_order
from maestro_workflow_engine._parse_body import MAX_BODY_DEPTH
from maestro_workflow_engine._parse_inputs import read_inputs
from maestro_workflow_engine._parse_references import BLOCKS, References
from maestro_workflow_engine._parse_settings import read_budget, read_concurrency, read_priority
from maestro_workflow_engine._parse_steps import NO_ARGUMENTS, CheckedKind, Draft, StepReader
from maestro_workflow_engine._parse_values import MAX_TITLE_CHARS, NAME, NAME_RULE, Values, is_title
from maestro_workflow_engine._problems import Position
from maestro_workflow_engine._report import Report

MAX_STEPS = 20_000

DOCUMENT_KEYS = (
    "name",
    "description",
    "inputs",
    "tools",
    "priority",
    "timeout_s",
    "concurrency",
    "budget",
    "steps",
    "on_failure",
    "finally",
    "outputs",
)
RESERVED = frozenset(("inputs", "steps", "item", "index", "workflow", "true", "false", "null"))


def parse_definition(
    data: object,
    *,
    positions: Mapping[str, Position] | None = None,
    key_positions: Mapping[str, Position] | None = None,
    file: str | None = None,
    kinds: Mapping[str, CheckedKind] | None = None,
) -> WorkflowDefinition:
    """Check plain data and make the definition of it; raises InvalidDefinition with all problems in document order.

    `positions` and `key_positions` give the place of a value and of its key by JSON Pointer. Without `kinds`, any
    step kind is taken and its arguments are not checked.
    """
    report = Report(data, positions, key_positions, file)
    for path, fault in json_faults(data):
        report.add(path, "not-json", f"this {fault}")
    report.refuse_if_any()
    document = plain_copy(data)
    if not isinstance(document, dict):
        report.add("", "wrong-type", f"a definition is a mapping with a name and steps, not {json_kind(document)}")
        report.refuse()
    definition = _Parser(document, report, kinds).parse()
    if definition is None:
        report.refuse()
    return definition


class _Parser:
    """Reads one definition: that of the document, or at `depth` 1 and more the body of a step."""

    def __init__(
        self, document: dict[str, JSON], report: Report, kinds: Mapping[str, CheckedKind] | None, depth: int = 0
    ) -> None:
        self._document = document
        self._report = report
        self._kinds = kinds
        self._depth = depth
        raw_tools = document.get("tools")
        self._raw_tools = raw_tools if isinstance(raw_tools, dict) else {}
        self._values = Values(report)
        self._steps = StepReader(self._values, kinds, self._raw_tools, self._read_body)
        self._name = ""
        self.inputs: dict[str, InputSpec] = {}

    def parse(self) -> WorkflowDefinition | None:
        """The definition, or None when the report is not empty."""
        document, report = self._document, self._report
        report.check_keys("", document, DOCUMENT_KEYS, "a definition")
        self._name, description = self._read_name(), self._read_description()
        self.inputs = read_inputs(report, document.get("inputs", {}))
        tools = self._templates("tools", "each with one source")
        for tool, source in self._raw_tools.items():
            if not isinstance(source, dict):
                message = f"a source of tools is a mapping, not {json_kind(source)}"
                report.add(pointer("/tools", tool), "wrong-type", message)
        priority, timeout_s = read_priority(self._values, document), self._values.timeout("", document)
        concurrency, budget = read_concurrency(self._values, document), read_budget(self._values, document)
        drafts = self._read_blocks()
        outputs = self._templates("outputs", "from name to value")
        references = References(report, self.inputs, drafts, is_body=self._depth > 0)
        references.check("/tools", "tools", tools)
        references.check("/outputs", "outputs", outputs)
        if concurrency is not None:
            references.check("/concurrency/key", "concurrency.key", concurrency.key)
        needs = _ordered_needs(references, drafts)
        if not report.is_empty:
            return None
        steps = _steps(drafts, needs)
        dependents = dependents_of({step.id: step.needs for step in steps.values()})
        return WorkflowDefinition(
            name=self._name,
            description=description,
            inputs=self.inputs,
            tools=tools,
            steps=steps,
            dependents={step: tuple(others) for step, others in dependents.items()},
            outputs=outputs,
            document=document,
            digest=canonical_digest(document),
            priority=priority,
            timeout_s=timeout_s,
            concurrency=concurrency,
            budget=budget,
        )

    def _read_name(self) -> str:
        name = self._document.get("name")
        if "name" not in self._document:
            self._report.add("", "missing-key", "the definition has no 'name': give it one")
        elif not isinstance(name, str):
            self._report.add("/name", "wrong-type", f"name is a string, not {json_kind(name)}")
        elif not is_title(name) or "${{" in name:
            rule = f"one line of 1 to {MAX_TITLE_CHARS} printable characters, without expressions or spaces around it"
            self._report.add("/name", "bad-value", f"name is {rule}")
        return name if isinstance(name, str) else ""

    def _read_description(self) -> str | None:
        description = self._document.get("description")
        if description is None or isinstance(description, str):
            return description
        self._report.add("/description", "wrong-type", f"description is a string, not {json_kind(description)}")
        return None

    def _templates(self, key: str, what: str) -> Template:
        """The template of a mapping of named values at the top of the document."""
        raw = self._document.get(key, {})
        if not isinstance(raw, dict):
            self._report.add(f"/{key}", "wrong-type", f"{key} is a mapping of names, {what}, not {json_kind(raw)}")
            return NO_ARGUMENTS
        for name in raw:
            if not NAME.match(name):
                message = f"the name {name[:80]!r} will not do: it holds {NAME_RULE}"
                self._report.add(pointer(f"/{key}", name), "bad-id", message, at_key=True)
        return self._values.template(f"/{key}", raw)

    def _read_blocks(self) -> dict[str, Draft]:
        """The steps of all phases, in the order of the phases and then of the document."""
        drafts: dict[str, Draft] = {}
        if "steps" not in self._document:
            self._report.add("", "missing-key", "the definition has no 'steps': add at least one")
        for phase, key in BLOCKS.items():
            if key in self._document:
                for step, raw in self._block(key, self._document[key]).items():
                    draft = self._read_step(pointer(f"/{key}", step), step, raw, phase)
                    if step in drafts:
                        message = f"{step!r} stands in '{BLOCKS[drafts[step].phase]}' too: give one of them another id"
                        self._report.add(draft.path, "duplicate-id", message, at_key=True)
                    else:
                        drafts[step] = draft
        return drafts

    def _block(self, key: str, raw: JSON) -> dict[str, JSON]:
        path = f"/{key}"
        if isinstance(raw, list):
            message = (
                f"{key} is a mapping from id to step, so that no id comes twice: write 'a: {{kind: …}}' for '- id: a'"
            )
            self._report.add(path, "wrong-type", message)
        elif not isinstance(raw, dict):
            self._report.add(path, "wrong-type", f"{key} is a mapping from id to step, not {json_kind(raw)}")
        elif not raw:
            advice = "add at least one" if key == "steps" else "add one, or leave it out"
            self._report.add(path, "bad-value", f"there are no steps: {advice}")
        elif len(raw) > MAX_STEPS:
            message = f"there are {len(raw):,} steps, at most {MAX_STEPS:,} are possible: use map for work over a list"
            self._report.add(path, "too-large", message)
        else:
            return raw
        return {}

    def _read_step(self, path: str, step: str, raw: JSON, phase: Phase) -> Draft:
        if not NAME.match(step):
            message = f"the id {step[:80]!r} will not do: it holds {NAME_RULE}"
            self._report.add(path, "bad-id", message, at_key=True)
        elif step in RESERVED:
            message = f"the id {step!r} has a meaning in expressions: choose another"
            self._report.add(path, "reserved-id", message, at_key=True)
        return self._steps.read(path, step, raw, phase)

    def _read_body(
        self, path: str, step: str, raw: dict[str, JSON]
    ) -> tuple[WorkflowDefinition | None, dict[str, InputSpec]]:
        if self._depth >= MAX_BODY_DEPTH:
            message = f"bodies are nested deeper than {MAX_BODY_DEPTH}: make a template of this one, and call it"
            self._report.add(path, "too-deep", message)
            return None, {}
        name = f"{self._name}/{step}"[:MAX_TITLE_CHARS].strip()
        parser = _Parser({"name": name, **raw}, self._report.below(path), self._kinds, self._depth + 1)
        return parser.parse(), parser.inputs


def _ordered_needs(references: References, drafts: Mapping[str, Draft]) -> dict[str, tuple[str, ...]]:
    """What each step waits for, the steps of a phase in the order in which they can run; reports what is wrong."""
    by_phase: dict[Phase, dict[str, tuple[str, ...]]] = {phase: {} for phase in BLOCKS}
    for step, draft in drafts.items():
        by_phase[draft.phase][step] = references.needs_of(step, draft)
        references.check_compensation(draft)
    ordered: dict[str, tuple[str, ...]] = {}
    for needs in by_phase.values():
        order = topological_order(needs)
        if len(order) < len(needs):
            references.check_cycles(needs)
        ordered |= {step: needs[step] for step in order}
    return ordered


def _steps(drafts: Mapping[str, Draft], needs: Mapping[str, tuple[str, ...]]) -> dict[str, Step]:
    """All steps by id: the main ones, then what undoes them, then those of the other blocks."""
    steps = {step: _step(step, drafts[step], needs[step]) for step in needs if drafts[step].phase == "main"}
    for undone in list(steps):
        undo = drafts[undone].compensate
        if undo is not None:
            steps[f"{undone}.undo"] = _step(f"{undone}.undo", undo, (), undoes=undone)
    for step in needs:
        if drafts[step].phase != "main":
            steps[step] = _step(step, drafts[step], needs[step])
    return steps


def _step(step: str, draft: Draft, needs: tuple[str, ...], *, undoes: str | None = None) -> Step:
    return Step(
        id=step,
        kind=draft.kind,
        arguments=draft.arguments,
        needs=needs,
        when=draft.when,
        retry=draft.retry,
        timeout_s=draft.timeout_s,
        map=draft.map,
        phase=draft.phase,
        join=draft.join,
        repeat=draft.repeat,
        tolerates_failure=draft.tolerates_failure,
        undoes=undoes,
        limits=draft.limits,
        cost=draft.cost,
        body=draft.body,
        source=draft.source,
    )

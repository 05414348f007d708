"""Reads a definition document: every problem at once, each with its place."""

from collections.abc import Mapping

from maestro_workflow_engine._definition import Step, WorkflowDefinition
from maestro_workflow_engine._expressions import Template
from maestro_workflow_engine._json import JSON, canonical_digest, json_faults, json_kind, plain_copy, pointer
from maestro_workflow_engine._order import dependents_of, topological_order
from maestro_workflow_engine._parse_inputs import read_inputs
from maestro_workflow_engine._parse_references import References
from maestro_workflow_engine._parse_steps import NAME, NAME_RULE, NO_ARGUMENTS, CheckedKind, Draft, StepReader
from maestro_workflow_engine._problems import Position
from maestro_workflow_engine._report import Report

MAX_STEPS = 20_000
MAX_NAME_CHARS = 200

DOCUMENT_KEYS = ("name", "description", "inputs", "tools", "steps", "outputs")
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
    return _Parser(document, report, kinds).parse()


class _Parser:
    def __init__(self, document: dict[str, JSON], report: Report, kinds: Mapping[str, CheckedKind] | None) -> None:
        self._document = document
        self._report = report
        raw_tools = document.get("tools")
        self._raw_tools = raw_tools if isinstance(raw_tools, dict) else {}
        self._steps = StepReader(report, kinds, self._raw_tools)

    def parse(self) -> WorkflowDefinition:
        document, report = self._document, self._report
        report.check_keys("", document, DOCUMENT_KEYS, "a definition")
        name, description = self._name(), self._description()
        inputs = read_inputs(report, document.get("inputs", {}))
        tools = self._templates("tools", "each with one source")
        for tool, source in self._raw_tools.items():
            if not isinstance(source, dict):
                message = f"a source of tools is a mapping, not {json_kind(source)}"
                report.add(pointer("/tools", tool), "wrong-type", message)
        drafts = self._read_steps()
        outputs = self._templates("outputs", "from name to value")
        references = References(report, inputs, drafts)
        references.check_tools(tools)
        needs = {step: references.needs_of(step, draft) for step, draft in drafts.items()}
        references.check_outputs(outputs)
        order = topological_order(needs)
        if len(order) < len(needs):
            references.check_cycles(needs)
        report.refuse_if_any()
        dependents = dependents_of({step: needs[step] for step in order})
        return WorkflowDefinition(
            name=name,
            description=description,
            inputs=inputs,
            tools=tools,
            steps={step: _step(step, drafts[step], needs[step]) for step in order},
            dependents={step: tuple(others) for step, others in dependents.items()},
            outputs=outputs,
            document=document,
            digest=canonical_digest(document),
        )

    def _name(self) -> str:
        name = self._document.get("name")
        if "name" not in self._document:
            self._report.add("", "missing-key", "the definition has no 'name': give it one")
        elif not isinstance(name, str):
            self._report.add("/name", "wrong-type", f"name is a string, not {json_kind(name)}")
        elif not 1 <= len(name) <= MAX_NAME_CHARS or not name.isprintable() or name != name.strip() or "${{" in name:
            rule = f"one line of 1 to {MAX_NAME_CHARS} printable characters, without expressions or spaces around it"
            self._report.add("/name", "bad-value", f"name is {rule}")
        return name if isinstance(name, str) else ""

    def _description(self) -> str | None:
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
        return self._steps.template(f"/{key}", raw)

    def _read_steps(self) -> dict[str, Draft]:
        raw = self._document.get("steps")
        if "steps" not in self._document:
            self._report.add("", "missing-key", "the definition has no 'steps': add at least one")
        elif isinstance(raw, list):
            message = (
                "steps is a mapping from id to step, so that no id comes twice: write 'a: {kind: …}' for '- id: a'"
            )
            self._report.add("/steps", "wrong-type", message)
        elif not isinstance(raw, dict):
            self._report.add("/steps", "wrong-type", f"steps is a mapping from id to step, not {json_kind(raw)}")
        elif not raw:
            self._report.add("/steps", "bad-value", "there are no steps: add at least one")
        elif len(raw) > MAX_STEPS:
            message = f"there are {len(raw):,} steps, at most {MAX_STEPS:,} are possible: use map for work over a list"
            self._report.add("/steps", "too-large", message)
        else:
            return {step: self._read_step(step, member) for step, member in raw.items()}
        return {}

    def _read_step(self, step: str, raw: JSON) -> Draft:
        path = pointer("/steps", step)
        if not NAME.match(step):
            message = f"the id {step[:80]!r} will not do: it holds {NAME_RULE}"
            self._report.add(path, "bad-id", message, at_key=True)
        elif step in RESERVED:
            self._report.add(
                path, "reserved-id", f"the id {step!r} has a meaning in expressions: choose another", at_key=True
            )
        return self._steps.read(path, raw)


def _step(step: str, draft: Draft, needs: tuple[str, ...]) -> Step:
    return Step(
        id=step,
        kind=draft.kind,
        arguments=draft.arguments,
        needs=needs,
        when=draft.when,
        retry=draft.retry,
        timeout_s=draft.timeout_s,
        map=draft.map,
    )

"""Reads one step of a definition document."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from maestro_workflow_engine._definition import MapOver, RetryPolicy
from maestro_workflow_engine._expressions import Template, compile_all
from maestro_workflow_engine._json import JSON, json_kind, pointer
from maestro_workflow_engine._report import Report

MAX_ATTEMPTS = 1000
MAX_DELAY_S = 86_400.0
MAX_TIMEOUT_S = 31_536_000.0
MAX_MULTIPLIER = 100.0
MAX_PARALLEL = 1_000

NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}\Z")
NAME_RULE = "letters, digits, '_' and '-', begins with a letter or '_', and has at most 64 characters"
STEP_KEYS = ("kind", "with", "needs", "when", "retry", "timeout_s", "map")
RETRY_KEYS = ("max_attempts", "initial_delay_s", "multiplier", "max_delay_s", "jitter")
MAP_KEYS = ("items", "max_parallel")

NO_ARGUMENTS = Template({})
_ONE_ATTEMPT = RetryPolicy()


class CheckedKind(Protocol):
    """What parsing asks of a step kind."""

    def check(self, arguments: Mapping[str, object], tools: Mapping[str, object]) -> Iterable[tuple[str, str]]:
        """Static problems as (JSON Pointer below `with`, message); values that hold "${{" are not known yet."""


@dataclass(slots=True)
class Draft:
    """A step as far as it can be read alone; `templates` are those to be checked against the other steps."""

    kind: str = ""
    arguments: Template = NO_ARGUMENTS
    needs: list[str] = field(default_factory=list)
    when: Template | None = None
    retry: RetryPolicy = _ONE_ATTEMPT
    timeout_s: float | None = None
    map: MapOver | None = None

    def templates(self) -> Iterable[tuple[str, Template]]:
        """Each template with its path below the step."""
        yield "/with", self.arguments
        if self.when is not None:
            yield "/when", self.when
        if self.map is not None:
            yield "/map/items", self.map.items


class StepReader:
    """Reads steps one by one and reports what is wrong in each."""

    def __init__(self, report: Report, kinds: Mapping[str, CheckedKind] | None, tools: Mapping[str, object]) -> None:
        self._report = report
        self._kinds = kinds
        self._tools = tools

    def read(self, path: str, raw: JSON) -> Draft:
        """The step at a path of the document, with whatever could be read of it."""
        report, draft = self._report, Draft()
        if not isinstance(raw, dict):
            report.add(path, "wrong-type", f"a step is a mapping with a kind, not {json_kind(raw)}")
            return draft
        report.check_keys(path, raw, STEP_KEYS, "a step")
        if "with" in raw:
            draft.arguments = self._arguments(f"{path}/with", raw["with"])
        self._read_kind(path, raw, draft)
        if "needs" in raw:
            draft.needs = self._needs(f"{path}/needs", raw["needs"])
        if "when" in raw:
            draft.when = self._when(f"{path}/when", raw["when"])
        if "retry" in raw:
            draft.retry = self._retry(f"{path}/retry", raw["retry"])
        if "timeout_s" in raw:
            draft.timeout_s = self._timeout(path, raw)
        if "map" in raw:
            draft.map = self._map(f"{path}/map", raw["map"])
        return draft

    def template(self, path: str, value: JSON) -> Template:
        """The template of a value, its bad expressions reported."""
        template, problems = compile_all(value)
        for problem in problems:
            self._report.add(path + problem.path, "bad-expression", problem.reason)
        return template

    def _read_kind(self, path: str, raw: dict[str, JSON], draft: Draft) -> None:
        if "kind" not in raw:
            self._report.add(path, "missing-key", f"the step has no 'kind': add one{self._known_kinds()}")
            return
        kind = raw["kind"]
        if not isinstance(kind, str) or not NAME.match(kind):
            self._report.add(f"{path}/kind", "wrong-type", f"kind is the name of a step kind{self._known_kinds()}")
            return
        draft.kind = kind
        if self._kinds is None:
            return
        if kind not in self._kinds:
            hint = self._report.hint(kind, self._kinds)
            message = f"there is no step kind {kind!r}{hint}{self._known_kinds()}"
            self._report.add(f"{path}/kind", "unknown-kind", message)
            return
        arguments = raw.get("with", {})
        if isinstance(arguments, dict):
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
        return self.template(path, raw)

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
        return self._one_expression(
            path, raw, "when", "true, false or exactly one ${{ … }} that holds all of the condition"
        )

    def _one_expression(self, path: str, raw: JSON, name: str, wanted: str) -> Template | None:
        if not isinstance(raw, str) or "${{" not in raw:
            self._report.add(path, "wrong-type", f"{name} is {wanted}, not {json_kind(raw)} without one")
            return None
        template, problems = compile_all(raw)
        for problem in problems:
            self._report.add(path, "bad-expression", problem.reason)
        if not problems and not template.is_expression:
            self._report.add(path, "not-one-expression", f"{name} is {wanted}: remove the text around the expression")
        return template

    def _timeout(self, path: str, raw: dict[str, JSON]) -> float | None:
        value = self._number(path, raw, "timeout_s", 0.0, MAX_TIMEOUT_S, MAX_TIMEOUT_S)
        if value == 0.0:
            self._report.add(
                f"{path}/timeout_s", "bad-value", "timeout_s is more than 0: leave it out for no time limit"
            )
        return value

    def _map(self, path: str, raw: JSON) -> MapOver | None:
        if not isinstance(raw, dict):
            message = f"map is a mapping with items, not {json_kind(raw)}: write {{items: '${{{{ … }}}}'}}"
            self._report.add(path, "wrong-type", message)
            return None
        self._report.check_keys(path, raw, MAP_KEYS, "map")
        max_parallel = self._integer(path, raw, "max_parallel", MAX_PARALLEL) if "max_parallel" in raw else None
        if "items" not in raw:
            self._report.add(path, "missing-key", "map has no 'items': give the list to run over")
            return None
        raw_items = raw["items"]
        if isinstance(raw_items, list):
            items: Template | None = self.template(f"{path}/items", raw_items)
        else:
            items = self._one_expression(
                f"{path}/items", raw_items, "items", "a list or exactly one ${{ … }} that gives a list"
            )
        return MapOver(items, max_parallel) if items is not None else None

    def _retry(self, path: str, raw: JSON) -> RetryPolicy:
        if not isinstance(raw, dict):
            holder: dict[str, JSON] = {"retry": raw}
            attempts = self._integer(path.rpartition("/")[0], holder, "retry", MAX_ATTEMPTS, " or a mapping")
            return RetryPolicy(max_attempts=attempts or 1)
        self._report.check_keys(path, raw, RETRY_KEYS, "retry")
        attempts = self._integer(path, raw, "max_attempts", MAX_ATTEMPTS) if "max_attempts" in raw else None
        initial_delay_s = self._number(path, raw, "initial_delay_s", 0.0, MAX_DELAY_S, _ONE_ATTEMPT.initial_delay_s)
        longest = max(_ONE_ATTEMPT.max_delay_s, initial_delay_s)
        max_delay_s = self._number(path, raw, "max_delay_s", 0.0, MAX_DELAY_S, longest)
        if max_delay_s < initial_delay_s:
            message = f"max_delay_s is less than initial_delay_s ({initial_delay_s:g}): raise it, or lower the other"
            self._report.add(f"{path}/max_delay_s", "contradiction", message)
        return RetryPolicy(
            max_attempts=attempts or 1,
            initial_delay_s=initial_delay_s,
            multiplier=self._number(path, raw, "multiplier", 1.0, MAX_MULTIPLIER, _ONE_ATTEMPT.multiplier),
            max_delay_s=max_delay_s,
            jitter=self._number(path, raw, "jitter", 0.0, 1.0, _ONE_ATTEMPT.jitter),
        )

    def _number(self, path: str, raw: dict[str, JSON], key: str, least: float, most: float, otherwise: float) -> float:
        value = raw.get(key, otherwise)
        if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most:
            return float(value)
        code = "bad-value" if isinstance(value, int | float) and not isinstance(value, bool) else "wrong-type"
        message = f"{key} is a number from {least:g} to {most:,g}, not {_shown(value)}"
        self._report.add(pointer(path, key), code, message)
        return otherwise

    def _integer(self, path: str, raw: dict[str, JSON], key: str, most: int, alternative: str = "") -> int | None:
        value = raw[key]
        if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most:
            return value
        code = "bad-value" if isinstance(value, int) and not isinstance(value, bool) else "wrong-type"
        message = f"{key} is an integer from 1 to {most:,}{alternative}, not {_shown(value)}"
        self._report.add(pointer(path, key), code, message)
        return None


def _shown(value: JSON) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return json_kind(value)
    return f"{value:,}"

"""Service level objectives, as code or as plain data; every mistake is told at once, with its path."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from maestro_monitoring._contract import Contract, series_of
from maestro_monitoring._errors import InvalidSLO, Problem

_MAX_SELECTOR_CHARS = 1_000
_MATCHER = r'[a-zA-Z_]\w*\s*(?:=~|!~|!=|=)\s*"(?:[^"\\\n]|\\[\\"n])*"'
_MATCHERS = rf"{_MATCHER}(?:\s*,\s*{_MATCHER})*"
_SELECTOR = re.compile(rf"(?P<name>[a-zA-Z_:][\w:]*)(?:\{{\s*(?P<matchers>{_MATCHERS})?\s*\}})?", re.ASCII)
_WHERE = re.compile(_MATCHERS, re.ASCII)
_LABEL_OF_MATCHER = re.compile(r'([a-zA-Z_]\w*)\s*(?:=~|!~|!=|=)\s*"(?:[^"\\\n]|\\[\\"n])*"', re.ASCII)
_SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LABEL = re.compile(r"[a-z][a-z0-9_]*")
# What every scraped series has beside the labels of the contract.
TARGET_LABELS = frozenset({"instance", "job"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Good (or else bad) events of all events, each a selector of a counter: `http_requests_total{code="200"}`."""

    total: str
    good: str | None = None
    bad: str | None = None

    def problems(self) -> list[Problem]:
        """What is wrong with it."""
        found = [_selector_problem("/total", self.total)]
        if (self.good is None) == (self.bad is None):
            found.append(Problem("", "give either good or bad"))
        found += [
            _selector_problem(path, selector)
            for path, selector in (("/good", self.good), ("/bad", self.bad))
            if selector is not None
        ]
        return [problem for problem in found if problem is not None]

    def selectors(self) -> dict[str, str]:
        """The selectors that are queried, by path."""
        given = {"/total": self.total, "/good": self.good, "/bad": self.bad}
        return {path: selector for path, selector in given.items() if selector is not None}

    def error_ratio(self, window: str) -> str:
        """PromQL: the share of bad events over a window; no value at all without traffic."""
        total = f"sum(rate({self.total}[{window}]))"
        # A counter that has not counted yet has no series: it counts as zero, so that total failure is seen.
        if self.bad is not None:
            return f"(sum(rate({self.bad}[{window}])) or 0 * {total}) / {total}"
        return f"1 - (sum(rate({self.good}[{window}])) or 0 * {total}) / {total}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """The share of events within `threshold_s`, which is a bound of the histogram's buckets; `where` holds matchers."""

    histogram: str
    threshold_s: float
    where: str = ""

    def problems(self) -> list[Problem]:
        """What is wrong with it."""
        found = []
        if not isinstance(self.histogram, str) or not re.fullmatch(r"[a-zA-Z_:][\w:]*", self.histogram, re.ASCII):
            found.append(Problem("/histogram", "is the name of a histogram, without _bucket and without labels"))
        if not _is_number(self.threshold_s) or not 0 < self.threshold_s < float("inf"):
            found.append(Problem("/threshold_s", "is a positive number of seconds"))
        is_text = isinstance(self.where, str) and len(self.where) <= _MAX_SELECTOR_CHARS
        if not is_text or (self.where and not _WHERE.fullmatch(self.where)):
            found.append(Problem("/where", 'holds matchers, as in http_route="/orders",http_request_method="GET"'))
        elif "le" in _LABEL_OF_MATCHER.findall(self.where):
            found.append(Problem("/where", "leaves le to threshold_s"))
        return found

    def selectors(self) -> dict[str, str]:
        """The selectors that are queried, by path."""
        ratio = self._ratio()
        return {"/histogram": f"{ratio.good}", "/where": ratio.total}

    def error_ratio(self, window: str) -> str:
        """PromQL: the share of events over the threshold."""
        return self._ratio().error_ratio(window)

    def _ratio(self) -> Ratio:
        more, braced = (f",{self.where}", f"{{{self.where}}}") if self.where else ("", "")
        within = f'{self.histogram}_bucket{{le="{float(self.threshold_s)}"{more}}}'
        return Ratio(total=f"{self.histogram}_count{braced}", good=within)


@dataclass(frozen=True, slots=True)
class SLO:
    """A promise: `objective` of the events of `indicator` are good, over any `window_days`; raises InvalidSLO.

    `labels` are added to its alerts, to route them.
    """

    name: str
    objective: float
    indicator: Ratio | Latency
    window_days: int = 30
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        found = []
        if not isinstance(self.name, str) or len(self.name) > 60 or not _SLUG.fullmatch(self.name):
            found.append(Problem("/name", "is lower-case words joined by hyphens, at most 60 characters"))
        if not _is_number(self.objective) or not 0.5 <= self.objective < 1:
            found.append(Problem("/objective", "is a ratio from 0.5 to below 1, as in 0.999; there is no 100 %"))
        if not isinstance(self.window_days, int) or isinstance(self.window_days, bool):
            found.append(Problem("/window_days", "is a whole number of days"))
        elif not 7 <= self.window_days <= 90:
            found.append(Problem("/window_days", "is from 7 to 90 days"))
        if not isinstance(self.description, str) or len(self.description) > 500:
            found.append(Problem("/description", "is text of at most 500 characters"))
        found += self._label_problems()
        if not isinstance(self.indicator, Ratio | Latency):
            found.append(Problem("/indicator", "is a Ratio or a Latency"))
        else:
            kind = type(self.indicator).__name__.lower()
            found += [Problem(f"/indicator/{kind}{one.path}", one.reason) for one in self.indicator.problems()]
        if found:
            raise InvalidSLO(found)

    def _label_problems(self) -> list[Problem]:
        if not isinstance(self.labels, Mapping):
            return [Problem("/labels", "maps names to texts")]
        return [
            Problem(f"/labels/{name}", "is a lower_snake_case name with a text, and neither slo nor severity")
            for name, value in self.labels.items()
            if not isinstance(name, str)
            or not _LABEL.fullmatch(name)
            or name in ("slo", "severity")
            or not isinstance(value, str)
        ]

    @property
    def budget(self) -> Decimal:
        """The share of events that may be bad, without the noise of binary fractions."""
        return 1 - Decimal(str(self.objective))

    def check(self, contract: Contract) -> None:
        """Raise InvalidSLO when the indicator names a metric, label or bucket that the contract has not."""
        known = series_of(contract)
        found = []
        for path, selector in self.indicator.selectors().items():
            parts = _SELECTOR.fullmatch(selector)
            if parts is None or parts["name"] not in known:
                found.append(Problem(path, f"{selector} is no series of the contract"))
                continue
            unknown = set(_LABEL_OF_MATCHER.findall(parts["matchers"] or "")) - known[parts["name"]] - TARGET_LABELS
            found += [Problem(path, f"{parts['name']} has no label {name!r}") for name in sorted(unknown)]
        if isinstance(self.indicator, Latency):
            bounds = {metric["name"]: metric.get("buckets", []) for metric in contract["metrics"]}
            mine = bounds.get(self.indicator.histogram, [])
            if mine and self.indicator.threshold_s not in mine:
                found.append(Problem("/threshold_s", f"is none of the buckets {', '.join(map(str, mine))}"))
        if found:
            raise InvalidSLO([Problem(f"/{self.name}{one.path}", one.reason) for one in found])


def slos_from_data(data: object) -> list[SLO]:
    """SLOs from plain data, `{"slos": [{"name": …, "objective": …, "indicator": {"ratio": {…}}}]}`."""
    if not isinstance(data, dict) or set(data) != {"slos"} or not isinstance(data["slos"], list) or not data["slos"]:
        raise InvalidSLO([Problem("", 'is {"slos": [...]} with at least one SLO, and nothing beside it')])
    made: list[SLO] = []
    found: list[Problem] = []
    for number, item in enumerate(data["slos"]):
        try:
            made.append(_slo(item))
        except InvalidSLO as error:
            found += [Problem(f"/slos/{number}{problem.path}", problem.reason) for problem in error.problems]
    names = [slo.name for slo in made]
    found += [Problem("/slos", f"two are named {name!r}") for name in sorted(set(names)) if names.count(name) > 1]
    if found:
        raise InvalidSLO(found)
    return made


def _slo(item: object) -> SLO:
    fields = _fields("", item, {"name", "objective", "indicator"}, {"window_days", "description", "labels"})
    kinds: dict[str, type[Ratio | Latency]] = {"ratio": Ratio, "latency": Latency}
    given = fields["indicator"]
    if not isinstance(given, dict) or len(given) != 1 or not set(given) <= set(kinds):
        raise InvalidSLO([Problem("/indicator", 'is {"ratio": {...}} or {"latency": {...}}')])
    ((kind, parameters),) = given.items()
    path = f"/indicator/{kind}"
    if kind == "ratio":
        indicator: Ratio | Latency = Ratio(**_fields(path, parameters, {"total"}, {"good", "bad"}))
    else:
        indicator = Latency(**_fields(path, parameters, {"histogram", "threshold_s"}, {"where"}))
    return SLO(**{**fields, "indicator": indicator})


def _fields(path: str, item: object, required: set[str], optional: set[str]) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise InvalidSLO([Problem(path, "is an object")])
    found = [Problem(f"{path}/{name}", "is missing") for name in sorted(required - set(item))]
    unknown = sorted(str(name) for name in set(item) - required - optional)
    known = ", ".join(sorted(required | optional))
    found += [Problem(f"{path}/{name[:60]}", f"is unknown; known are {known}") for name in unknown]
    if found:
        raise InvalidSLO(found)
    return dict(item)


def _selector_problem(path: str, selector: object) -> Problem | None:
    if isinstance(selector, str) and len(selector) <= _MAX_SELECTOR_CHARS and _SELECTOR.fullmatch(selector):
        return None
    return Problem(path, 'is a selector, as in http_requests_total{code=~"5..",job="shop"}')


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

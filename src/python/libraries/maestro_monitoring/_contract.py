"""What a metric promises: its name, type, labels, unit and buckets, and the rules that these follow."""

import math
import re
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from maestro_monitoring._errors import InvalidMetric
from maestro_monitoring._labels import DEFAULT_MAX_LABEL_SETS, Label

MetricType: TypeAlias = Literal["counter", "gauge", "histogram"]
Contract: TypeAlias = dict[str, Any]

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_MAX_NAME_CHARS = 120
_RESERVED_LABELS = {"le", "quantile", "job", "instance"}
_RESERVED_ENDINGS = ("_bucket", "_count", "_sum", "_created", "_info")
_BASE_UNITS = ("seconds", "bytes", "ratio")
_NOT_BASE = re.compile(
    r"(_|^)(ms|millis|milliseconds|microseconds|nanoseconds|minutes|hours|kilobytes|megabytes|percent)$"
)


@dataclass(frozen=True, slots=True)
class Buckets:
    """Upper bounds of a histogram under a name; the bucket of all the rest is added by itself."""

    name: str
    bounds: tuple[float, ...]

    def __post_init__(self) -> None:
        rising = all(low < high for low, high in zip(self.bounds, self.bounds[1:], strict=False))
        if not self.bounds or not rising or not all(math.isfinite(bound) for bound in self.bounds):
            raise InvalidMetric(f"buckets {self.name!r}: bounds are finite numbers that rise, got {self.bounds}")


LATENCY_S = Buckets("latency", (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0))
WORK_S = Buckets("work", (0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0))
SIZE_BYTES = Buckets("size", tuple(float(4**power) for power in range(3, 14)))


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One declaration; raises InvalidMetric when it breaks a rule."""

    name: str
    type: MetricType
    help: str
    labels: tuple[Label, ...] = ()
    unit: str | None = None
    buckets: Buckets | None = None
    max_label_sets: int = DEFAULT_MAX_LABEL_SETS

    def __post_init__(self) -> None:
        stem = self.name.removesuffix("_total")
        if len(self.name) > _MAX_NAME_CHARS or not _NAME.fullmatch(self.name):
            self._refuse(f"a name is lower_snake_case of at most {_MAX_NAME_CHARS} characters")
        if (self.type == "counter") != self.name.endswith("_total"):
            self._refuse("the name of a counter ends in _total, and no other does")
        if stem.endswith(_RESERVED_ENDINGS):
            self._refuse(f"the endings {', '.join(_RESERVED_ENDINGS)} belong to the exposition format")
        if _NOT_BASE.search(stem):
            self._refuse(f"the name ends in no base unit: use {', '.join(_BASE_UNITS)}")
        if self.unit is not None and not stem.endswith(f"_{self.unit}"):
            self._refuse(f"the name says its unit: it ends in _{self.unit}")
        if self.type == "histogram" and self.unit is None:
            self._refuse(f"a histogram says its unit: its name ends in _{', _'.join(_BASE_UNITS)}, or pass unit=…")
        if not self.help.strip() or "\n" in self.help:
            self._refuse("the help is one line that says what is measured")
        if self.max_label_sets < 1:
            self._refuse(f"max_label_sets is at least 1, got {self.max_label_sets}")
        self._check_labels()

    def _check_labels(self) -> None:
        names = self.label_names
        for name in names:
            if not _NAME.fullmatch(name) or name in _RESERVED_LABELS:
                reserved = ", ".join(sorted(_RESERVED_LABELS))
                self._refuse(f"the label {name!r} is not lower_snake_case, or is one of {reserved}")
        if len(set(names)) < len(names):
            self._refuse(f"a label is named twice: {', '.join(names)}")

    def _refuse(self, reason: str) -> None:
        raise InvalidMetric(f"{self.name!r}: {reason}")

    @property
    def label_names(self) -> list[str]:
        """The labels, in the order in which values are given."""
        return [label.name for label in self.labels]

    def as_json(self) -> Contract:
        """What users of the exposition may rely on, as plain data."""
        entry: Contract = {"name": self.name, "type": self.type, "labels": self.label_names}
        if self.unit is not None:
            entry["unit"] = self.unit
        if self.buckets is not None:
            entry["buckets"] = list(self.buckets.bounds)
        return entry


def unit_of(name: str) -> str | None:
    """The base unit that a name ends in, if any."""
    last = name.removesuffix("_total").rpartition("_")[2]
    return last if last in _BASE_UNITS else None


def series_of(contract: Contract) -> dict[str, frozenset[str]]:
    """Every series name that a contract exposes, with its labels: those that a query may name."""
    names: dict[str, frozenset[str]] = {}
    for metric in contract["metrics"]:
        labels = frozenset(metric["labels"])
        if metric["type"] == "histogram":
            names[f"{metric['name']}_bucket"] = labels | {"le"}
            names[f"{metric['name']}_count"] = names[f"{metric['name']}_sum"] = labels
        else:
            names[metric["name"]] = labels
    return names

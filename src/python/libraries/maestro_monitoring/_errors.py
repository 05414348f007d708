"""What this package raises.

MonitoringError                       monitoring
├── InvalidMetric       (ValueError)  monitoring.invalid-metric       a declaration that breaks the rules
├── MetricConflict      (ValueError)  monitoring.metric-conflict      one name declared in two ways
├── WrongLabels         (ValueError)  monitoring.wrong-labels         values that do not fit the declared labels
├── InvalidObservation  (ValueError)  monitoring.invalid-observation  NaN, infinity, or a counter that would fall
├── InvalidCheck        (ValueError)  monitoring.invalid-check        a health check with bad parameters
├── LoopStuck                         monitoring.loop-stuck           retryable: the event loop stood still
├── InvalidSLO          (ValueError)  monitoring.invalid-slo          holds every problem with its path
└── InvalidTracing      (ValueError)  monitoring.invalid-tracing      tracing set up with bad parameters
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


class MonitoringError(Exception):
    """Root of all errors of this package."""

    code: ClassVar[str] = "monitoring"
    retryable: ClassVar[bool] = False


class InvalidMetric(MonitoringError, ValueError):
    """A declaration that breaks the rules of names, labels, units or buckets."""

    code = "monitoring.invalid-metric"


class MetricConflict(MonitoringError, ValueError):
    """A name that is declared already, in another way."""

    code = "monitoring.metric-conflict"


class WrongLabels(MonitoringError, ValueError):
    """Label values that do not fit the labels of the metric."""

    code = "monitoring.wrong-labels"


class InvalidObservation(MonitoringError, ValueError):
    """A number that would spoil the series for good."""

    code = "monitoring.invalid-observation"


class InvalidCheck(MonitoringError, ValueError):
    """A health check, or a set of them, with bad parameters."""

    code = "monitoring.invalid-check"


class LoopStuck(MonitoringError):
    """The event loop stands still, or did so a moment ago."""

    code = "monitoring.loop-stuck"
    retryable = True


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, and where: `path` is that of the value, as in `/indicator/ratio/total`."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path or '/'}: {self.reason}"


class InvalidSLO(MonitoringError, ValueError):
    """An SLO that cannot be kept as it is written; `problems` holds all of them."""

    code = "monitoring.invalid-slo"

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = tuple(problems)


class InvalidTracing(MonitoringError, ValueError):
    """Tracing set up with bad parameters."""

    code = "monitoring.invalid-tracing"

"""Metrics with a guard on cardinality, traces, health checks, SLO rules and a dashboard, for services and libraries."""

from maestro_monitoring._asgi import UNMATCHED, route_template
from maestro_monitoring._contract import LATENCY_S, SIZE_BYTES, WORK_S, Buckets, Contract, series_of
from maestro_monitoring._dashboard import dashboard, dashboard_text
from maestro_monitoring._errors import (
    InvalidCheck,
    InvalidMetric,
    InvalidObservation,
    InvalidSLO,
    InvalidTracing,
    LoopStuck,
    MetricConflict,
    MonitoringError,
    Problem,
    WrongLabels,
)
from maestro_monitoring._exposition import OPENMETRICS, TEXT, MetricsApp, render
from maestro_monitoring._health import CheckResult, HealthCheck, HealthChecks, HealthClock, HealthReport, Status
from maestro_monitoring._labels import DEFAULT_MAX_LABEL_SETS, MAX_LABEL_VALUE_CHARS, OTHER, Label
from maestro_monitoring._loop_watch import LoopWatch
from maestro_monitoring._messages import MessageMetrics, MessageTracing
from maestro_monitoring._metrics import Counter, Gauge, Histogram, Metrics
from maestro_monitoring._reasons import clean_reason, reason_of
from maestro_monitoring._request_metrics import RequestMetrics
from maestro_monitoring._rules import rules, rules_text
from maestro_monitoring._service import service_contract
from maestro_monitoring._slo import SLO, Latency, Ratio, slos_from_data
from maestro_monitoring._timed_span import TimedSpan
from maestro_monitoring._trace_requests import TraceRequests
from maestro_monitoring._tracing import inject_headers, span, trace_headers

__all__ = [
    "DEFAULT_MAX_LABEL_SETS",
    "LATENCY_S",
    "MAX_LABEL_VALUE_CHARS",
    "OPENMETRICS",
    "OTHER",
    "SIZE_BYTES",
    "SLO",
    "TEXT",
    "UNMATCHED",
    "WORK_S",
    "Buckets",
    "CheckResult",
    "Contract",
    "Counter",
    "Gauge",
    "HealthCheck",
    "HealthChecks",
    "HealthClock",
    "HealthReport",
    "Histogram",
    "InvalidCheck",
    "InvalidMetric",
    "InvalidObservation",
    "InvalidSLO",
    "InvalidTracing",
    "Label",
    "Latency",
    "LoopStuck",
    "LoopWatch",
    "MessageMetrics",
    "MessageTracing",
    "MetricConflict",
    "Metrics",
    "MetricsApp",
    "MonitoringError",
    "Problem",
    "Ratio",
    "RequestMetrics",
    "Status",
    "TimedSpan",
    "TraceRequests",
    "WrongLabels",
    "clean_reason",
    "dashboard",
    "dashboard_text",
    "inject_headers",
    "reason_of",
    "render",
    "route_template",
    "rules",
    "rules_text",
    "series_of",
    "service_contract",
    "slos_from_data",
    "span",
    "trace_headers",
]

"""A Grafana dashboard made from the metric contract, so that no panel can ask for what is not there."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from maestro_monitoring._contract import Contract
from maestro_monitoring._service import service_contract

# The last version of the classic schema; Grafana migrates it by itself from here on.
SCHEMA_VERSION = 42

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_HERE = 'job=~"$job",instance=~"$instance"'
_GRID = 24
_WIDTH = _HEIGHT = 8


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: a unit of Grafana, and queries with their legends; it takes part when the contract has `needs`."""

    title: str
    needs: str | None
    unit: str
    queries: tuple[tuple[str, str], ...]
    min: int | None = 0


def _rate(series: str, matchers: str = "") -> str:
    return f"rate({series}{{{_HERE}{matchers}}}[$__rate_interval])"


def _quantile(share: float, histogram: str, by: str) -> str:
    return f"histogram_quantile({share}, sum by (le, {by}) ({_rate(f'{histogram}_bucket')}))"


_HTTP = "http_server_request_duration_seconds"
_MESSAGES = "messaging_process_duration_seconds"
_WHERE = "messaging_destination_name, messaging_consumer_group_name"
_WHERE_LEGEND = "{{messaging_destination_name}} {{messaging_consumer_group_name}}"

ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Service level objectives (from the rules of `maestro-monitoring rules`)",
        (
            Panel(
                "Error budget left",
                None,
                "percentunit",
                (("slo:period_error_budget_remaining:ratio", "{{slo}}"),),
                min=None,  # an overdrawn budget is below zero
            ),
            Panel("Burn rate", None, "none", (("slo:current_burn_rate:ratio", "{{slo}}"),)),
            Panel("Errors over one hour", None, "percentunit", (("slo:sli_error:ratio_rate1h", "{{slo}}"),)),
        ),
    ),
    (
        "HTTP",
        (
            Panel(
                "Requests", _HTTP, "reqps", ((f"sum by (http_route) ({_rate(f'{_HTTP}_count')})", "{{http_route}}"),)
            ),
            Panel(
                "Errors",
                _HTTP,
                "reqps",
                (
                    (
                        "sum by (http_route, http_response_status_code) ("
                        + _rate(f"{_HTTP}_count", ',http_response_status_code=~"5.."')
                        + ")",
                        "{{http_response_status_code}} {{http_route}}",
                    ),
                ),
            ),
            Panel(
                "Duration",
                _HTTP,
                "s",
                (
                    (_quantile(0.5, _HTTP, "job"), "p50"),
                    (_quantile(0.95, _HTTP, "job"), "p95"),
                    (_quantile(0.99, _HTTP, "job"), "p99"),
                ),
            ),
            Panel("Duration by route, p95", _HTTP, "s", ((_quantile(0.95, _HTTP, "http_route"), "{{http_route}}"),)),
            Panel(
                "In flight",
                "http_server_active_requests",
                "short",
                ((f"sum by (instance) (http_server_active_requests{{{_HERE}}})", "{{instance}}"),),
            ),
            Panel(
                "Open streams",
                "maestro_http_open_streams",
                "short",
                ((f"sum by (kind, http_route) (maestro_http_open_streams{{{_HERE}}})", "{{kind}} {{http_route}}"),),
            ),
        ),
    ),
    (
        "Messages",
        (
            Panel(
                "Deliveries",
                _MESSAGES,
                "ops",
                ((f"sum by (outcome, {_WHERE}) ({_rate(f'{_MESSAGES}_count')})", "{{outcome}} " + _WHERE_LEGEND),),
            ),
            Panel("Handling, p95", _MESSAGES, "s", ((_quantile(0.95, _MESSAGES, _WHERE), _WHERE_LEGEND),)),
            Panel(
                "Lag as age, p95",
                "maestro_message_age_seconds",
                "s",
                ((_quantile(0.95, "maestro_message_age_seconds", _WHERE), _WHERE_LEGEND),),
            ),
            Panel(
                "Retries and dead letters",
                "maestro_message_dead_total",
                "ops",
                (
                    (f"sum by ({_WHERE}) ({_rate('maestro_message_retries_total')})", "retry " + _WHERE_LEGEND),
                    (f"sum by ({_WHERE}) ({_rate('maestro_message_dead_total')})", "dead " + _WHERE_LEGEND),
                ),
            ),
        ),
    ),
    (
        "Process",
        (
            Panel(
                "Health checks",
                "maestro_health_check_passing",
                "bool_yes_no",
                ((f"min by (check) (maestro_health_check_passing{{{_HERE}}})", "{{check}}"),),
            ),
            Panel(
                "Event loop lag, p99",
                "maestro_event_loop_lag_seconds",
                "s",
                ((_quantile(0.99, "maestro_event_loop_lag_seconds", "instance"), "{{instance}}"),),
            ),
            Panel(
                "CPU",
                "process_cpu_seconds_total",
                "percentunit",
                ((_rate("process_cpu_seconds_total"), "{{instance}}"),),
            ),
            Panel(
                "Memory",
                "process_resident_memory_bytes",
                "bytes",
                ((f"process_resident_memory_bytes{{{_HERE}}}", "{{instance}}"),),
            ),
            Panel(
                "Lost spans",
                "maestro_traces_dropped_spans_total",
                "ops",
                ((f"sum by (reason) ({_rate('maestro_traces_dropped_spans_total')})", "{{reason}}"),),
            ),
            Panel(
                "Observations without a label set of their own",
                "maestro_monitoring_dropped_label_sets_total",
                "ops",
                ((f"sum by (metric) ({_rate('maestro_monitoring_dropped_label_sets_total')})", "{{metric}}"),),
            ),
        ),
    ),
)
_UNITS = {"seconds": "s", "bytes": "bytes", "ratio": "percentunit"}


def dashboard(contract: Contract | None = None, *, title: str = "Maestro service") -> dict[str, Any]:
    """A Grafana dashboard for a contract, by default that of all this package measures.

    The panels of this package that the contract can feed, and one for each further metric of its own.
    """
    contract = service_contract() if contract is None else contract
    present = {metric["name"] for metric in contract["metrics"]}
    rows = [(name, tuple(p for p in panels if p.needs is None or p.needs in present)) for name, panels in ROWS]
    known = {metric["name"] for metric in service_contract()["metrics"]}
    rows.append(("Its own", tuple(_panel_of(m) for m in contract["metrics"] if m["name"] not in known)))
    return {
        "title": title,
        "tags": ["maestro"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "",
        "templating": {"list": _variables()},
        "annotations": {"list": []},
        "panels": list(_laid_out([(name, panels) for name, panels in rows if panels])),
    }


def dashboard_text(contract: Contract | None = None) -> str:
    """The dashboard as the text of a file that Grafana imports."""
    return json.dumps(dashboard(contract), indent=2, ensure_ascii=False) + "\n"


def _panel_of(metric: Contract) -> Panel:
    """A panel for any metric: the rate of a counter, the p95 of a histogram, the value of a gauge."""
    name, labels = metric["name"], metric["labels"]
    legend = " ".join(f"{{{{{label}}}}}" for label in labels) or name
    unit = _UNITS.get(metric.get("unit", ""), "short")
    if metric["type"] == "counter":
        expr, unit = f"sum by ({', '.join(labels)}) ({_rate(name)})", "ops" if unit == "short" else unit
    elif metric["type"] == "histogram":
        expr = _quantile(0.95, name, ", ".join(labels or ["job"]))
    else:
        expr = f"{name}{{{_HERE}}}"
    return Panel(name, name, unit, ((expr, legend),))


def _laid_out(rows: list[tuple[str, tuple[Panel, ...]]]) -> Iterator[dict[str, Any]]:
    """Panels on Grafana's grid of 24 columns, each row under its heading; ids count from one."""
    number, y = 1, 0
    for name, panels in rows:
        yield {
            "id": number,
            "type": "row",
            "title": name,
            "collapsed": False,
            "panels": [],
            "gridPos": _at(0, y, 24, 1),
        }
        number, y, x = number + 1, y + 1, 0
        for panel in panels:
            if x + _WIDTH > _GRID:
                x, y = 0, y + _HEIGHT
            yield _panel(panel, number, _at(x, y, _WIDTH, _HEIGHT))
            number, x = number + 1, x + _WIDTH
        y += _HEIGHT


def _at(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel, number: int, position: dict[str, int]) -> dict[str, Any]:
    defaults = {"unit": panel.unit} if panel.min is None else {"unit": panel.unit, "min": panel.min}
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "datasource": _SOURCE,
        "gridPos": position,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _SOURCE,
                "expr": expr,
                "legendFormat": legend,
                "exemplar": True,
            }
            for index, (expr, legend) in enumerate(panel.queries)
        ],
    }


def _variables() -> list[dict[str, Any]]:
    # The series that every registry of this package has as soon as anything with labels is declared in it.
    series = "maestro_monitoring_dropped_label_sets_total"
    return [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source"},
        _variable("job", f"label_values({series}, job)"),
        _variable("instance", f'label_values({series}{{job=~"$job"}}, instance)'),
    ]


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "label": name.capitalize(),
        "datasource": _SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }

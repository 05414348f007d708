"""The Grafana dashboard: generated, equal to the file in the wheel, and true to the contract."""

import json
from importlib.resources import files
from typing import Any

import pytest
from libraries.maestro_monitoring.promql import queried

from maestro_monitoring import Contract, Metrics, dashboard, dashboard_text, series_of, service_contract
from maestro_monitoring._rules import RECORDED


def _own() -> Contract:
    metrics = Metrics()
    metrics.counter("shop_orders_total", "Orders.", labels=("kind",))
    metrics.counter("shop_sold_bytes_total", "Sold.")
    metrics.gauge("shop_queue_depth", "Waiting.", labels=("shop",))
    metrics.histogram("shop_packing_seconds", "Packing.")
    return metrics.contract()


def _exprs(content: dict[str, Any]) -> list[str]:
    queries = [target["expr"] for panel in content["panels"] for target in panel.get("targets", [])]
    return [query.replace("$__rate_interval", "5m") for query in queries]


def test_the_file_in_the_wheel_is_what_is_generated() -> None:
    """`maestro-monitoring dashboard` renews it."""
    file = files("maestro_monitoring") / "dashboards" / "maestro-service.json"
    assert file.read_text(encoding="utf-8") == dashboard_text()


@pytest.mark.parametrize("contract", [service_contract(), _own(), Metrics().contract()])
def test_every_query_names_only_what_the_contract_has(contract: Contract) -> None:
    """Metrics and labels, as a PromQL parser that is not ours reads them; beside these, the recorded series of SLOs."""
    known = {name: labels | {"job", "instance"} for name, labels in series_of(contract).items()} | RECORDED
    exprs = _exprs(dashboard(contract))
    assert exprs
    for expr in exprs:
        for name, labels in queried(expr):
            assert name in known, expr
            assert labels <= known[name], expr


def test_every_metric_of_the_service_that_a_person_looks_at_is_on_it() -> None:
    """What is left out is left out on purpose."""
    shown = {name for expr in _exprs(dashboard()) for name, _ in queried(expr)}
    unshown = {
        metric["name"]
        for metric in service_contract()["metrics"]
        if not any(name.startswith(metric["name"]) for name in shown)
    }
    assert unshown == {
        "http_server_request_body_size_bytes",
        "http_server_response_body_size_bytes",
        "maestro_event_loop_stalls_total",
        "maestro_http_disconnects_total",
        "maestro_http_exceptions_total",
        "process_max_fds",
        "process_open_fds",
        "process_start_time_seconds",
        "process_virtual_memory_bytes",
        "python_gc_collections_total",
        "python_gc_objects_collected_total",
        "python_gc_objects_uncollectable_total",
    }


def test_metrics_of_ones_own_get_panels_of_their_own() -> None:
    """One for each, with a unit; panels that the contract cannot feed are left out."""
    panels = {panel["title"]: panel for panel in dashboard(_own())["panels"]}
    assert panels["shop_packing_seconds"]["fieldConfig"]["defaults"]["unit"] == "s"
    assert panels["shop_sold_bytes_total"]["fieldConfig"]["defaults"]["unit"] == "bytes"
    assert panels["shop_orders_total"]["targets"][0]["legendFormat"] == "{{kind}}"
    assert "Requests" not in panels


def test_the_dashboard_is_one_that_any_grafana_can_import() -> None:
    """The current schema, a variable for the data source, no uid and no id of anyone's Grafana, panels on the grid."""
    content = json.loads(dashboard_text())
    assert content["schemaVersion"] == 42
    assert "uid" not in content
    assert "id" not in content
    assert [variable["name"] for variable in content["templating"]["list"]] == ["datasource", "job", "instance"]
    numbers = [panel["id"] for panel in content["panels"]]
    assert numbers == list(range(1, len(numbers) + 1))
    taken: set[tuple[int, int]] = set()
    for panel in content["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken
        taken |= cells
        if panel["type"] != "row":
            assert panel["fieldConfig"]["defaults"]["unit"]
            sources = {panel["datasource"]["uid"], *(target["datasource"]["uid"] for target in panel["targets"])}
            assert sources == {"${datasource}"}

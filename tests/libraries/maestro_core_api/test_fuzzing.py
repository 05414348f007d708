"""Schemathesis with every check and every phase finds nothing on the example service."""

from pathlib import Path
from typing import Any

from libraries.maestro_core_api.example_service import create_order_book
from libraries.maestro_core_api.example_target import served

from kit.fuzzing import PHASES, chosen_profile, fuzz
from maestro_core_api import ApiSettings

OWN = {
    "GET /orders",
    "POST /orders",
    "GET /orders/{order_id}",
    "PUT /orders/{order_id}",
    "DELETE /orders/{order_id}",
    "GET /orders-count",
}


def test_the_example_service_keeps_its_contract(tmp_path: Path) -> None:
    """All phases ran, every operation was reached with requests that it took, and there is no finding."""
    with served(create_order_book(ApiSettings(port=0)), tmp_path) as service:
        report = fuzz(service, tmp_path, chosen_profile())
    assert report["failures"] == report["errors"] == []
    # There are no written examples in the document, so that phase has nothing to do.
    assert all(report["phases"][phase]["status"] == "success" for phase in PHASES if phase != "examples")
    assert report["operations"]["tested"] == report["operations"]["total"]
    assert report["operations"]["skipped"] == 0
    assert {name for name in OWN if _accepted(report, name)} == OWN


def _accepted(report: dict[str, Any], operation: str) -> int:
    return sum(phase["accepted"] for phase in report["valid_rates"][operation].values())

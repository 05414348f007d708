"""The same run of Schemathesis that finds nothing on the example service finds what is planted in it."""

import json
from pathlib import Path

import pytest
from libraries.maestro_core_api.example_service import create_order_book
from libraries.maestro_core_api.example_target import served
from libraries.maestro_core_api.planted_faults import (
    Fault,
    Planted,
    advertises_too_much,
    breaks,
    ignores_auth,
    lies_about_its_shape,
    shows_others,
)
from starlette.middleware import Middleware

from kit.fuzzing import SHORT, fuzz
from maestro_core_api import ApiSettings

FINDINGS: dict[Fault, tuple[str, str]] = {
    breaks: ("ServerError", "GET /orders"),
    ignores_auth: ("IgnoredAuth", "GET /orders-count"),
    shows_others: ("ObjectLevelAuthorizationViolation", "GET /orders/{order_id}"),
    lies_about_its_shape: ("JsonSchemaError", "POST /orders"),
    advertises_too_much: ("AllowHeaderMismatch", "OPTIONS /orders"),
}


def test_what_is_planted_is_found(tmp_path: Path) -> None:
    """Five faults at once, each by its name and its place."""
    app = create_order_book(ApiSettings(port=0))
    app.user_middleware[:0] = [Middleware(Planted, fault=fault) for fault in FINDINGS]
    with served(app, tmp_path) as service, pytest.raises(AssertionError, match="what Schemathesis found"):
        fuzz(service, tmp_path, SHORT)
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    found = {(each["type"], operation) for each in report["failures"] for operation in each["operations"]}
    assert set(FINDINGS.values()) <= found

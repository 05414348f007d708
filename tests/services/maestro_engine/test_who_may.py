"""Who may call what: the whole of it as one table, held against the real application with sign-in on."""

import re
from pathlib import Path

import pytest
from services.maestro_engine.running import first_key

from maestro_core_auth import ApiKeys, SqliteAuthStore, Users
from maestro_core_auth.testing import who_may
from maestro_engine.app import create_app
from maestro_engine.parts import open_parts
from maestro_engine.settings import EngineSettings

TABLE = """
                                                            | anonymous | viewer | approver | operator | admin
POST /api/workflows                                         | deny      | deny   | deny     | allow    | allow
POST /api/workflows/{workflow_id}/cancel                    | deny      | deny   | deny     | allow    | allow
GET /api/workflows                                          | deny      | allow  | allow    | allow    | allow
GET /api/workflows/{workflow_id}                            | deny      | allow  | allow    | allow    | allow
GET /api/workflows/{workflow_id}/events                     | deny      | allow  | allow    | allow    | allow
GET /api/workflows/{workflow_id}/artifacts/{sha256}         | deny      | allow  | allow    | allow    | allow
GET /api/workflows/{workflow_id}/why                        | deny      | allow  | allow    | allow    | allow
GET /api/workflows/{workflow_id}/definition                 | deny      | allow  | allow    | allow    | allow
GET /api/workflows/{workflow_id}/states/{seq}               | deny      | allow  | allow    | allow    | allow
POST /api/workflows/{workflow_id}/export                    | deny      | allow  | allow    | allow    | allow
GET /api/waiting                                            | deny      | allow  | allow    | allow    | allow
GET /api/limits                                             | deny      | allow  | allow    | allow    | allow
GET /utcp                                                   | deny      | allow  | allow    | allow    | allow
POST /mcp                                                   | deny      | allow  | allow    | allow    | allow
POST /api/workflows/{workflow_id}/pause                     | deny      | deny   | deny     | allow    | allow
POST /api/workflows/{workflow_id}/resume                    | deny      | deny   | deny     | allow    | allow
POST /api/workflows/{workflow_id}/signals                   | deny      | deny   | deny     | allow    | allow
POST /api/workflows/{workflow_id}/migrate                   | deny      | deny   | deny     | allow    | allow
POST /api/workflows/{workflow_id}/rerun                     | deny      | deny   | deny     | allow    | allow
POST /api/workflows/{workflow_id}/steps/{step}/retry        | deny      | deny   | deny     | allow    | allow
POST /api/workflows/{workflow_id}/steps/{step}/skip         | deny      | deny   | deny     | allow    | allow
PUT /api/workflows/{workflow_id}/budget                     | deny      | deny   | deny     | allow    | allow
PUT /api/workflows/{workflow_id}/priority                   | deny      | deny   | deny     | allow    | allow
POST /api/workflows/{workflow_id}/steps/{step}/answer       | deny      | deny   | allow    | allow    | allow
POST /api/workflows/{workflow_id}/steps/{step}/approval     | deny      | deny   | allow    | allow    | allow
POST /api/events                                            | deny      | deny   | deny     | allow    | allow
DELETE /api/workflows/{workflow_id}                         | deny      | deny   | deny     | deny     | allow
PUT /api/limits/{name}                                      | deny      | deny   | deny     | deny     | allow
DELETE /api/limits/{name}                                   | deny      | deny   | deny     | deny     | allow
GET /api/webhooks                                           | deny      | deny   | deny     | deny     | allow
POST /api/webhooks                                          | deny      | deny   | deny     | deny     | allow
GET /api/webhooks/{webhook_id}                              | deny      | deny   | deny     | deny     | allow
PUT /api/webhooks/{webhook_id}                              | deny      | deny   | deny     | deny     | allow
DELETE /api/webhooks/{webhook_id}                           | deny      | deny   | deny     | deny     | allow
POST /api/webhooks/{webhook_id}/secret                      | deny      | deny   | deny     | deny     | allow
GET /api/webhooks/{webhook_id}/failed                       | deny      | deny   | deny     | deny     | allow
POST /api/webhooks/{webhook_id}/failed/{delivery_id}/again  | deny      | deny   | deny     | deny     | allow
GET /api/templates                                          | deny      | allow  | allow    | allow    | allow
GET /api/templates/{name}                                   | deny      | allow  | allow    | allow    | allow
GET /api/templates/{name}/versions/{version}                | deny      | allow  | allow    | allow    | allow
POST /api/templates                                         | deny      | deny   | deny     | allow    | allow
POST /api/templates/validate                                | deny      | allow  | allow    | allow    | allow
PUT /api/templates/{name}/versions/{version}/deprecation    | deny      | deny   | deny     | allow    | allow
DELETE /api/templates/{name}/versions/{version}/deprecation | deny      | deny   | deny     | allow    | allow
DELETE /api/templates/{name}                                | deny      | deny   | deny     | allow    | allow
GET /api/schedules                                          | deny      | allow  | allow    | allow    | allow
GET /api/schedules/{name}                                   | deny      | allow  | allow    | allow    | allow
GET /api/schedules/{name}/upcoming                          | deny      | allow  | allow    | allow    | allow
GET /api/schedules/{name}/runs                              | deny      | allow  | allow    | allow    | allow
GET /api/schedules/{name}/backfills                         | deny      | allow  | allow    | allow    | allow
POST /api/schedules                                         | deny      | deny   | deny     | allow    | allow
PUT /api/schedules/{name}                                   | deny      | deny   | deny     | allow    | allow
DELETE /api/schedules/{name}                                | deny      | deny   | deny     | allow    | allow
POST /api/schedules/{name}/pause                            | deny      | deny   | deny     | allow    | allow
POST /api/schedules/{name}/resume                           | deny      | deny   | deny     | allow    | allow
POST /api/schedules/{name}/run                              | deny      | deny   | deny     | allow    | allow
POST /api/schedules/{name}/backfill                         | deny      | deny   | deny     | allow    | allow
DELETE /api/schedules/{name}/backfills/{backfill}           | deny      | deny   | deny     | allow    | allow
WS /ws                                                      | deny      | allow  | allow    | allow    | allow
GET /metrics                                                | deny      | allow  | allow    | allow    | allow
GET /api/access/me                                          | deny      | allow  | allow    | allow    | allow
GET /api/access/keys                                        | deny      | allow  | allow    | allow    | allow
POST /api/access/keys                                       | deny      | allow  | allow    | allow    | allow
DELETE /api/access/keys/{key_id}                            | deny      | allow  | allow    | allow    | allow
GET /api/access/users                                       | deny      | deny   | deny     | deny     | allow
POST /api/access/users                                      | deny      | deny   | deny     | deny     | allow
PUT /api/access/users/{subject}                             | deny      | deny   | deny     | deny     | allow
POST /api/access/users/{subject}/keys                       | deny      | deny   | deny     | deny     | allow
GET /api/workflows/{workflow_id}/artifacts                  | deny      | allow  | allow    | allow    | allow
GET /api/secrets                                            | deny      | deny   | deny     | allow    | allow
GET /api/secrets/{name}                                     | deny      | deny   | deny     | allow    | allow
PUT /api/secrets/{name}                                     | deny      | deny   | deny     | deny     | allow
DELETE /api/secrets/{name}                                  | deny      | deny   | deny     | deny     | allow
POST /api/secrets/keys/rotate                               | deny      | deny   | deny     | deny     | allow
GET /api/audit                                              | deny      | deny   | deny     | deny     | allow
GET /api/audit/checkpoint                                   | deny      | deny   | deny     | deny     | allow
GET /api/audit/{seq}/proof                                  | deny      | deny   | deny     | deny     | allow
GET /api/health/live                                        | allow     | allow  | allow    | allow    | allow
GET /api/health/ready                                       | allow     | allow  | allow    | allow    | allow
GET /api/problems                                           | allow     | allow  | allow    | allow    | allow
GET /api/docs                                               | allow     | allow  | allow    | allow    | allow
GET /api/openapi.json                                       | allow     | allow  | allow    | allow    | allow
"""


async def held(folder: Path, table: str) -> None:
    """Hold a table against the application."""
    settings = EngineSettings(data_dir=folder, auth="on", allowed_hosts=("testserver",), drain_s=0)
    credentials = {"admin": await first_key(settings)}
    async with SqliteAuthStore(settings.users_file) as store:
        for role in ("viewer", "approver", "operator"):
            await Users(store).add(role, {role})
            credentials[role] = (await ApiKeys(store).issue(role)).secret
    async with open_parts(settings, {}) as parts:
        await who_may(
            create_app(settings, parts),
            table,
            credentials,
            values={"sha256": "0" * 64, "webhook_id": f"wh_{'0' * 24}", "seq": "1"},
        )


async def test_everybody_may_what_the_table_says_and_nothing_else(tmp_path: Path) -> None:
    """Every route is asked by everybody; what nobody may is refused with 401 or 403, a socket with 4401."""
    await held(tmp_path, TABLE)


async def test_a_route_in_no_row_is_found(tmp_path: Path) -> None:
    """Whoever adds a route has to say who may call it; a row that is too lax is found as well."""
    lines = [line for line in TABLE.splitlines() if not line.startswith("GET /metrics")]
    lax = re.sub(r"(?m)^(GET /api/audit +\| )deny", r"\1allow", "\n".join(lines))
    with pytest.raises(AssertionError) as found:
        await held(tmp_path, lax)
    assert "GET /metrics: is in no row" in str(found.value)
    assert "GET /api/audit " in str(found.value)
    assert "| DENY" in str(found.value)

"""Who may call what: the whole of it as one table, held against the real application with sign-in on."""

from pathlib import Path

import pytest
from services.maestro_engine.running import first_key

from maestro_core_auth import ApiKeys, SqliteAuthStore, Users
from maestro_core_auth.testing import who_may
from maestro_engine.app import create_app, open_parts
from maestro_engine.settings import EngineSettings

TABLE = """
                                                  | anonymous | viewer | operator | admin
POST /api/workflows                               | deny      | deny   | allow    | allow
POST /api/workflows/{workflow_id}/cancel          | deny      | deny   | allow    | allow
GET /api/workflows                                | deny      | allow  | allow    | allow
GET /api/workflows/{workflow_id}                  | deny      | allow  | allow    | allow
GET /api/workflows/{workflow_id}/events           | deny      | allow  | allow    | allow
GET /api/workflows/{workflow_id}/artifacts/{sha256} | deny    | allow  | allow    | allow
WS /ws                                            | deny      | allow  | allow    | allow
GET /metrics                                      | deny      | allow  | allow    | allow
GET /api/access/me                                | deny      | allow  | allow    | allow
GET /api/access/keys                              | deny      | allow  | allow    | allow
POST /api/access/keys                             | deny      | allow  | allow    | allow
DELETE /api/access/keys/{key_id}                  | deny      | allow  | allow    | allow
GET /api/access/users                             | deny      | deny   | deny     | allow
POST /api/access/users                            | deny      | deny   | deny     | allow
PUT /api/access/users/{subject}                   | deny      | deny   | deny     | allow
POST /api/access/users/{subject}/keys             | deny      | deny   | deny     | allow
GET /api/audit                                    | deny      | deny   | deny     | allow
GET /api/audit/checkpoint                         | deny      | deny   | deny     | allow
GET /api/audit/{seq}/proof                        | deny      | deny   | deny     | allow
GET /api/health/live                              | allow     | allow  | allow    | allow
GET /api/health/ready                             | allow     | allow  | allow    | allow
GET /api/problems                                 | allow     | allow  | allow    | allow
GET /api/docs                                     | allow     | allow  | allow    | allow
GET /api/openapi.json                             | allow     | allow  | allow    | allow
"""


async def held(folder: Path, table: str) -> None:
    """Hold a table against the application."""
    settings = EngineSettings(data_dir=folder, auth="on", allowed_hosts=("testserver",), drain_s=0)
    credentials = {"admin": await first_key(settings)}
    async with SqliteAuthStore(settings.users_file) as store:
        for role in ("viewer", "operator"):
            await Users(store).add(role, {role})
            credentials[role] = (await ApiKeys(store).issue(role)).secret
    async with open_parts(settings, {}) as parts:
        await who_may(create_app(settings, parts), table, credentials, values={"sha256": "0" * 64})


async def test_everybody_may_what_the_table_says_and_nothing_else(tmp_path: Path) -> None:
    """Every route is asked by everybody; what nobody may is refused with 401 or 403, a socket with 4401."""
    await held(tmp_path, TABLE)


async def test_a_route_in_no_row_is_found(tmp_path: Path) -> None:
    """Whoever adds a route has to say who may call it; a row that is too lax is found as well."""
    lines = [line for line in TABLE.splitlines() if not line.startswith("GET /metrics")]
    lax = "\n".join(lines).replace("GET /api/audit                                    | deny", "GET /api/audit | allow")
    with pytest.raises(AssertionError) as found:
        await held(tmp_path, lax)
    assert "GET /metrics: is in no row" in str(found.value)
    assert "GET /api/audit " in str(found.value)
    assert "| DENY" in str(found.value)

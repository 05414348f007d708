"""`/utcp`: a UTCP client finds the templates and calls the engine's own HTTP interface."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from services.maestro_engine.mcp_calls import ended, workflows, write_templates
from services.maestro_engine.running import Engine, StartEngine, bearer
from utcp.data.utcp_client_config import UtcpClientConfig  # type: ignore[import-untyped]  # utcp has no types
from utcp.exceptions import UtcpVariableNotFound  # type: ignore[import-untyped]  # likewise
from utcp.utcp_client import UtcpClient  # type: ignore[import-untyped]  # likewise
from utcp_http import HttpCallTemplate  # type: ignore[import-untyped]  # likewise

from maestro_engine.http.utcp import Made


@pytest.fixture(autouse=True)
def templates(tmp_path: Path) -> None:
    write_templates(tmp_path / "data")


async def registered(engine: Engine, headers: dict[str, str] | None = None, **variables: str) -> UtcpClient:
    """A client that has read the manual under the name `maestro`."""
    client = await UtcpClient.create(config=UtcpClientConfig(variables=variables))
    template = HttpCallTemplate(
        name="maestro",
        url=f"{engine.url}/utcp",
        http_method="GET",
        headers=headers,
        allowed_communication_protocols=["http", "sse"],
    )
    answer = await client.register_manual(template)
    assert answer.success, answer.errors
    return client


async def test_a_client_starts_a_template_reads_it_and_follows_it_to_the_end(engine: Engine) -> None:
    """Everything goes to the HTTP interface that is there anyway."""
    client = await registered(engine)
    order = {"template": "greet", "inputs": {"name": "Ann"}}
    started = await client.call_tool("maestro.start_greet", {"body": order})
    await ended(engine, started["id"])
    read = await client.call_tool("maestro.read_workflow", {"workflow_id": started["id"]})
    assert read["outputs"] == {"greeting": "Hello, Ann!"}
    heard: list[Any] = []
    async with asyncio.timeout(20):
        async for event in client.call_tool_streaming(
            "maestro.read_events_until_the_end", {"workflow_id": started["id"]}
        ):
            heard.append(event)
    assert [event["type"] for event in heard][-1] == "workflow.succeeded"
    listed = await client.call_tool("maestro.list_workflows", {"template": "greet", "limit": 1})
    assert [each["id"] for each in listed["items"]] == [started["id"]]


async def test_a_client_cancels(engine: Engine) -> None:
    """With a reason in the body."""
    client = await registered(engine)
    started = await client.call_tool("maestro.start_slow", {"body": {"template": "slow", "inputs": {}}})
    await client.call_tool("maestro.cancel_workflow", {"workflow_id": started["id"], "body": {"reason": "enough"}})
    await ended(engine, started["id"])
    (state,) = await workflows(engine)
    assert state["status"] == "cancelled"


async def test_the_manual_describes_each_template_with_its_inputs(engine: Engine) -> None:
    """In the order of names; nothing in a schema refers to what is not there."""
    manual = (await engine.http.get("/utcp")).json()
    assert manual["utcp_version"] == "1.0.1"
    names = [tool["name"] for tool in manual["tools"]]
    assert names[:3] == ["start_broken", "start_greet", "start_slow"]
    assert {"start_workflow", "read_workflow", "cancel_workflow", "read_events", "list_workflows"} <= set(names)
    assert len(set(names)) == len(names)
    order = manual["tools"][1]["inputs"]["properties"]["body"]
    assert order["properties"]["template"]["const"] == "greet"
    assert order["properties"]["inputs"]["required"] == ["name"]
    assert "$ref" not in str(manual)
    assert all(tool["tool_call_template"]["url"].startswith(engine.url) for tool in manual["tools"])
    assert all("auth" not in tool["tool_call_template"] for tool in manual["tools"])


async def test_where_callers_sign_in_the_client_brings_its_key(start_engine: StartEngine) -> None:
    """The manual names a variable and never holds a key; who may not start is offered nothing that changes anything."""
    async with start_engine(auth="on") as engine:
        key = await engine.add_user("olaf", "operator")
        client = await registered(engine, bearer(key), maestro_MAESTRO_API_KEY=key)
        order = {"template": "greet", "inputs": {"name": "Ann"}}
        started = await client.call_tool("maestro.start_greet", {"body": order})
        await ended(engine, started["id"])
        manual = await engine.http.get("/utcp", headers=bearer(key))
        assert key not in manual.text
        keyless = await registered(engine, bearer(key))
        with pytest.raises(UtcpVariableNotFound, match="MAESTRO_API_KEY"):
            await keyless.call_tool("maestro.start_greet", {"body": order})
        viewer = bearer(await engine.add_user("vera", "viewer"))
        seen = (await engine.http.get("/utcp", headers=viewer)).json()["tools"]
        assert {tool["tool_call_template"].get("http_method", "GET") for tool in seen} == {"GET"}
        engine.http.headers.pop("Authorization")
        assert (await engine.http.get("/utcp")).status_code == 401


async def test_the_address_is_the_one_that_others_reach(start_engine: StartEngine) -> None:
    """Behind a proxy the settings say it."""
    async with start_engine(public_url="https://maestro.example/") as engine:
        tools = (await engine.http.get("/utcp")).json()["tools"]
        assert tools[0]["tool_call_template"]["url"] == "https://maestro.example/api/workflows"


def test_a_schema_that_refers_to_itself_ends() -> None:
    """What is too deep becomes anything."""
    tree = {"type": "object", "properties": {"child": {"$ref": "#/components/schemas/Tree"}}}
    operation = {
        "operationId": "plant",
        "tags": ["workflows"],
        "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Tree"}}}},
        "responses": {"200": {}},
    }
    contract = {"paths": {"/trees": {"post": operation}}, "components": {"schemas": {"Tree": tree}}}
    (tool,) = Made("http://here", contract, signs_in=False).operations(changing=True)
    assert "$ref" not in str(tool)
    assert tool["tool_call_template"]["body_field"] == "body"

"""The only place where the parts are made and joined: `create_app` and `main`."""

import argparse
import asyncio
import json
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from importlib import metadata
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.responses import Response

from maestro_core_config import InvalidSettings, load_settings
from maestro_core_logging import setup_logging
from maestro_engine.feed.hub import FeedError, Hub
from maestro_engine.feed.socket import SocketLimits, feed_routes
from maestro_engine.feed.sse import EventStream
from maestro_engine.http.api import CONTRACT_VERSION, EngineApi
from maestro_engine.http.docs import add_docs
from maestro_engine.http.edge import LOOPBACK_NAMES, BodyLimit, Cors, Deadline, Gate, Named, Trust
from maestro_engine.http.health import health_routes
from maestro_engine.http.problems import answer_with_problems
from maestro_engine.http.workflows import workflow_routes
from maestro_engine.serving import CannotServe, address_of, bound_socket, serve
from maestro_engine.settings import EngineSettings
from maestro_engine.workflows.errors import ServiceError
from maestro_engine.workflows.service import WorkflowService
from maestro_engine.workflows.templates import TemplateFolder
from maestro_tools import tool_step_kinds
from maestro_workflow_engine import (
    EmbeddedBackend,
    EngineError,
    ExecutionBackend,
    StepKind,
    WorkflowError,
    builtin_step_kinds,
    plugin_step_kinds,
)
from maestro_yaml_config_parser import YamlError


def step_kinds() -> dict[str, StepKind]:
    """Every kind by name; a plugin may take the place of one of ours."""
    return {**builtin_step_kinds(), **tool_step_kinds(), **plugin_step_kinds()}


def embedded_backend(settings: EngineSettings, kinds: Mapping[str, StepKind]) -> EmbeddedBackend:
    """The backend on SQLite in the data folder; not open yet."""
    return EmbeddedBackend(
        settings.data_dir,
        kinds=kinds,
        max_parallel=settings.max_parallel_steps,
        synchronous=settings.synchronous,
    )


def create_app(
    settings: EngineSettings,
    *,
    backend: ExecutionBackend | None = None,
    kinds: Mapping[str, StepKind] | None = None,
    hub: Hub | None = None,
) -> FastAPI:
    """The application. A `backend` that is given is open and stays its giver's; without one the app opens its own.

    `kinds` are those that definitions are checked against before they start; None means all that are installed.
    """
    kinds = step_kinds() if kinds is None else kinds
    own = embedded_backend(settings, kinds) if backend is None else None
    used = own or backend
    assert used is not None, "one of the two is there"
    readers = hub or Hub(max_readers=settings.max_readers)
    templates = TemplateFolder(settings.templates)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with own or nullcontext():
            yield
            readers.stop()

    def open_stream(workflow_id: str, from_seq: int) -> Response:
        return EventStream(
            lambda: used.watch(workflow_id, from_seq=from_seq, buffer=settings.reader_buffer_events),
            readers,
            heartbeat_s=settings.heartbeat_s,
            send_timeout_s=settings.reader_timeout_s,
        )

    rooms = (
        workflow_routes(WorkflowService(used, templates, kinds), used, open_stream),
        health_routes(used, templates, readers.stopping, engine_version()),
        feed_routes(used, readers, _socket_limits(settings)),
    )
    app = EngineApi(
        title="Maestro engine",
        version=CONTRACT_VERSION,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        middleware=_edge(settings),
        routes=[route for room in rooms for route in room.routes],
    )
    add_docs(app)
    answer_with_problems(app, WorkflowError, ServiceError, FeedError, YamlError)
    return app


def _edge(settings: EngineSettings) -> list[Middleware]:
    hosts = LOOPBACK_NAMES | {name.lower() for name in settings.allowed_hosts}
    if not settings.is_loopback:
        hosts |= {settings.host.lower()}
    trust = Trust(hosts=hosts, origins=frozenset(settings.allowed_origins))
    return [
        Middleware(Named),
        Middleware(Gate, trust=trust, max_header_bytes=settings.max_header_bytes),
        Middleware(Cors, trust=trust),
        Middleware(BodyLimit, max_body_bytes=settings.max_body_bytes),
        Middleware(Deadline, timeout_s=settings.request_timeout_s),
    ]


def _socket_limits(settings: EngineSettings) -> SocketLimits:
    return SocketLimits(
        max_message_bytes=settings.max_message_bytes,
        max_subscriptions=settings.max_subscriptions,
        buffer_events=settings.reader_buffer_events,
        send_timeout_s=settings.reader_timeout_s,
        heartbeat_s=settings.heartbeat_s,
    )


def engine_version() -> str:
    """The version of the installed wheel."""
    try:
        return metadata.version("maestro-engine")
    except metadata.PackageNotFoundError:
        return "source tree"


def contract_text() -> str:
    """The OpenAPI document as it is published."""
    document = create_app(EngineSettings(), kinds={}).openapi()
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the engine, or write its contract; returns the exit status."""
    options = _parser().parse_args(argv)
    if options.command == "contract":
        return _write_contract(options.output)
    try:
        settings = load_settings(EngineSettings, file=options.config, overrides=_overrides(options))
    except InvalidSettings as error:
        return _refuse(error, 2)
    try:
        with bound_socket(settings) as listener, setup_logging(level=settings.log_level, format=settings.log_format):
            return asyncio.run(_serve(settings, listener))
    except (CannotServe, EngineError) as error:
        return _refuse(error, 1)


async def _serve(settings: EngineSettings, listener: socket.socket) -> int:
    kinds = step_kinds()
    hub = Hub(max_readers=settings.max_readers)
    backend = embedded_backend(settings, kinds)
    async with backend:
        resumed = len(await backend.unfinished())
        app = create_app(settings, backend=backend, kinds=kinds, hub=hub)
        return await serve(app, hub, backend, listener, settings, lambda: _greet(settings, listener, resumed))


def _greet(settings: EngineSettings, listener: socket.socket, resumed: int) -> None:
    address = address_of(listener)
    print(f"Maestro engine on {address}")
    print(f"  API docs  {address}/api/docs")
    print(f"  data in   {settings.data_dir.resolve()}")
    if resumed:
        print(f"Going on with {resumed} unfinished workflow{'s' if resumed != 1 else ''}.")
    if not settings.is_loopback:
        print(
            "Warning: other machines can reach this engine, and it has no sign-in yet: anyone there can run commands."
        )
    sys.stdout.flush()


def _write_contract(output: Path | None) -> int:
    if output is None:
        sys.stdout.write(contract_text())
    else:
        output.write_text(contract_text(), encoding="utf-8")
    return 0


def _refuse(error: Exception, status: int) -> int:
    print(f"maestro-engine: {error}", file=sys.stderr)
    return status


def _overrides(options: argparse.Namespace) -> dict[str, object]:
    """What the command line says, by the name of the setting."""
    given = {name: getattr(options, name) for name in ("host", "port", "data_dir", "allow_remote")}
    return {name: value for name, value in given.items() if value is not None}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="maestro-engine", description="The engine of Maestro over HTTP and WebSocket."
    )
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port to listen on (default: 8000; 0 takes a free one)")
    parser.add_argument("--data-dir", type=Path, help="where workflows are kept (default: the platform's data folder)")
    parser.add_argument(
        "--allow-remote", action="store_const", const=True, help="listen beyond loopback, without sign-in"
    )
    parser.add_argument("--config", type=Path, help="a settings file; MAESTRO_ENGINE_… in the environment wins over it")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    contract = commands.add_parser("contract", help="write the OpenAPI document and end")
    contract.add_argument("output", type=Path, nargs="?", help="file to write (default: standard output)")
    return parser

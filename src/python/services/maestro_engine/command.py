"""The command `maestro-engine`: run the engine, or make its first admin."""

import argparse
import asyncio
import socket
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from maestro_audit_logger import AuditError
from maestro_core_api import ApiError, CannotServe
from maestro_core_api.serve import address_of, bound_socket, serve
from maestro_core_auth import AuthError, init_admin
from maestro_core_config import InvalidSettings, load_settings
from maestro_core_logging import setup_logging
from maestro_engine.access.errors import AccessError
from maestro_engine.access.service import check_name
from maestro_engine.app import create_app
from maestro_engine.audit.errors import AuditTrailError
from maestro_engine.http.about import CONTRACT_VERSION
from maestro_engine.parts import Parts, open_parts, users_of
from maestro_engine.presence.service import presence
from maestro_engine.secrets.errors import SecretError
from maestro_engine.settings import EngineSettings
from maestro_monitoring import Metrics
from maestro_service_registry import RegistryError
from maestro_workflow_engine import EngineError

_FAILURES = (
    AccessError,
    ApiError,
    AuditError,
    AuditTrailError,
    AuthError,
    EngineError,
    RegistryError,
    SecretError,
)
_BY_WORD = ("host", "port", "data_dir")
"""Settings that have a word on the command line."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 2 for wrong words and settings, 1 for what cannot be done."""
    options = _parser().parse_args(argv)
    try:
        settings = load_settings(EngineSettings, file=options.config, overrides=_overrides(options))
    except InvalidSettings as error:
        return _refuse(_in_words(error), 2)
    try:
        return int(options.run(options, settings))
    except _FAILURES as error:
        return _refuse(str(error), 1)


def _run(_: argparse.Namespace, settings: EngineSettings) -> int:
    if settings.auth == "off" and not settings.is_loopback:
        raise CannotServe(
            f"host {settings.host} is not an address of this machine alone: who reaches it could run commands here. "
            "Leave the setting auth at `auto`, or use 127.0.0.1."
        )
    with bound_socket(settings) as listener, setup_logging(level=settings.log_level, format=settings.log_format):
        return asyncio.run(_serve(settings, listener))


async def _serve(settings: EngineSettings, listener: socket.socket) -> int:
    metrics = Metrics()
    with _traces(settings, metrics):
        async with open_parts(settings, metrics=metrics) as parts:
            return await _answer(settings, listener, parts)


async def _answer(settings: EngineSettings, listener: socket.socket, parts: Parts) -> int:
    app = create_app(settings, parts)
    resumed = len(await parts.backend.unfinished())
    with presence(settings, address_of(listener), CONTRACT_VERSION) as keeper:

        def stopping() -> None:
            print("Stopping: running steps may finish; Ctrl-C again stops at once.", file=sys.stderr, flush=True)
            if keeper is not None:
                keeper.say("draining")

        return await serve(
            app,
            listener,
            on_started=lambda: _greet(settings, listener, resumed),
            on_stopping=stopping,
            after=lambda: parts.backend.close(settings.drain_s),
        )


def _traces(settings: EngineSettings, metrics: Metrics) -> AbstractContextManager[object]:
    if settings.traces_url is None:
        return nullcontext()
    try:
        from maestro_monitoring.otlp import setup_tracing
    except ImportError as error:
        raise CannotServe(f"traces_url is set, and {error}") from error
    return setup_tracing("maestro-engine", endpoint=settings.traces_url, metrics=metrics)


def _greet(settings: EngineSettings, listener: socket.socket, resumed: int) -> None:
    address = address_of(listener)
    print(f"Maestro engine on {address}")
    print(f"  API docs  {address}/api/docs")
    print(f"  data in   {settings.data_dir.resolve()}")
    print(f"  sign-in   {'with API keys' if settings.signs_in else 'off: only programs of this machine can call'}")
    if resumed:
        print(f"Going on with {resumed} unfinished workflow{'s' if resumed != 1 else ''}.")
    sys.stdout.flush()


def _init_admin(options: argparse.Namespace, settings: EngineSettings) -> int:
    async def made() -> str:
        async with users_of(settings) as store:
            issued = await init_admin(store, options.name, again=options.again)
            return issued.secret

    check_name(options.name)
    secret = asyncio.run(made())
    print(f"The key of {options.name}, an admin; it is shown this once and kept nowhere:", file=sys.stderr)
    print(secret)
    return 0


def _refuse(reason: str, status: int) -> int:
    print(f"maestro-engine: {reason}", file=sys.stderr)
    return status


def _in_words(error: InvalidSettings) -> str:
    """The problems; what the command line said is told by the word it was said with."""
    text = str(error)
    for name in _BY_WORD:
        text = text.replace(f"[override {name}]", f"[--{name.replace('_', '-')}]")
    return text


def _overrides(options: argparse.Namespace) -> dict[str, object]:
    """What the command line says, by the name of the setting."""
    given = {name: getattr(options, name, None) for name in _BY_WORD}
    return {name: value for name, value in given.items() if value is not None}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="maestro-engine", description="The engine of Maestro over HTTP and WebSocket."
    )
    parser.add_argument("--host", help="address to listen on (default: 127.0.0.1); beyond loopback callers sign in")
    parser.add_argument("--port", type=int, help="port to listen on (default: 8000; 0 takes a free one)")
    parser.add_argument("--data-dir", type=Path, help="where workflows are kept (default: the platform's data folder)")
    parser.add_argument("--config", type=Path, help="a settings file; MAESTRO_ENGINE_… in the environment wins over it")
    parser.set_defaults(run=_run)
    commands = parser.add_subparsers(metavar="COMMAND")
    admin = commands.add_parser("init-admin", help="make the first admin, and print a key once")
    admin.add_argument("--name", default="admin", help="of the admin (default: admin)")
    admin.add_argument("--again", action="store_true", help="make another one, or one more key")
    admin.set_defaults(run=_init_admin)
    return parser

"""What the application is made of: opened in the order in which one needs the other, and closed in reverse."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from maestro_audit_logger import LogHeld
from maestro_core_api import CannotServe, IdempotencyStore, MemoryIdempotencyStore, SqliteIdempotencyStore
from maestro_core_auth import Principal, SqliteAuthStore
from maestro_core_messaging import MemoryBroker, SqliteBroker
from maestro_engine.access.policy import READ
from maestro_engine.access.service import Access
from maestro_engine.audit.service import AuditTrail
from maestro_engine.control.service import ControlService
from maestro_engine.database.file import DatabaseError
from maestro_engine.feed.follower import Follower
from maestro_engine.http.about import CONTRACT_VERSION
from maestro_engine.mcp.handles import kept_key
from maestro_engine.mcp.server import McpDoor, McpLimits
from maestro_engine.mcp.tools import FolderTools, RegistryTools
from maestro_engine.observation.service import Observation, engine_health
from maestro_engine.schedules.service import Schedules
from maestro_engine.schedules.store import ScheduleStore
from maestro_engine.secrets.keys import Keys, Sealing, find_keys
from maestro_engine.secrets.service import Secrets, open_secrets
from maestro_engine.secrets.store import SecretStore
from maestro_engine.settings import EngineSettings
from maestro_engine.templates.folder import TemplateFolder
from maestro_engine.templates.service import Templates
from maestro_engine.templates.store import TemplateStore
from maestro_engine.webhooks.outgoing import Outgoing
from maestro_engine.webhooks.service import WebhookService
from maestro_engine.webhooks.store import NoSeal, Seal, WebhookStore
from maestro_engine.workflows.artifacts import Artifacts
from maestro_engine.workflows.service import WorkflowService
from maestro_monitoring import HealthChecks, Metrics
from maestro_tools import tool_step_kinds
from maestro_workflow_engine import (
    EmbeddedBackend,
    ExecutionBackend,
    SecretSource,
    StepKind,
    builtin_step_kinds,
    plugin_step_kinds,
)


def step_kinds() -> dict[str, StepKind]:
    """Every kind by name; a plugin may take the place of one of ours."""
    return {**builtin_step_kinds(), **tool_step_kinds(), **plugin_step_kinds()}


def embedded_backend(
    settings: EngineSettings,
    kinds: Mapping[str, StepKind],
    secrets: SecretSource,
    keys: Keys | None,
    templates: Templates,
) -> EmbeddedBackend:
    """The backend on SQLite in the data folder; not open yet."""
    return EmbeddedBackend(
        settings.data_dir,
        kinds=kinds,
        max_parallel=settings.max_parallel_steps,
        synchronous=settings.synchronous,
        secrets=secrets,
        cipher=None if keys is None else Sealing(keys, "artifacts"),
        templates=templates.template_definition,
        retention=settings.retention,
    )


@dataclass(frozen=True, slots=True)
class Parts:
    """What an app is made of; who gives them has opened them, and closes them after the app has ended."""

    backend: ExecutionBackend
    access: Access
    audit: AuditTrail
    secrets: Secrets
    templates: Templates
    workflows: WorkflowService
    control: ControlService
    schedules: Schedules
    webhooks: WebhookService
    mcp: McpDoor
    keys: IdempotencyStore
    metrics: Metrics
    health: HealthChecks


@asynccontextmanager
async def open_parts(
    settings: EngineSettings, kinds: Mapping[str, StepKind] | None = None, *, metrics: Metrics | None = None
) -> AsyncIterator[Parts]:
    """Open everything that the settings name, in the data folder.

    Raises CannotServe where another engine has the folder, nobody could sign in, or a file is not to be used;
    AuditError and AuditTrailError for a damaged log, AuthError for damaged users, EngineError for a damaged journal.
    """
    since = datetime.now(UTC)
    chosen = step_kinds() if kinds is None else kinds
    counted = metrics or Metrics()
    counted.add_process_metrics()
    async with AsyncExitStack() as stack:
        access = await _open_access(stack, settings)
        audit = await _open_audit(stack, settings)
        keys = await asyncio.to_thread(_keys_of, settings)
        secrets = await stack.enter_async_context(open_secrets(settings.data_dir / "secrets.db", keys))
        template_store, schedule_store = stores_of(settings)
        for store in (template_store, schedule_store):
            await _usable(store.open())
            stack.push_async_callback(store.close)
        kept_answers = await stack.enter_async_context(_kept_answers(settings))
        templates = Templates(template_store, TemplateFolder(settings.templates), chosen)
        mcp_key = await asyncio.to_thread(_mcp_key, settings)
        # After all that may refuse the start: it goes on with unfinished workflows at once.
        backend = await stack.enter_async_context(embedded_backend(settings, chosen, secrets, keys, templates))
        position = await asyncio.to_thread(audit.next_position)
        schedules = Schedules(schedule_store, backend, templates)
        observation = Observation(backend, counted, since=since)
        outgoing, webhooks, out_from = await _open_webhooks(stack, settings, keys, backend, position)
        accounts = Follower("audit", backend, audit.heard, from_position=position)
        measures = Follower("observation", backend, observation.heard, from_position=position)
        world = Follower("webhooks", backend, outgoing.heard, from_position=out_from)
        probes = {
            "audit": (audit.probe, accounts.probe),
            "observation": (measures.probe,),
            "schedules": (schedules.probe,),
            "webhooks": (world.probe,),
        }
        health = engine_health(backend, counted, probes)
        stack.push_async_callback(health.aclose)
        for follower in (measures, accounts, world):
            await stack.enter_async_context(follower)
        # Before those who follow it: what steps do last is heard too.
        stack.push_async_callback(backend.close, settings.drain_s)
        workflows = WorkflowService(backend, templates)
        control = ControlService(backend, workflows)
        door = mcp_door(settings, backend, chosen, access, audit, templates, control, mcp_key)
        await stack.enter_async_context(door.open())
        await stack.enter_async_context(schedules)
        yield Parts(
            backend=backend,
            access=access,
            audit=audit,
            secrets=secrets,
            templates=templates,
            workflows=workflows,
            control=control,
            schedules=schedules,
            webhooks=webhooks,
            mcp=door,
            keys=kept_answers,
            metrics=counted,
            health=health,
        )


def closed_parts() -> Parts:
    """Parts that are not open, so that nothing is touched: for the application as its contract describes it."""
    settings = EngineSettings()
    secrets, metrics = Secrets(SecretStore(settings.data_dir / "secrets.db"), None), Metrics()
    template_store, schedule_store = stores_of(settings)
    templates = Templates(template_store, TemplateFolder(settings.templates), {})
    backend = embedded_backend(settings, {}, secrets, None, templates)
    access, audit = Access(None), AuditTrail(settings.data_dir / "audit")
    workflows = WorkflowService(backend, templates)
    control = ControlService(backend, workflows)
    return Parts(
        backend=backend,
        access=access,
        audit=audit,
        secrets=secrets,
        templates=templates,
        workflows=workflows,
        control=control,
        schedules=Schedules(schedule_store, backend, templates),
        webhooks=WebhookService(WebhookStore(None, NoSeal()), MemoryBroker(), may_be_private=False),
        mcp=mcp_door(settings, backend, {}, access, audit, templates, control, b""),
        keys=MemoryIdempotencyStore(),
        metrics=metrics,
        health=engine_health(backend, metrics),
    )


# --- one part at a time ---


def users_of(settings: EngineSettings) -> SqliteAuthStore:
    """Users and the digests of their keys; raises CannotServe or AuthError for a file that is not to be used."""
    try:
        return SqliteAuthStore(settings.users_file)
    except (OSError, sqlite3.Error) as error:
        raise CannotServe(f"{settings.users_file} cannot be opened: {error}") from error


async def _open_access(stack: AsyncExitStack, settings: EngineSettings) -> Access:
    access = Access(await stack.enter_async_context(users_of(settings)) if settings.signs_in else None)
    if access.signs_in and not await access.has_admin():
        raise CannotServe("callers have to sign in here, and there is no admin yet: run `maestro-engine init-admin`")
    return access


async def _open_audit(stack: AsyncExitStack, settings: EngineSettings) -> AuditTrail:
    audit = AuditTrail(settings.data_dir / "audit", is_durable=settings.synchronous == "FULL")
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        await asyncio.to_thread(audit.open)
    except LogHeld as error:
        raise CannotServe(
            f"another engine works on {settings.data_dir}: {error}. Stop it, or choose another --data-dir."
        ) from error
    except OSError as error:
        raise CannotServe(f"{settings.data_dir} cannot be used: {error}") from error
    stack.push_async_callback(audit.close)
    return audit


def _keys_of(settings: EngineSettings) -> Keys | None:
    text = settings.secret_key.get_secret_value() if settings.secret_key is not None else None
    own_file, may_make = settings.own_key_file, settings.is_loopback
    return find_keys(text=text, file=settings.secret_key_file, own_file=own_file, may_make=may_make)


def stores_of(settings: EngineSettings) -> tuple[TemplateStore, ScheduleStore]:
    """Where templates and schedules are kept; not open yet."""
    return (
        TemplateStore(settings.data_dir / "templates.db", synchronous=settings.synchronous),
        ScheduleStore(settings.data_dir / "schedules.db", synchronous=settings.synchronous),
    )


async def _usable(opening: Awaitable[object]) -> None:
    try:
        await opening
    except DatabaseError as error:
        raise CannotServe(str(error)) from error


@asynccontextmanager
async def _kept_answers(settings: EngineSettings) -> AsyncIterator[SqliteIdempotencyStore]:
    """The answers of requests with an Idempotency-Key."""
    store = await asyncio.to_thread(SqliteIdempotencyStore, settings.data_dir / "idempotency.db")
    try:
        yield store
    finally:
        await asyncio.to_thread(store.close)


async def _open_webhooks(
    stack: AsyncExitStack, settings: EngineSettings, keys: Keys | None, backend: ExecutionBackend, position: int
) -> tuple[Outgoing, WebhookService, int]:
    """What brings events out, and the position from which on."""
    seal: Seal = NoSeal() if keys is None else Sealing(keys, "webhooks")
    try:
        store = await asyncio.to_thread(WebhookStore, settings.data_dir / "webhooks.db", seal)
    except (OSError, ValueError, sqlite3.Error) as error:
        raise CannotServe(f"webhooks cannot be served: {error}") from error
    stack.callback(store.close)
    broker = SqliteBroker(settings.data_dir / "events.db")
    stack.push_async_callback(broker.close)
    may_be_private = settings.is_loopback if settings.webhooks_to_private is None else settings.webhooks_to_private
    # The two know each other: events go out while somebody wants them, and who begins to want them says so first.
    outgoing = Outgoing(
        broker,
        store,
        backend,
        source=settings.public_url or "/maestro-engine",
        is_wanted=lambda: settings.publish_events or service.is_needed,
    )
    service = WebhookService(store, broker, may_be_private=may_be_private, before_first=outgoing.begin)
    try:
        await stack.enter_async_context(service)
    except ValueError as error:
        raise CannotServe(f"the secrets of the webhooks cannot be opened: {error}") from error
    kept = await asyncio.to_thread(store.position)
    return outgoing, service, position if kept is None else kept + 1


def _mcp_key(settings: EngineSettings) -> bytes:
    try:
        return kept_key(settings.data_dir / "mcp.key")
    except (OSError, ValueError) as error:
        raise CannotServe(f"the key of the MCP door cannot be used: {error}") from error


def mcp_door(
    settings: EngineSettings,
    backend: ExecutionBackend,
    kinds: Mapping[str, StepKind],
    access: Access,
    audit: AuditTrail,
    templates: Templates,
    control: ControlService,
    key: bytes,
) -> McpDoor:
    """The MCP door over the templates; not open yet."""

    async def check_still(listener: Principal) -> None:
        await access.check_still(listener, READ)

    return McpDoor(
        backend=backend,
        source=RegistryTools(templates, FolderTools(TemplateFolder(settings.templates), kinds)),
        answer=control.answer,
        artifact=Artifacts(backend).one,
        audit=audit,
        authenticator=access.authenticator,
        check_still=check_still,
        key=key,
        version=CONTRACT_VERSION,
        limits=McpLimits(
            wait_s=settings.mcp_wait_s,
            answer_within_s=settings.request_timeout_s,
            direct_s=settings.mcp_direct_s,
            poll_interval_s=settings.mcp_poll_interval_s,
            max_waiting=settings.max_readers,
            max_body_bytes=settings.max_body_bytes,
            check_every_s=settings.heartbeat_s,
        ),
    )

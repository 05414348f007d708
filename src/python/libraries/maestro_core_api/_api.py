"""The app class and the one place where its parts are joined."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse

from maestro_core_api._answers import HeadAsGet, SecurityHeaders
from maestro_core_api._contract import as_text, finish
from maestro_core_api._docs import PAGE_HEADERS, page_of
from maestro_core_api._drain import Drain, InFlight
from maestro_core_api._errors import InvalidApi
from maestro_core_api._gate import Cors, Gate
from maestro_core_api._health import Readiness, health_routes
from maestro_core_api._limits import BodyLimit, Deadline
from maestro_core_api._named import Named
from maestro_core_api._problem import DEFAULT_PROBLEMS, Problem
from maestro_core_api._problem_table import ProblemTable
from maestro_core_api._problems import Problems, answer_with_problems
from maestro_core_api._route_docs import document_routes
from maestro_core_api._settings import ApiSettings
from maestro_core_api._strict_json import StrictJson

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[Any]]


class BaseAPI(FastAPI):
    """FastAPI with problems, a published contract, and an end that can be waited for; `create_api` makes one."""

    def __init__(
        self, *, settings: ApiSettings, problems: ProblemTable, schemas: Sequence[type[BaseModel]] = (), **options: Any
    ) -> None:
        self.settings = settings
        self.problems = problems
        self.drainer = Drain()
        self._schemas: tuple[type[BaseModel], ...] = (Problem, *schemas)
        self._finished: dict[str, Any] | None = None
        super().__init__(**options)

    def openapi(self) -> dict[str, Any]:
        """The contract: FastAPI's document with every error as a problem, in an order that does not change.

        Raises InvalidApi when two operations have one name.
        """
        document = super().openapi()
        if document is not self._finished:  # made anew, since routes were added
            document_routes(self.routes, document)
            finish(document, self._schemas)
            self._finished = document
        return document

    def contract_text(self) -> str:
        """The contract as it is published."""
        return as_text(self.openapi())

    async def drain(self, timeout_s: float | None = None) -> bool:
        """Turn readiness to no, tell streams to end, and wait; whether all that was in flight has finished in time."""
        return await self.drainer.wait(self.settings.drain_s if timeout_s is None else timeout_s)


def create_api(
    settings: ApiSettings | None = None,
    *,
    title: str,
    version: str,
    description: str = "",
    prefix: str = "/api",
    routers: Sequence[APIRouter] = (),
    problems: ProblemTable = DEFAULT_PROBLEMS,
    readiness: Readiness | None = None,
    lifespan: Lifespan | None = None,
    middleware: Sequence[Middleware] = (),
    observers: Sequence[Middleware] = (),
    schemas: Sequence[type[BaseModel]] = (),
) -> BaseAPI:
    """An app with everything at its edge: names, gate, limits, problems, health, docs and contract.

    `routers` are taken as they are; `prefix` is where health, docs, problems and the document lie. `middleware` works
    inside the limits and may raise errors with a declared code (sign-in, for one); `observers` see every request and
    answer, refusals too (metrics). Both are pure ASGI, the first in the list outermost. `schemas` are further shapes
    to publish, of what streams or sockets carry. Raises InvalidApi for a prefix that cannot be.
    """
    if not prefix.startswith("/") or prefix.endswith("/"):
        raise InvalidApi(f"the prefix {prefix!r} does not begin with / or ends with it; write /api")
    chosen = settings if settings is not None else ApiSettings()
    app = BaseAPI(
        settings=chosen,
        problems=problems,
        schemas=schemas,
        title=title,
        version=version,
        description=description,
        openapi_url=f"{prefix}/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        generate_unique_id_function=_operation_id,
    )
    app.user_middleware = [*_edge(app, prefix, observers), *middleware]
    answer_with_problems(app, problems)
    own = health_routes(prefix, version, app.drainer, readiness=readiness, detail_for=chosen.health_detail_for)
    for router in (*routers, own, _about_routes(app, prefix)):
        app.include_router(router)
    return app


def _edge(app: BaseAPI, prefix: str, observers: Sequence[Middleware]) -> list[Middleware]:
    """From the outside in. What refuses stands inside what names, and what reads bodies inside what refuses."""
    settings, table = app.settings, app.problems
    trust = settings.trust
    return [
        Middleware(Named, quiet=(f"{prefix}/health/live", f"{prefix}/health/ready")),
        *observers,
        Middleware(SecurityHeaders),
        Middleware(InFlight, drain=app.drainer, table=table),
        Middleware(Gate, trust=trust, max_header_bytes=settings.max_header_bytes, table=table),
        Middleware(Cors, trust=trust),
        Middleware(Problems, table=table),
        Middleware(HeadAsGet),
        Middleware(BodyLimit, max_body_bytes=settings.max_body_bytes, table=table),
        Middleware(Deadline, timeout_s=settings.request_timeout_s, table=table),
        Middleware(StrictJson),
    ]


class ProblemTypeView(BaseModel):
    """One kind of problem that this service may answer with."""

    type: str
    code: str
    status: int
    title: str
    description: str


def _about_routes(app: BaseAPI, prefix: str) -> APIRouter:
    """What a service says about itself."""
    routes = APIRouter(prefix=prefix, tags=["about"])
    pages: list[tuple[object, str]] = []

    @routes.get("/problems", response_description="In the order of their codes.")
    async def list_problem_types() -> list[ProblemTypeView]:
        """List every kind of problem that this service may answer with: what `type` and `code` mean."""
        return [
            ProblemTypeView(
                type=each.type, code=each.code, status=each.status, title=each.title, description=each.description
            )
            for each in app.problems
        ]

    @routes.get("/docs", include_in_schema=False)
    async def read_docs() -> HTMLResponse:
        document = app.openapi()
        if not pages or pages[0][0] is not document:
            links = {"openapi.json": f"{prefix}/openapi.json", "problems": f"{prefix}/problems"}
            pages[:] = [(document, page_of(document, links | {"health": f"{prefix}/health/ready"}))]
        return HTMLResponse(pages[0][1], headers=PAGE_HEADERS)

    return routes


def _operation_id(route: APIRoute) -> str:
    """The name of the function: clients that are generated from the contract call it so."""
    return route.name

"""The problems of whichever app a request is for, to middlewares that are not told them."""

from starlette.types import ASGIApp, Receive, Scope, Send

from maestro_core_api._problem import DEFAULT_PROBLEMS
from maestro_core_api._problem_table import ProblemTable
from maestro_core_api._problems import Problems


def table_of(scope: Scope) -> ProblemTable:
    """The table of the app that `create_api` made; the built-in one for any other app."""
    table = getattr(scope.get("app"), "problems", None)
    return table if isinstance(table, ProblemTable) else DEFAULT_PROBLEMS


async def answered(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Let the app inside answer, its errors being answers too: for who looks at what is sent."""
    await Problems(app, table=table_of(scope))(scope, receive, send)

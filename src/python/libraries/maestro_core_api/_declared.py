"""Notes the answers that an operation gives and does not declare."""

from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from maestro_core_api._route_docs import matched_route

# The edge answers these to any operation; `default` stands for them.
_OF_THE_EDGE = frozenset({408, 500})


class DeclaredAnswers:
    """An ASGI app around yours for a test's client; afterwards `undeclared` names what the contract does not say.

    `assert not client_app.undeclared`: each entry names the operation, the status, and is there once.
    """

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self.undeclared: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._note(scope, message["status"])
            await send(message)

        await self._app(scope, receive, send_noted)

    def _note(self, scope: Scope, status: int) -> None:
        route = matched_route(scope)
        operations = self._app.openapi()["paths"].get(getattr(route, "path_format", None), {})
        operation = operations.get(scope["method"].lower())
        if operation is None or status in _OF_THE_EDGE or str(status) in operation["responses"]:
            return
        found = f"{scope['method']} {route.path_format} answers {status}"
        if found not in self.undeclared:
            self.undeclared.append(found)

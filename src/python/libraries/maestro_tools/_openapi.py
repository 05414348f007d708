"""An OpenAPI document as a tool source: each operation is a tool.

utcp-http has a converter of its own. It knows no cookies and no styles of parameters, flattens a body into them, copies
what references point at, and names its variables itself; so it serves a manual well, and not a step that must be right.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from maestro_tools._environment import passed, substitute
from maestro_tools._errors import InvalidSource, Problem, ServerUnavailable, ToolsError, UnknownTool
from maestro_tools._masking import Masker
from maestro_tools._openapi_document import (
    LARGEST_DOCUMENT_BYTES,
    BadDocument,
    Document,
    check_document,
    parse_document,
    read_document,
)
from maestro_tools._openapi_operations import Operation, Operations, read_operations
from maestro_tools._openapi_requests import Signing, build_request
from maestro_tools._owner import Owner, limit
from maestro_tools._pins import Guard
from maestro_tools._quiet import import_quietly
from maestro_tools._source_reader import header_problem
from maestro_tools._sources import OpenApi
from maestro_tools._tools import Tool, ToolResult

if TYPE_CHECKING:
    from maestro_tools._rest import Reply, Rest

_log = logging.getLogger("maestro_tools")


class OpenApiConnection:
    """A ToolSource over one OpenAPI document; reads it on first use."""

    def __init__(
        self,
        name: str,
        source: OpenApi,
        base_dir: Path,
        *,
        idle_s: float | None = None,
        guard: Guard | None = None,
    ) -> None:
        self._name = name
        self._source = source
        self._base_dir = base_dir
        self._guard = guard
        self._owner: Owner[_Api] = Owner(self._open, name=name, idle_s=idle_s)

    async def list_tools(self) -> tuple[Tool, ...]:
        """Every operation that can be called, ordered by name."""

        async def work(api: _Api) -> tuple[Tool, ...]:
            return tuple(operation.contract.tool for operation in api.operations.usable.values())

        async with limit(self._source.limits.call_timeout_s, f"{self._name}: reading the document"):
            return await self._owner.run(work)

    async def call_tool(
        self,
        tool: str,
        arguments: Mapping[str, object],
        *,
        timeout_s: float | None = None,
        idempotency_key: str | None = None,
    ) -> ToolResult:
        """Call one operation; unless it is safe to repeat, the key is sent as `Idempotency-Key`."""

        async def work(api: _Api) -> ToolResult:
            operation = api.operations.usable.get(tool)
            if operation is None:
                if tool in api.operations.broken:
                    raise InvalidSource([Problem(f"/{self._name}/openapi/document", api.operations.broken[tool])])
                raise UnknownTool(self._name, tool, api.operations.usable)
            if self._guard is not None:
                self._guard.check(operation.contract.tool)
            operation.contract.check_arguments(arguments)
            return ToolResult(await api.call(f"{self._name}.{tool}", operation, arguments, idempotency_key))

        async with limit(timeout_s or self._source.limits.call_timeout_s, f"{self._name}.{tool}"):
            return await self._owner.run(work)

    async def close(self) -> None:
        """End what is running; bounded."""
        await self._owner.close()

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[_Api]:
        source = self._source
        await asyncio.to_thread(import_quietly, "maestro_tools._rest")
        from maestro_tools._rest import Rest

        place = f"/{self._name}/openapi"
        variables = passed(source.pass_env)
        headers = self._filled(source.headers, variables, f"{place}/headers")
        credentials = self._filled(source.auth, variables, f"{place}/auth")
        problems = [(name, header_problem(name, value)) for name, value in headers.items()]
        if found := [Problem(f"{place}/headers/{name}", problem) for name, problem in problems if problem]:
            raise InvalidSource(found)
        masker = Masker([*variables.values(), *headers.values(), *credentials.values()])
        rest = Rest(max_result_bytes=source.limits.max_result_bytes, masker=masker)
        try:
            document = await self._document(masker)
            operations = await asyncio.to_thread(read_operations, self._name, document, source.base_url)
            signing = Signing(self._name, document, credentials)
            if operations.broken:
                _log.warning(
                    "%s: operations that cannot be called: %s", self._name, "; ".join(operations.broken.values())
                )
            if operations.broken and not operations.usable:
                raise BadDocument(next(iter(operations.broken.values())))
            may_loopback = source.base_url is not None or document.url is None
            yield _Api(operations, signing, rest, headers, document.url, may_loopback=may_loopback)
        except BadDocument as error:
            raise InvalidSource([Problem(f"{place}/document", str(error))]) from error
        finally:
            await rest.close()

    async def _document(self, masker: Masker) -> Document:
        given = self._source.document
        if not isinstance(given, str):
            return check_document(given)
        if "://" not in given:
            return await asyncio.to_thread(read_document, given, self._base_dir)
        return await self._fetched(given, masker)

    async def _fetched(self, url: str, masker: Masker) -> Document:
        from maestro_tools._rest import Rest

        # None of the source's headers and credentials: the document may lie elsewhere than what it describes.
        rest = Rest(max_result_bytes=LARGEST_DOCUMENT_BYTES, masker=masker)
        try:
            headers = {"Accept": "application/json, application/yaml, */*;q=0.5", "Accept-Encoding": "identity"}
            request = {"method": "GET", "url": url, "context": "manual discovery", "headers": headers}
            reply = await rest.send(f"the document of {self._name}", request)
        except ToolsError as error:
            raise ServerUnavailable(str(error), retryable=error.retryable, retry_after_s=error.retry_after_s) from None
        finally:
            await rest.close()
        if reply.is_json:
            return check_document(reply.value, url)
        return await asyncio.to_thread(parse_document, str(reply.value or ""), url)

    def _filled(self, given: Mapping[str, str], variables: Mapping[str, str], place: str) -> dict[str, str]:
        try:
            filled: dict[str, str] = substitute(given, variables, bare=False)
        except ValueError as error:
            raise InvalidSource([Problem(place, str(error))]) from error
        return filled


class _Api:
    """A document in use. Nothing is connected, so nothing can be lost."""

    answered = True

    def __init__(
        self,
        operations: Operations,
        signing: Signing,
        rest: Rest,
        headers: Mapping[str, str],
        document_url: str | None,
        *,
        may_loopback: bool,
    ) -> None:
        self.operations = operations
        self.lost = asyncio.Event()
        self._signing = signing
        self._rest = rest
        self._headers = headers
        self._document_url = document_url
        self._may_loopback = may_loopback

    def loss(self) -> ToolsError:
        return ServerUnavailable("the document was closed")

    async def call(
        self, label: str, operation: Operation, arguments: Mapping[str, object], idempotency_key: str | None
    ) -> object:
        self._refuse_inward(label, operation.server)
        request = build_request(label, operation, arguments, self._headers, idempotency_key)
        self._signing.sign(operation, request)
        reply = await self._rest.send(label, request)
        self._check(operation, reply)
        return reply.value

    def _refuse_inward(self, label: str, server: str) -> None:
        """A document from elsewhere must not send us to our own machine, unless it came from there."""
        from utcp_http._security import is_loopback_url  # type: ignore[import-untyped]  # utcp has no types of its own

        if is_loopback_url(server) and not self._may_loopback and not is_loopback_url(self._document_url):
            message = f"{label}: a document from elsewhere names a server on this machine: give it as base_url"
            raise InvalidSource([Problem("", message)])

    @staticmethod
    def _check(operation: Operation, reply: Reply) -> None:
        """Raises ServerMisbehaved when JSON does not fit what the document says of its status."""
        if not reply.is_json:
            return
        for status in (str(reply.status), f"{reply.status // 100}XX", "default"):
            if status in operation.outputs:
                operation.outputs[status].check_output(reply.value)
                return

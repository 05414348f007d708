"""HTTP calls of tools: guarded against inner addresses by utcp-http's own rules, bounded, failures in our words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import aiohttp
from utcp_http._errors import raise_for_status_with_body  # type: ignore[import-untyped]  # utcp has no types of its own
from utcp_http._security import safe_request_with_redirects  # type: ignore[import-untyped]  # likewise

from maestro_tools._errors import ResultTooLarge, ServerUnavailable, ToolFailed
from maestro_tools._masking import Masker
from maestro_tools._retry_after import retry_after_s

_CONNECT_S = 30.0
_PASSING_STATUSES = (408, 429, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that is no failure: its value is JSON, or else text; None when it is empty."""

    status: int
    value: Any
    is_json: bool


class Rest:
    """Sends requests over one session. `close` ends it."""

    def __init__(self, *, max_result_bytes: int, masker: Masker) -> None:
        self._max_result_bytes = max_result_bytes
        self._masker = masker
        self._session: aiohttp.ClientSession | None = None

    async def send(self, label: str, request: dict[str, Any]) -> Reply:
        """Send what `safe_request_with_redirects` takes. Raises what a failure means."""
        try:
            async with safe_request_with_redirects(self._opened(), **request) as response:
                await raise_for_status_with_body(response)
                return await self._reply(label, response)
        except aiohttp.ClientResponseError as error:
            raise ToolFailed(
                f"{label} failed: HTTP status {error.status}: {self._masker.excerpt(error.message)}",
                retryable=error.status in _PASSING_STATUSES,
                retry_after_s=retry_after_s(error.headers.get("Retry-After") if error.headers else None),
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise ServerUnavailable(f"{label} cannot be reached: {self._masker.excerpt(str(error))}") from None
        except (ValueError, TypeError, RuntimeError) as error:
            # utcp's word for an address that its guard refuses, and for endless redirects.
            raise ToolFailed(f"{label} was not called: {self._masker.excerpt(str(error))}") from None

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()

    def too_large(self, label: str) -> ResultTooLarge:
        """The error of an answer beyond the bound."""
        return ResultTooLarge(f"the answer of {label} is larger than {self._max_result_bytes} bytes (max_result_bytes)")

    async def _reply(self, label: str, response: aiohttp.ClientResponse) -> Reply:
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise ToolFailed(f"{label} sent a compressed answer, although none was asked for")
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self._max_result_bytes:
                raise self.too_large(label)
        is_json = response.content_type == "application/json" or response.content_type.endswith("+json")
        if not body:
            return Reply(response.status, None, False)
        if is_json:
            try:
                return Reply(response.status, json.loads(body), True)
            except (ValueError, RecursionError) as error:
                raise ToolFailed(f"{label} says that it sends JSON, and does not: {error}") from error
        return Reply(response.status, body.decode(response.charset or "utf-8", errors="replace"), False)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S),
                # One call must not see the cookies of another; a compressed answer could grow beyond any bound.
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session

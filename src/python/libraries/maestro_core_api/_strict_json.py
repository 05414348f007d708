"""Refuses what Python reads in a JSON body and cannot write: NaN, Infinity, 1e999, half a surrogate pair."""

import json
import math
import re

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Whatever is refused here contains one of these; nearly every body contains none.
_SUSPECT = re.compile(rb"NaN|Infinity|[eE]\+?\d{2,}|\d{300}|\\u[dD][89a-fA-F]")
# As wide as the framework reads it, for whom whatever ends with +json is JSON.
_JSON_TYPE = re.compile(r"application/([^;]*\+)?json\s*(;|$)", re.IGNORECASE)


class StrictJson:
    """Ends the reading of a JSON body whose values cannot be given back: as null its numbers, not at all its text."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _JSON_TYPE.match(Headers(scope=scope).get("content-type", "")):
            await self._app(scope, receive, send)
            return
        read = bytearray()

        async def receive_strictly() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                read.extend(message.get("body", b""))
                if not message.get("more_body", False) and (fault := _fault_of(bytes(read))):
                    raise HTTPException(400, fault)
            return message

        await self._app(scope, receive_strictly, send)


class _Unreal(Exception):
    """Names the number that was met."""


def _fault_of(body: bytes) -> str | None:
    """What a JSON text holds that has to be refused; None for any other text, JSON or not."""
    if not _SUSPECT.search(body):
        return None
    try:
        json.dumps(json.loads(body, parse_constant=_refuse, parse_float=_finite), ensure_ascii=False).encode()
    except _Unreal as found:
        return f"The body holds the number {found}, which JSON does not have."
    except UnicodeEncodeError:
        return "The body holds half of a surrogate pair, which is no character."
    except (ValueError, RecursionError):  # whoever reads the body will say so, and where
        return None
    return None


def _refuse(constant: str) -> None:
    raise _Unreal(constant)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _Unreal(digits[:40])
    return number

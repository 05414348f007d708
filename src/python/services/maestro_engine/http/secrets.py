"""`/api/secrets`: set, list and delete what steps need and nobody may see."""

from collections.abc import Callable
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Request, Response

from maestro_core_api import ETag, preconditions, problems
from maestro_core_auth import Principal
from maestro_core_auth.fastapi import FastAPIAuth
from maestro_engine.access.policy import SECRET_MANAGE, SECRET_READ
from maestro_engine.audit.service import AuditTrail
from maestro_engine.http.audited import account
from maestro_engine.secrets.contract import KeyRotated, SecretList, SecretName, SecretView, SetSecret
from maestro_engine.secrets.errors import UnknownSecret
from maestro_engine.secrets.service import Secrets

_DENIED: Final = (401, 403)
_Name = Annotated[SecretName, Path()]
_Seen = Callable[..., ETag | None]
"""A dependency: the ETag of what is there, once the conditions of the request hold."""


def secret_routes(secrets: Secrets, auth: FastAPIAuth, audit: AuditTrail) -> APIRouter:
    """The routes below `/api/secrets`."""
    routes = APIRouter(prefix="/api/secrets", tags=["secrets"])

    async def current(name: _Name) -> ETag | None:
        try:
            return ETag((await secrets.one(name))[1])
        except UnknownSecret:
            return None

    seen = preconditions(current)
    _question_routes(routes, secrets, auth, seen)
    _command_routes(routes, secrets, auth, audit, seen)
    return routes


def _question_routes(routes: APIRouter, secrets: Secrets, auth: FastAPIAuth, seen: _Seen) -> None:
    @routes.get("", responses=problems(*_DENIED, 503), response_description="By name.")
    async def list_secrets(caller: Annotated[Principal, auth.require(SECRET_READ)]) -> SecretList:
        """List every secret, without its value."""
        return await secrets.all()

    @routes.get("/{name}", responses=problems(*_DENIED, 404, 503), response_description="The secret.")
    async def read_secret(
        name: _Name,
        caller: Annotated[Principal, auth.require(SECRET_READ)],
        tag: Annotated[ETag | None, Depends(seen)],
    ) -> SecretView:
        """Read what there is to tell of a secret, which is never its value."""
        return (await secrets.one(name))[0]


def _command_routes(routes: APIRouter, secrets: Secrets, auth: FastAPIAuth, audit: AuditTrail, seen: _Seen) -> None:
    @routes.post(
        "/keys/rotate",
        responses=problems(*_DENIED, 409, 503),
        response_description="Every secret is encrypted with the present key.",
    )
    async def rotate_key(request: Request, caller: Annotated[Principal, auth.require(SECRET_MANAGE)]) -> KeyRotated:
        """Encrypt every secret anew: with a new key where the engine keeps its own, else with the first one given."""
        await audit.check()
        rotated = await secrets.rotate_key()
        await account(
            audit,
            request,
            caller,
            "secret.rotate-key",
            rotated.key_id,
            is_new=rotated.is_new,
            resealed=rotated.resealed,
        )
        return rotated

    @routes.put(
        "/{name}",
        responses={201: {"model": SecretView, "description": "It is new."}, **problems(*_DENIED, 409, 503)},
        response_description="The secret as of now.",
    )
    async def set_secret(
        name: _Name,
        order: SetSecret,
        request: Request,
        response: Response,
        caller: Annotated[Principal, auth.require(SECRET_MANAGE)],
        tag: Annotated[ETag | None, Depends(seen)],
    ) -> SecretView:
        """Give a secret a value; steps have it from their next attempt on. `If-None-Match: *` makes a new one only."""
        await audit.check()
        view, revision = await secrets.set(name, order, expected=tag.opaque if tag else None)
        await account(audit, request, caller, "secret.set", name, version=view.version)
        response.headers["ETag"] = str(ETag(revision))
        response.status_code = 200 if tag else 201
        return view

    @routes.delete("/{name}", status_code=204, responses=problems(*_DENIED, 404, 409, 503))
    async def delete_secret(
        name: _Name,
        request: Request,
        caller: Annotated[Principal, auth.require(SECRET_MANAGE)],
        tag: Annotated[ETag | None, Depends(seen)],
    ) -> None:
        """Delete a secret; attempts that want it fail from now on."""
        await audit.check()
        await secrets.delete(name, expected=tag.opaque if tag else None)
        await account(audit, request, caller, "secret.delete", name)

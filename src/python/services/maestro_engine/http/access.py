"""`/api/access`: who is asking, the caller's own keys, and for admins the users."""

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from maestro_core_api import problems
from maestro_core_auth import IssuedKey, KeyRecord, Principal, User
from maestro_core_auth.fastapi import FastAPIAuth
from maestro_engine.access.contract import (
    Caller,
    ChangeUser,
    IssuedKeyView,
    KeyList,
    KeyView,
    NewKey,
    NewUser,
    NewUserView,
    Subject,
    UserList,
    UserView,
)
from maestro_engine.access.policy import MANAGE, POLICY
from maestro_engine.access.service import Access
from maestro_engine.audit.service import AuditTrail
from maestro_engine.http.audited import account
from maestro_engine.http.links import linked

KeyId = Annotated[str, Path(pattern="^[A-Za-z0-9_-]{1,64}$")]
_DENIED = (401, 403)
_BY_NAME = {"subject": "/user/subject"}


def access_routes(access: Access, auth: FastAPIAuth, audit: AuditTrail) -> APIRouter:
    """The routes below `/api/access`."""
    routes = APIRouter(prefix="/api/access", tags=["access"])
    _own_routes(routes, access, auth, audit)
    _user_routes(routes, access, auth, audit)
    return routes


def _own_routes(routes: APIRouter, access: Access, auth: FastAPIAuth, audit: AuditTrail) -> None:
    @routes.get("/me", responses=problems(401), response_description="The caller.")
    async def read_caller(caller: Annotated[Principal, auth.principal]) -> Caller:
        """Say who is asking, and what for."""
        allowed = [each for each in sorted(POLICY.permissions) if POLICY.decide(caller, each).allowed]
        key_id = caller.credential_id or None
        return Caller(
            subject=caller.subject, kind=caller.kind, roles=sorted(caller.roles), permissions=allowed, key_id=key_id
        )

    @routes.get("/keys", responses=problems(401, 409), response_description="Oldest first.")
    async def list_keys(caller: Annotated[Principal, auth.principal]) -> KeyList:
        """List the caller's own keys."""
        return KeyList(items=[_key(each) for each in await access.keys_of(caller.subject)])

    @routes.post(
        "/keys",
        status_code=201,
        responses={**linked(201, revoke_key={"key_id": "/key/id"}), **problems(401, 409)},
        response_description="The key and its secret.",
    )
    async def issue_key(
        order: NewKey, request: Request, response: Response, caller: Annotated[Principal, auth.principal]
    ) -> IssuedKeyView:
        """Make one more key for the caller. The secret is told once."""
        await audit.check()
        issued = await access.issue(caller, order.label, order.lifetime_days)
        await account(audit, request, caller, "key.issue", issued.record.id, subject=caller.subject)
        response.headers["Cache-Control"] = "no-store"
        return _issued(issued)

    @routes.delete("/keys/{key_id}", status_code=204, responses=problems(401, 404, 409))
    async def revoke_key(key_id: KeyId, request: Request, caller: Annotated[Principal, auth.principal]) -> None:
        """End one of the caller's own keys, at once."""
        await audit.check()
        await access.revoke(caller, key_id)
        await account(audit, request, caller, "key.revoke", key_id, subject=caller.subject)


def _user_routes(routes: APIRouter, access: Access, auth: FastAPIAuth, audit: AuditTrail) -> None:
    @routes.get("/users", responses=problems(*_DENIED, 409), response_description="By name.")
    async def list_users(caller: Annotated[Principal, auth.require(MANAGE)]) -> UserList:
        """List every user."""
        return UserList(items=[_user(each) for each in await access.users()])

    @routes.post(
        "/users",
        status_code=201,
        responses={**linked(201, change_user=_BY_NAME, issue_user_key=_BY_NAME), **problems(*_DENIED, 409)},
        response_description="The user, and the first key with its secret.",
    )
    async def add_user(
        order: NewUser, request: Request, response: Response, caller: Annotated[Principal, auth.require(MANAGE)]
    ) -> NewUserView:
        """Make a user with a first key. The secret is told once."""
        await audit.check()
        user, issued = await access.add_user(order.subject, order.role, order.lifetime_days)
        await account(audit, request, caller, "user.add", user.subject, role=order.role, key_issued=issued.record.id)
        response.headers["Cache-Control"] = "no-store"
        return NewUserView(user=_user(user), issued=_issued(issued))

    @routes.post(
        "/users/{subject}/keys",
        status_code=201,
        responses=problems(*_DENIED, 404, 409),
        response_description="The key and its secret.",
    )
    async def issue_user_key(
        subject: Annotated[Subject, Path()],
        order: NewKey,
        request: Request,
        response: Response,
        caller: Annotated[Principal, auth.require(MANAGE)],
    ) -> IssuedKeyView:
        """Make a key for a user who has lost the last one. The secret is told once."""
        await audit.check()
        issued = await access.issue_for(subject, order.label, order.lifetime_days)
        await account(audit, request, caller, "key.issue", issued.record.id, subject=subject)
        response.headers["Cache-Control"] = "no-store"
        return _issued(issued)

    @routes.put("/users/{subject}", responses=problems(*_DENIED, 404, 409), response_description="The user as of now.")
    async def change_user(
        subject: Annotated[Subject, Path()],
        order: ChangeUser,
        request: Request,
        caller: Annotated[Principal, auth.require(MANAGE)],
    ) -> UserView:
        """Give a user another role, shut the user out, or let the user in again."""
        await audit.check()
        user = await access.change_user(subject, order.role, order.disabled)
        await account(audit, request, caller, "user.change", subject, role=order.role, disabled=order.disabled)
        return _user(user)


def _key(record: KeyRecord) -> KeyView:
    return KeyView(
        id=record.id,
        subject=record.subject,
        label=record.label,
        created_at=record.created_at,
        expires_at=record.expires_at,
        revoked_at=record.revoked_at,
        last_used_at=record.last_used_at,
    )


def _issued(issued: IssuedKey) -> IssuedKeyView:
    return IssuedKeyView(key=_key(issued.record), secret=issued.secret)


def _user(user: User) -> UserView:
    return UserView(subject=user.subject, roles=sorted(user.roles), disabled=user.disabled, created_at=user.created_at)

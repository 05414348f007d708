"""`/api/templates`: register, check, list, read, deprecate and delete templates."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from maestro_core_api import idempotent, problems
from maestro_core_auth import Principal
from maestro_core_auth.fastapi import FastAPIAuth
from maestro_engine.access.policy import TEMPLATE_MANAGE, TEMPLATE_READ
from maestro_engine.audit.service import AuditTrail
from maestro_engine.http.audited import account
from maestro_engine.http.links import linked
from maestro_engine.templates.contract import (
    CheckedTemplate,
    CheckTemplate,
    Deprecation,
    NewTemplate,
    TemplateName,
    TemplatePage,
    TemplateVersionView,
    TemplateView,
    VersionName,
)
from maestro_engine.templates.service import Templates, UsersOf

Name = Annotated[TemplateName, Path()]
Version = Annotated[VersionName, Path()]
_DENIED = (401, 403)
_BY_NAME = {"name": "/name"}
_BY_VERSION = {"name": "/name", "version": "/version"}


def template_routes(templates: Templates, users_of: UsersOf, auth: FastAPIAuth, audit: AuditTrail) -> APIRouter:
    """The routes below `/api/templates`; `users_of` names the schedules that start a template."""
    routes = APIRouter(prefix="/api/templates", tags=["templates"])
    _question_routes(routes, templates, auth)
    _register_routes(routes, templates, auth, audit)
    _change_routes(routes, templates, users_of, auth, audit)
    return routes


def _question_routes(routes: APIRouter, templates: Templates, auth: FastAPIAuth) -> None:
    may_read = [auth.require(TEMPLATE_READ)]

    @routes.get("", dependencies=may_read, responses=problems(*_DENIED), response_description="A page, by name.")
    async def list_templates(
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[TemplateName | None, Query(description="`next` of the page before.")] = None,
    ) -> TemplatePage:
        """List templates: those that were registered, and the files of the templates folder."""
        return await templates.page(limit=limit, after=cursor or "")

    @routes.get("/{name}", dependencies=may_read, responses=problems(*_DENIED, 404))
    async def read_template(name: Name) -> TemplateView:
        """Read a template with its versions."""
        return await templates.get(name)

    @routes.get(
        "/{name}/versions/{version}",
        dependencies=may_read,
        responses=problems(*_DENIED, 404, 409),
        response_description="The version with its definition.",
    )
    async def read_template_version(name: Name, version: Version) -> TemplateVersionView:
        """Read one version; `latest` is the newest that is not deprecated, `file` that of the templates folder."""
        return await templates.version(name, version)


def _register_routes(routes: APIRouter, templates: Templates, auth: FastAPIAuth, audit: AuditTrail) -> None:
    @routes.post(
        "",
        status_code=201,
        responses={
            200: {"description": "It was there already, with this content.", "model": CheckedTemplate},
            **linked(201, read_template=_BY_NAME, read_template_version=_BY_VERSION, deprecate_template=_BY_VERSION),
            **problems(*_DENIED, 409),
        },
        response_description="The version is kept; `Location` is its address.",
    )
    @idempotent(required=False)
    async def register_template(
        order: NewTemplate,
        request: Request,
        response: Response,
        caller: Annotated[Principal, auth.require(TEMPLATE_MANAGE)],
    ) -> CheckedTemplate:
        """Register a definition as a version, which never changes. The same content again gives the same version."""
        await audit.check()
        kept = await templates.register(order, by=caller.subject)
        response.headers["Location"] = f"/api/templates/{kept.name}/versions/{kept.version}"
        if kept.is_new:
            about = {"version": kept.version, "digest": kept.digest}
            await account(audit, request, caller, "template.register", kept.name, **about)
        else:
            response.status_code = 200
        return kept

    @routes.post(
        "/validate",
        dependencies=[auth.require(TEMPLATE_READ)],
        responses=problems(*_DENIED, 409),
        response_description="What registering it would do.",
    )
    async def validate_template(order: CheckTemplate) -> CheckedTemplate:
        """Check a definition as registering it would, and keep nothing."""
        return await templates.check(order)


def _change_routes(
    routes: APIRouter, templates: Templates, users_of: UsersOf, auth: FastAPIAuth, audit: AuditTrail
) -> None:
    @routes.put("/{name}/versions/{version}/deprecation", status_code=204, responses=problems(*_DENIED, 404))
    async def deprecate_template(
        name: Name,
        version: Version,
        order: Deprecation,
        request: Request,
        caller: Annotated[Principal, auth.require(TEMPLATE_MANAGE)],
    ) -> None:
        """Take a version out of what the bare name starts; who names it can start it still."""
        await audit.check()
        await templates.deprecate(name, version, order.reason)
        await account(audit, request, caller, "template.deprecate", name, version=version, reason=order.reason)

    @routes.delete("/{name}/versions/{version}/deprecation", status_code=204, responses=problems(*_DENIED, 404))
    async def restore_template(
        name: Name,
        version: Version,
        request: Request,
        caller: Annotated[Principal, auth.require(TEMPLATE_MANAGE)],
    ) -> None:
        """Take back the deprecation of a version."""
        await audit.check()
        await templates.restore(name, version)
        await account(audit, request, caller, "template.restore", name, version=version)

    @routes.delete("/{name}", status_code=204, responses=problems(*_DENIED, 404, 409))
    async def delete_template(
        name: Name, request: Request, caller: Annotated[Principal, auth.require(TEMPLATE_MANAGE)]
    ) -> None:
        """Delete a template that no schedule starts. Its versions are never given to other content; workflows go on."""
        await audit.check()
        await templates.delete(name, users_of=users_of)
        await account(audit, request, caller, "template.delete", name)

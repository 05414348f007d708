"""The contract: the OpenAPI document of an app, finished, as text, and read from an app that is named."""

import json
import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from maestro_core_api._errors import InvalidApi, UnknownApp
from maestro_core_api._problem_table import problem_content, problems

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")
"""The keys of a path that are operations, in the order in which they are published."""


def finish(document: dict[str, Any], schemas: Sequence[type[BaseModel]]) -> None:
    """Name in the document what every operation may answer, publish further shapes, and put all in a fixed order."""
    components = document.setdefault("components", {})
    _, extra = models_json_schema(
        [(schema, "serialization") for schema in schemas], ref_template="#/components/schemas/{model}"
    )
    known = components.setdefault("schemas", {}) | extra.get("$defs", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        known.pop(unused, None)
    components["schemas"] = dict(sorted(known.items()))
    ids: set[str] = set()
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _declare_problems(operation)
            if operation.get("operationId") in ids:
                raise InvalidApi(f"{path}: two operations are called {operation['operationId']}; rename a function")
            ids.add(operation.get("operationId", ""))
        document["paths"][path] = {method: operations[method] for method in METHODS if method in operations}


def _declare_problems(operation: dict[str, Any]) -> None:
    """What the edge answers: an unreadable or too large body, a request that is not of its shape, and anything else."""
    responses: dict[str, Any] = operation["responses"]
    statuses = (400, 413, 422) if "requestBody" in operation else (422,) if "422" in responses else ()
    for status, answer in problems(*statuses).items():
        if "HTTPValidationError" in json.dumps(responses.setdefault(str(status), answer)):  # the framework's own
            responses[str(status)] = answer
    responses.setdefault("default", {"description": "Any other error.", "content": problem_content()})
    operation["responses"] = dict(sorted(responses.items(), key=lambda item: (not item[0].isdigit(), item[0])))


def as_text(document: dict[str, Any]) -> str:
    """The document as it is published."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def contract_text(app: FastAPI) -> str:
    """The contract of an app as it is published: the same text for the same code, wherever it is made."""
    return as_text(app.openapi())


def load_app(app_path: str) -> FastAPI:
    """The app that `module:name` leads to: an app, or a function that makes one without arguments."""
    module_name, separator, name = app_path.partition(":")
    if not separator or not module_name or not name:
        raise UnknownApp(f"{app_path!r} is not of the form module:factory")
    try:
        found = getattr(import_module(module_name), name)
    except ModuleNotFoundError as error:
        raise UnknownApp(f"{app_path}: there is no module {error.name}") from error
    except AttributeError as error:
        raise UnknownApp(f"{app_path}: {error}") from error
    try:
        app = found if isinstance(found, FastAPI) else found()
    except TypeError as error:
        raise UnknownApp(f"{app_path}: cannot be called without arguments: {error}") from error
    if not isinstance(app, FastAPI):
        raise UnknownApp(f"{app_path}: gives {type(app).__name__}, which is no app")
    return app


def export_contract(app_path: str, output: str | Path | None = None) -> str:
    """The contract of `module:factory`; with `output`, written there too, whole or not at all."""
    text = contract_text(load_app(app_path))
    if output is not None:
        target = Path(output)
        draft = target.parent / f".{target.name}.{os.getpid()}"
        try:
            draft.write_text(text, encoding="utf-8")
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)
    return text

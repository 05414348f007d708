"""The tests of a contract that any service reuses."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from fastapi import FastAPI

from maestro_core_api._compatibility import breaking_changes
from maestro_core_api._contract import METHODS, contract_text, load_app
from maestro_core_api._problem_table import MEDIA_TYPE


class ContractTests:
    """Subclass it in a test file and name the app and the file in which its contract is published:

    class TestContract(ContractTests):
        app = "my_service.app:create_app"
        published = Path("contracts/my-service.openapi.json")
    """

    app: ClassVar[str]
    """`module:factory`; the factory takes no arguments and touches nothing of the world."""

    published: ClassVar[Path]
    """Written by `maestro_core_api.export_contract`."""

    def test_no_change_breaks_a_client_in_silence(self) -> None:
        """What breaks those who keep to the published document needs a higher major number (minor while it is 0)."""
        old, new = self._published(), self._document()
        broken = breaking_changes(old, new)
        versions = [document["info"]["version"] for document in (old, new)]
        if broken and _breaking_part(versions[1]) <= _breaking_part(versions[0]):
            listed = "\n  ".join(broken)
            raise AssertionError(f"version {versions[1]} breaks clients of the published {versions[0]}:\n  {listed}")

    def test_the_published_document_is_that_of_the_code(self) -> None:
        """Whoever changes an answer publishes the document too."""
        if Path(self.published).read_text(encoding="utf-8") != contract_text(self._app()):
            raise AssertionError(f"{self.published} is not the contract of {self.app}: export_contract writes it")

    def test_the_document_is_the_same_whenever_it_is_made(self) -> None:
        """Two apps of one factory have one contract."""
        assert contract_text(self._app()) == contract_text(self._app()), f"{self.app} gives two documents"

    def test_every_operation_says_what_it_is(self) -> None:
        """Each has a name of its own, a summary, and a sentence about what it does."""
        faults, names = [], set()
        for where, operation in _operations(self._document()):
            faults += [
                f"{where} has no {word}"
                for word in ("operationId", "summary", "description")
                if not operation.get(word)
            ]
            if operation.get("operationId") in names:
                faults.append(f"{where} is called {operation['operationId']}, as another one is")
            names.add(operation.get("operationId"))
        assert not faults, "; ".join(faults)

    def test_every_error_is_a_problem(self) -> None:
        """Each answer from 400 on is application/problem+json, and `default` covers what is not listed.

        Only readiness answers its 503 with the report itself.
        """
        faults = []
        for where, operation in _operations(self._document()):
            if "default" not in operation["responses"]:
                faults.append(f"{where} has no default answer")
            for status, answer in operation["responses"].items():
                is_error = status == "default" or int(status) >= 400
                if is_error and not where.endswith("/health/ready") and list(answer.get("content", {})) != [MEDIA_TYPE]:
                    faults.append(f"{where} answers {status} without {MEDIA_TYPE}; declare it with problems({status})")
        assert not faults, "; ".join(faults)

    def test_every_reference_leads_somewhere(self) -> None:
        """No shape is named that is not in the document."""
        document = self._document()
        known = {f"#/components/{kind}/{name}" for kind, held in document["components"].items() for name in held}
        lost = set(_references(document)) - known
        assert not lost, f"no such shape: {sorted(lost)}"

    def _app(self) -> FastAPI:
        return load_app(self.app)

    def _document(self) -> dict[str, Any]:
        return self._app().openapi()

    def _published(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(Path(self.published).read_text(encoding="utf-8"))
        return document


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield f"{method.upper()} {path}", item[method]


def _references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for held in part.values():
            yield from _references(held)
    elif isinstance(part, list):
        for held in part:
            yield from _references(held)


def _breaking_part(version: str) -> tuple[int, ...]:
    """The part of a semantic version that rises when something breaks."""
    major, minor = (int(number) for number in version.split(".")[:2])
    return (0, minor) if major == 0 else (major,)

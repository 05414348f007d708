"""An OpenAPI document (3.0 or 3.1): read from a file, an address or as it is, and looked things up in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from maestro_tools._inside import inside
from maestro_tools._yaml import read_yaml

LARGEST_DOCUMENT_BYTES = 8 * 1024 * 1024
_MOST_REFS = 16


class BadDocument(ValueError):
    """Something in a document that cannot be used; the message says where."""


@dataclass(frozen=True, slots=True)
class Document:
    """The document as data; `url` is the address it came from, None when it did not come from one."""

    data: Mapping[str, Any]
    url: str | None = None

    @property
    def is_old(self) -> bool:
        """Whether it is of 3.0, whose schemas are not quite JSON Schema."""
        return str(self.data["openapi"]).startswith("3.0")

    def find(self, ref: str) -> Any:
        """What a `$ref` points at. Raises BadDocument for one that leaves the document, or points at nothing."""
        if not ref.startswith("#/"):
            raise BadDocument(f"{ref[:200]!r} leads out of the document, which is not followed")
        found: Any = self.data
        for part in ref[2:].split("/"):
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                found = found[int(key)]
            elif isinstance(found, Mapping) and key in found:
                found = found[key]
            else:
                raise BadDocument(f"{ref[:200]!r} points at nothing")
        return found

    def whole(self, node: Any, what: str) -> Mapping[str, Any]:
        """An object, behind whatever references stand before it. Raises BadDocument when there is none."""
        for _ in range(_MOST_REFS):
            if not isinstance(node, Mapping):
                raise BadDocument(f"{what} must be an object")
            ref = node.get("$ref")
            if ref is None:
                return node
            node = self.find(str(ref))
        raise BadDocument(f"{what} is behind more than {_MOST_REFS} references")


def parse_document(text: str, url: str | None = None) -> Document:
    """A document from JSON or YAML. Raises BadDocument."""
    try:
        data = json.loads(text) if text.lstrip()[:1] == "{" else read_yaml(text)
    except RecursionError:
        raise BadDocument("is nested too deeply") from None
    except ValueError as error:
        raise BadDocument(str(error)) from error
    return check_document(data, url)


def check_document(data: Any, url: str | None = None) -> Document:
    """A document from data. Raises BadDocument when it is not one of a version that is understood."""
    if not isinstance(data, Mapping) or not isinstance(data.get("openapi"), str):
        raise BadDocument("is no OpenAPI document: it has no version under openapi (Swagger 2 must be converted first)")
    if not data["openapi"].startswith(("3.0.", "3.1.")):
        raise BadDocument(f"is of OpenAPI {data['openapi'][:20]!r}: 3.0 and 3.1 are understood")
    if not isinstance(data.get("paths", {}), Mapping):
        raise BadDocument("has paths that are no object")
    return Document(data, url)


def read_document(path: str, base_dir: Path) -> Document:
    """A document from a file below `base_dir`. Raises BadDocument."""
    try:
        with inside(base_dir, path).open("rb") as file:
            data = file.read(LARGEST_DOCUMENT_BYTES + 1)
        if len(data) > LARGEST_DOCUMENT_BYTES:
            raise ValueError(f"{path!r} is larger than {LARGEST_DOCUMENT_BYTES} bytes")
        return parse_document(data.decode())
    except (OSError, ValueError) as error:
        raise BadDocument(str(error)) from error

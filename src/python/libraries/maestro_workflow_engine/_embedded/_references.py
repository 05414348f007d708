"""Which artifacts a workflow names: what the collection of garbage rests on."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from maestro_workflow_engine._events import EVENT_TYPES, WORKFLOW_STARTED

INSERT_REFERENCE: Final = "INSERT OR IGNORE INTO artifact_references (sha256, workflow) VALUES (?, ?)"

# A string by itself, as in every ArtifactRef: to look into longer texts would take the writer fifty times as long.
_HASH: Final = re.compile('"([0-9a-f]{64})"')
_SHORTEST: Final = 66
_STARTED: Final = EVENT_TYPES.index(WORKFLOW_STARTED)
_DEFINITION: Final = '"definition":"'


def hashes_in(text: str) -> set[str]:
    """The strings in a JSON text that can be names of artifacts, wherever they stand."""
    return set(_HASH.findall(text))


def references_in(rows: Iterable[Sequence[Any]]) -> list[tuple[str, int]]:
    """The rows of INSERT_REFERENCE that belong to rows of INSERT_EVENT."""
    return list(_references_in(rows))


def _references_in(rows: Iterable[Sequence[Any]]) -> Iterator[tuple[str, int]]:
    for _, workflow, _, type_, _, text in rows:
        if len(text) < _SHORTEST:
            continue
        hashes = hashes_in(text)
        if hashes and type_ == _STARTED:  # it names its definition, before anything that a user has given
            hashes.discard(text.partition(_DEFINITION)[2][:64])
        for sha256 in hashes:
            yield sha256, workflow

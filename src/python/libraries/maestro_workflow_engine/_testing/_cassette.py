"""Cassettes: what steps gave, kept in a file and played again without asking anybody."""

import json
from pathlib import Path
from typing import Any, Literal

from maestro_workflow_engine._errors import WorkflowError
from maestro_workflow_engine._json import JSON, canonical_digest, plain_copy
from maestro_workflow_engine._ports import StepCall

_VERSION = 1


class NotOnCassette(WorkflowError):
    """The cassette holds no such call: a step, or its arguments, are other than when it was recorded."""

    code = "workflow.not-on-cassette"


class Cassette:
    """A file of calls and results; `mode="record"` asks the real step and keeps the result, `"play"` never asks.

    `"auto"` plays what is there and records what is not. A call is found by step, item and arguments, and its n-th time
    by the n-th recording. Failures are kept too. Secrets stand in it as their names. Raises ValueError for a file that
    is no cassette.
    """

    def __init__(self, path: Path, mode: Literal["record", "play", "auto"] = "auto") -> None:
        self.path = path
        self.mode = mode
        self._tracks: dict[str, list[dict[str, Any]]] = {}
        self._played: dict[str, int] = {}
        if mode != "record" and path.exists():
            self._tracks = self._read()

    def _read(self) -> dict[str, list[dict[str, Any]]]:
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            if content["version"] != _VERSION:
                raise ValueError(f"version {content['version']!r}, {_VERSION} is known")
            tracks: dict[str, list[dict[str, Any]]] = content["tracks"]
            if not all(isinstance(track, list) for track in tracks.values()):
                raise ValueError("a track is no list")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{self.path} is no cassette: {error}") from error
        return tracks

    def find(self, call: StepCall) -> dict[str, Any] | None:
        """The recording of this call, or None when the real step is to be asked; raises NotOnCassette."""
        key = key_of(call)
        track = self._tracks.get(key, [])
        number = self._played.get(key, 0)
        if self.mode != "record" and number < len(track):
            self._played[key] = number + 1
            return track[number]
        if self.mode == "play":
            which = f"call {number + 1} of {key.partition(' ')[0]} with these arguments"
            raise NotOnCassette(f"{self.path.name} holds no {which}: record it again")
        return None

    def keep(self, call: StepCall, recording: dict[str, Any]) -> None:
        """Keep what a call came to, and write the file."""
        key = key_of(call)
        self._tracks.setdefault(key, []).append(recording)
        self._played[key] = self._played.get(key, 0) + 1
        text = json.dumps({"version": _VERSION, "tracks": self._tracks}, indent=1, sort_keys=True, ensure_ascii=False)
        new = self.path.with_name(self.path.name + ".new")
        new.write_text(text + "\n", encoding="utf-8")
        new.replace(self.path)


def key_of(call: StepCall) -> str:
    """Step and item in clear, the arguments as a digest; a secret counts by its name."""
    arguments = _without(plain_copy(dict(call.arguments)), call.secrets)
    where = call.step_id if call.item_index is None else f"{call.step_id}[{call.item_index}]"
    return f"{where} {canonical_digest(arguments)[:16]}"


def _without(value: JSON, secrets: Any) -> JSON:
    if isinstance(value, str):
        for name, secret in secrets.items():
            value = value.replace(secret, f"<secret {name}>") if secret else value
        return value
    if isinstance(value, list):
        return [_without(each, secrets) for each in value]
    if isinstance(value, dict):
        return {key: _without(each, secrets) for key, each in value.items()}
    return value

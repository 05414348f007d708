"""Secrets: where their values come from, and how they are kept out of everything that is stored or shown."""

import os
import re
from collections.abc import Collection, Iterator, Mapping
from itertools import chain
from typing import ClassVar, Final, Protocol, runtime_checkable

from maestro_workflow_engine._errors import StepError
from maestro_workflow_engine._json import JSON

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_MARKS: Final = "*•█"
_IN_NUMBERS: Final = frozenset("0123456789+-.eE")
_UNBROKEN_CHARS: Final = 64 << 10
"""How much of a line without end is held back at most, unless a secret is longer."""


class SecretNotFound(StepError):
    """No secret has this name."""

    code: ClassVar[str] = "workflow.secret-not-found"

    def __init__(self, name: str, advice: str) -> None:
        self.name = name
        super().__init__(f"there is no secret {name[:64]!r}: {advice}")


class SecretInArtifact(StepError):
    """An artifact would hold the value of a secret, and so show it to everybody who may read the workflow."""

    code: ClassVar[str] = "workflow.secret-in-artifact"

    def __init__(self, name: str) -> None:
        super().__init__(f"the artifact {name!r} holds the value of a secret of this step: leave it out of the file")


@runtime_checkable
class SecretSource(Protocol):
    """Knows the values of secrets."""

    async def get(self, name: str) -> str:
        """The value as it is now; raises SecretNotFound, or another error whose text holds no value."""
        ...


class EnvironmentSecrets:
    """Secrets in environment variables: `secrets.TOKEN` is `MAESTRO_SECRET_TOKEN`; an empty one is none."""

    def __init__(self, prefix: str = "MAESTRO_SECRET_", environment: Mapping[str, str] | None = None) -> None:
        self._prefix = prefix
        self._environment = os.environ if environment is None else environment

    async def get(self, name: str) -> str:
        """The value of the variable now; raises SecretNotFound."""
        value = self._environment.get(self._prefix + name) if _NAME.fullmatch(name) else None
        if not value:
            raise SecretNotFound(name, f"set the environment variable {self._prefix}{name[:64]}")
        return value


def masked(value: JSON, secrets: Collection[str]) -> JSON:
    """A copy of plain JSON data in which no secret is left, neither in a text, nor in a name, nor as a number."""
    return Masker(secrets).value(value)


def masked_text(text: str, secrets: Collection[str]) -> str:
    """The text with `***` in place of every secret in it."""
    return Masker(secrets).text(text)


def _forms_of(secrets: Collection[str]) -> list[str]:
    from maestro_workflow_engine._secrets_forms import forms_of  # with HTML's entities: not before there is a secret

    return forms_of(secrets)


class Masker:
    """Puts `***` in place of secrets of 4 characters and more: as they are, in JSON, in URLs, in base64, by lines.

    The cost is linear in the text. Where a secret has stars in it, the mask is of another character.
    """

    def __init__(self, secrets: Collection[str]) -> None:
        self._forms = _forms_of(secrets) if secrets else []
        self._numbers = [form for form in self._forms if _IN_NUMBERS.issuperset(form)]
        used = set().union(*self._forms)
        # A mask of characters that are in no form: what it stands between can never read as a secret together.
        self._mask = 3 * next(mark for mark in chain(_MARKS, map(chr, range(0x2580, 0x10000))) if mark not in used)

    def __repr__(self) -> str:
        return f"Masker({len(self._forms)} forms)"

    @property
    def longest(self) -> int:
        """The length of the longest text that is looked for; 0 when there is none."""
        return len(self._forms[0]) if self._forms else 0

    @property
    def most_breaks(self) -> int:
        """Over how many line breaks one has to look for a secret that is not hidden line by line anyhow."""
        lines = [form for form in self._forms if "\n" not in form]
        over_lines = [form for form in self._forms if "\n" in form and not any(line in form for line in lines)]
        return max((form.count("\n") for form in over_lines), default=0)

    def text(self, text: str) -> str:
        """The text without any of the secrets."""
        spans = self.spans(text)
        if not spans:
            return text
        ends = [0, *(end for _, end in spans)]
        begins = [*(begin for begin, _ in spans), len(text)]
        return self._mask.join(text[end:begin] for end, begin in zip(ends, begins, strict=True))

    def value(self, value: JSON) -> JSON:
        """The data without any of the secrets; names that become the same are told apart by numbers."""
        if not self._forms:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            return self._object(value)
        if self._numbers and value is not None and not isinstance(value, bool):
            return self._mask if any(form in str(value) for form in self._numbers) else value
        return value

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where secrets stand: sorted, and neither overlapping nor touching each other."""
        merged: list[tuple[int, int]] = []
        for begin, end in sorted(self._found(text)):
            if merged and begin <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(end, merged[-1][1])
            else:
                merged.append((begin, end))
        return merged

    def scan(self) -> "SecretScan":
        """Looks for the secrets in bytes that come in parts."""
        return SecretScan([form.encode("utf-8", "replace") for form in self._forms])

    def _found(self, text: str) -> Iterator[tuple[int, int]]:
        for form in self._forms:
            at = text.find(form)
            while at >= 0:
                yield at, at + len(form)
                at = text.find(form, at + len(form))

    def _object(self, value: dict[str, JSON]) -> dict[str, JSON]:
        clean: dict[str, JSON] = {}
        counts: dict[str, int] = {}
        for name, member in value.items():
            shown = alike = self.text(name)
            while shown in clean or (shown != name and shown in value):
                counts[alike] = counts.get(alike, 1) + 1
                # A mark before each digit: a number of several would look like a part of a secret.
                shown = alike + "".join(self._mask[0] + digit for digit in str(counts[alike]))
            clean[shown] = self.value(member)
        return clean


class SecretScan:
    """Tells whether bytes that come in parts hold a secret, also across two parts."""

    def __init__(self, forms: list[bytes]) -> None:
        self._forms = forms
        self._overlap = max(map(len, forms), default=1) - 1
        self._tail = b""

    def holds(self, part: bytes) -> bool:
        """Whether a secret ends in this part."""
        if not self._forms:
            return False
        data = self._tail + part
        self._tail = data[len(data) - self._overlap :] if len(data) > self._overlap else data
        return any(form in data for form in self._forms)


class StreamMasker:
    """Masks a text that comes in parts, such as the output of a running command; `flush` gives what is left.

    Whole lines come out as soon as no secret can go on after them, and of a very long line all but its last part.
    """

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._breaks_held = masker.most_breaks
        self._parts: list[str] = []
        self._held_chars = 0
        self._bound = max(_UNBROKEN_CHARS, 4 * masker.longest)

    def feed(self, part: str) -> str:
        """What is certain to hold no secret, of this part and of those before."""
        self._parts.append(part)
        self._held_chars += len(part)
        if "\n" in part:
            return self._let_go(None)
        if self._held_chars > self._bound:
            return self._let_go(self._held_chars - self._masker.longest)
        return ""

    def flush(self) -> str:
        """The rest, when nothing more comes."""
        return self._let_go(self._held_chars)

    def _let_go(self, cut: int | None) -> str:
        text = "".join(self._parts)
        if cut is None:
            cut = self._after_whole_lines(text)
        for begin, end in self._masker.spans(text) if cut else ():
            if begin < cut < end:
                cut = end
        self._parts, self._held_chars = [text[cut:]], len(text) - cut
        return self._masker.text(text[:cut])

    def _after_whole_lines(self, text: str) -> int:
        """Where the lines end in which no secret begins that may go on behind the text."""
        at = len(text)
        for _ in range(self._breaks_held + 1):
            at = text.rfind("\n", 0, at)
            if at < 0:
                return 0
        return at + 1

"""Patterns of form fields: regular expressions that match in time linear to the text, whatever the pattern.

A subset of those of JSON Schema: literals, `.`, classes, `\\d \\w \\s` and their opposites (ASCII), groups without
references, `|`, `^`, `$`, `* + ? {n} {n,} {n,m}`. No look-around, no back-reference, no `\\b`, no `\\p`.
"""

from typing import Final, NamedTuple, TypeAlias

MAX_PATTERN: Final = 500
_MAX_COUNT: Final = 500
_MAX_CODE: Final = 2_000
_MAX_DEPTH: Final = 30

_Ranges: TypeAlias = tuple[tuple[int, int], ...]
_DIGIT: Final[_Ranges] = ((48, 57),)
_WORD: Final[_Ranges] = ((48, 57), (65, 90), (95, 95), (97, 122))
_SPACE: Final[_Ranges] = ((9, 13), (32, 32), (0xA0, 0xA0), (0x2028, 0x2029), (0xFEFF, 0xFEFF))
_CLASSES: Final = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_CONTROLS: Final = {"t": 9, "n": 10, "v": 11, "f": 12, "r": 13, "0": 0}
_LAST: Final = 0x10FFFF
_PUNCTUATION: Final = frozenset("^$\\.*+?()[]{}|/-")


class BadPattern(ValueError):
    """A pattern that is none, or none of the subset."""


class _One(NamedTuple):
    """Takes one character out of ranges."""

    ranges: _Ranges


class _Split(NamedTuple):
    """Goes on at both places, as seen from here."""

    first: int
    second: int


_Code: TypeAlias = "list[_One | _Split | str]"
"""Instructions; `^` and `$` stand for themselves. Whoever comes to the end has matched."""


class Pattern:
    """A compiled pattern; raises BadPattern."""

    def __init__(self, source: str) -> None:
        if len(source) > MAX_PATTERN:
            raise BadPattern(f"the pattern has {len(source)} characters, {MAX_PATTERN} are possible")
        self._code = _Reader(source).whole()

    def is_in(self, text: str) -> bool:
        """Whether it matches anywhere in the text."""
        now: set[int] = set()
        for at in range(len(text) + 1):
            if self._follow(0, now, at, len(text)):
                return True
            if at == len(text):
                return False
            character = ord(text[at])
            following: set[int] = set()
            for place in now:
                step = self._code[place]
                takes = isinstance(step, _One) and any(low <= character <= high for low, high in step.ranges)
                if takes and self._follow(place + 1, following, at + 1, len(text)):
                    return True
            now = following
        return False

    def _follow(self, place: int, places: set[int], at: int, end: int) -> bool:
        """Collect where a character may be taken from here on; true when the end can be reached without any."""
        stack = [place]
        while stack:
            place = stack.pop()
            if place == len(self._code):
                return True
            if place in places:
                continue
            places.add(place)
            step = self._code[place]
            if isinstance(step, _Split):
                stack += (place + step.first, place + step.second)
            elif (step == "^" and at == 0) or (step == "$" and at == end):
                stack.append(place + 1)
        return False


class _Reader:
    """Reads a pattern from left to right."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._depth = 0

    def whole(self) -> _Code:
        code = self._alternatives()
        if self._at < len(self._source):
            raise self._bad("a ) without its (")
        return code

    def _bad(self, reason: str) -> BadPattern:
        return BadPattern(f"the pattern cannot be used at character {self._at + 1}: {reason}")

    def _peek(self) -> str:
        return self._source[self._at : self._at + 1]

    def _next(self) -> str:
        character = self._peek()
        self._at += 1
        return character

    def _alternatives(self) -> _Code:
        code = self._sequence()
        while self._peek() == "|":
            self._at += 1
            other = self._sequence()
            code = self._fits([_Split(1, len(code) + 2), *code, _Split(len(other) + 1, len(other) + 1), *other])
        return code

    def _sequence(self) -> _Code:
        code: _Code = []
        while (character := self._peek()) and character not in "|)":
            code = self._fits(code + self._quantified(self._atom()))
        return code

    def _fits(self, code: _Code) -> _Code:
        if len(code) > _MAX_CODE:
            raise self._bad("it asks for too many characters at once")
        return code

    def _atom(self) -> _Code:
        character = self._next()
        if character == "(":
            return self._group()
        if character == "[":
            return [_One(self._bracket())]
        if character == ".":
            return [_One(_but(((10, 10), (13, 13), (0x2028, 0x2029))))]
        if character in "^$":
            return [character]
        if character == "\\":
            return [_One(self._escape())]
        if character in "*+?{":
            raise self._bad(f"nothing stands before {character}; write \\{character} for the character itself")
        return [_One(((ord(character), ord(character)),))]

    def _group(self) -> _Code:
        if self._source.startswith("?:", self._at):
            self._at += 2
        elif self._peek() == "?":
            raise self._bad("look-around and named groups are not possible")
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self._bad("too many groups within each other")
        code = self._alternatives()
        self._depth -= 1
        if self._next() != ")":
            raise self._bad("a ( without its )")
        return code

    def _escape(self) -> _Ranges:
        character = self._next()
        if character and character.lower() in _CLASSES:
            ranges = _CLASSES[character.lower()]
            return ranges if character.islower() else _but(ranges)
        code = self._escaped(character)
        return ((code, code),)

    def _escaped(self, character: str) -> int:
        if character in _CONTROLS:
            return _CONTROLS[character]
        if character in ("x", "u"):
            digits = self._source[self._at : self._at + (2 if character == "x" else 4)]
            if len(digits) != (2 if character == "x" else 4) or not all(d in "0123456789abcdefABCDEF" for d in digits):
                raise self._bad(f"\\{character} needs {2 if character == 'x' else 4} hexadecimal digits")
            self._at += len(digits)
            return int(digits, 16)
        if character in _PUNCTUATION:
            return ord(character)
        raise self._bad(f"\\{character} is not possible")

    def _bracket(self) -> _Ranges:
        is_negated = self._peek() == "^"
        self._at += is_negated
        ranges: list[tuple[int, int]] = []
        while (character := self._next()) != "]":
            if not character:
                raise self._bad("a [ without its ]")
            low = self._member(character)
            if self._peek() == "-" and self._source[self._at + 1 : self._at + 2] not in ("]", ""):
                self._at += 1
                high = self._member(self._next())
                if len(low) != 1 or len(high) != 1 or low[0][0] != low[0][1] or high[0][0] < low[0][0]:
                    raise self._bad("a range goes from a lower to a higher character")
                low = ((low[0][0], high[0][1]),)
            ranges += low
        return _but(tuple(ranges)) if is_negated else tuple(ranges)

    def _member(self, character: str) -> _Ranges:
        return self._escape() if character == "\\" else ((ord(character), ord(character)),)

    def _quantified(self, atom: _Code) -> _Code:
        least, most = self._quantifier()
        if (least, most) == (1, 1):
            return atom
        if (most is not None and most * (len(atom) + 1) > _MAX_CODE) or least * len(atom) > _MAX_CODE:
            raise self._bad("it asks for too many characters at once")
        code = atom * least
        if most is None:
            return [*code, _Split(1, len(atom) + 2), *atom, _Split(-len(atom) - 1, -len(atom) - 1)]
        for left in range(most - least, 0, -1):
            code += [_Split(1, left * (len(atom) + 1)), *atom]
        return code

    def _quantifier(self) -> tuple[int, int | None]:
        character = self._peek()
        simple: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        if character in simple:
            self._at += 1
            counts = simple[character]
        elif character == "{":
            counts = self._counts()
        else:
            return 1, 1
        if self._peek() == "?":  # as few as possible: the same texts match
            self._at += 1
        if self._peek() in ("*", "+", "{"):
            raise self._bad("two quantifiers follow each other: put a group around the first")
        return counts

    def _counts(self) -> tuple[int, int | None]:
        end = self._source.find("}", self._at)
        least, comma, most = self._source[self._at + 1 : end].partition(",") if end > 0 else ("", "", "")
        numbers = [text for text in (least, most) if text]
        if not least or any(not text.isascii() or not text.isdigit() or len(text) > 3 for text in numbers):
            raise self._bad("{ is followed by a count, such as {3}, {1,} or {1,3}; write \\{ for the character itself")
        self._at = end + 1
        low = int(least)
        high = (int(most) if most else None) if comma else low
        if low > _MAX_COUNT or (high is not None and (high > _MAX_COUNT or high < low)):
            raise self._bad(f"counts go up to {_MAX_COUNT}, the lower first")
        return low, high


def _but(ranges: _Ranges) -> _Ranges:
    """Everything else."""
    others, at = [], 0
    for low, high in sorted(ranges):
        if low > at:
            others.append((at, low - 1))
        at = max(at, high + 1)
    if at <= _LAST:
        others.append((at, _LAST))
    return tuple(others)

"""Reads the values that the parts of a definition are made of: numbers, words, names, texts and expressions."""

import re
from collections.abc import Sequence

from maestro_workflow_engine._expressions import Template, compile_all
from maestro_workflow_engine._json import JSON, json_kind, pointer
from maestro_workflow_engine._report import Report

MAX_TIMEOUT_S = 31_536_000.0
MAX_AMOUNT = 1e12
MAX_TITLE_CHARS = 200

NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}\Z")
NAME_RULE = "letters, digits, '_' and '-', begins with a letter or '_', and has at most 64 characters"
TITLE_RULE = f"one line of 1 to {MAX_TITLE_CHARS} printable characters, without spaces around it"


def is_title(text: str) -> bool:
    """Whether a text will do as the name of something that people read."""
    return 1 <= len(text) <= MAX_TITLE_CHARS and text.isprintable() and text == text.strip()


class Values:
    """Reads single values; each that will not do is reported, and something harmless is given in its place."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def template(self, path: str, value: JSON) -> Template:
        """The template of a value, its bad expressions reported."""
        template, problems = compile_all(value)
        for problem in problems:
            self.report.add(path + problem.path, "bad-expression", problem.reason)
        return template

    def expression(self, path: str, raw: JSON, name: str, wanted: str) -> Template | None:
        """The template of a text that is one expression and nothing else."""
        if not isinstance(raw, str) or "${{" not in raw:
            self.report.add(path, "wrong-type", f"{name} is {wanted}, not {json_kind(raw)} without one")
            return None
        template, problems = compile_all(raw)
        for problem in problems:
            self.report.add(path, "bad-expression", problem.reason)
        if not problems and not template.is_expression:
            self.report.add(path, "not-one-expression", f"{name} is {wanted}: remove the text around the expression")
        return template

    def title(self, path: str, raw: JSON, name: str) -> Template | None:
        """The template of a short text that may hold expressions."""
        if not isinstance(raw, str):
            self.report.add(path, "wrong-type", f"{name} is a string, which may hold expressions, not {json_kind(raw)}")
        elif not is_title(raw):
            self.report.add(path, "bad-value", f"{name} is {TITLE_RULE}")
        else:
            return self.template(path, raw)
        return None

    def timeout(self, path: str, raw: dict[str, JSON]) -> float | None:
        """The seconds of `timeout_s`, or None without it."""
        if "timeout_s" not in raw:
            return None
        value = self.number(path, raw, "timeout_s", 0.0, MAX_TIMEOUT_S, MAX_TIMEOUT_S)
        if value == 0.0:
            message = "timeout_s is more than 0: leave it out for no time limit"
            self.report.add(f"{path}/timeout_s", "bad-value", message)
        return value

    def number(self, path: str, raw: dict[str, JSON], key: str, least: float, most: float, otherwise: float) -> float:
        """A number within its limits; `otherwise` when the key is not there."""
        value = raw.get(key, otherwise)
        if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most:
            return float(value)
        code = "bad-value" if isinstance(value, int | float) and not isinstance(value, bool) else "wrong-type"
        message = f"{key} is a number from {least:g} to {_figure(most)}, not {_shown(value)}"
        self.report.add(pointer(path, key), code, message)
        return otherwise

    def integer(
        self, path: str, raw: dict[str, JSON], key: str, most: int, alternative: str = "", *, least: int = 1
    ) -> int | None:
        """An integer within its limits; None when the key is not there, or what it holds will not do."""
        if key not in raw:
            return None
        value = raw[key]
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        code = "bad-value" if isinstance(value, int) and not isinstance(value, bool) else "wrong-type"
        message = f"{key} is an integer from {least} to {most:,}{alternative}, not {_shown(value)}"
        self.report.add(pointer(path, key), code, message)
        return None

    def word(self, path: str, raw: dict[str, JSON], key: str, known: Sequence[str]) -> str:
        """One of a few words; the first of them when the key is not there."""
        value = raw.get(key, known[0])
        if isinstance(value, str) and value in known:
            return value
        is_text = isinstance(value, str)
        shown = f"{value[:64]!r}{self.report.hint(value, known)}" if isinstance(value, str) else json_kind(value)
        message = f"{key} is {' or '.join(known)}, not {shown}"
        self.report.add(pointer(path, key), "bad-value" if is_text else "wrong-type", message)
        return known[0]


def _figure(number: float) -> str:
    return f"{number:,.0f}" if number >= 1 and number.is_integer() else f"{number:g}"


def _shown(value: JSON) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return json_kind(value)
    return f"{value:,}"

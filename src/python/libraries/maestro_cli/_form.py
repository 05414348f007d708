"""The form of an approval as questions on a terminal. Pure: what fits in the end is the engine's to say."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from maestro_cli._text import plain

LEFT_OUT: Final = object()
"""The value of a field that was left empty."""
_YES: Final = frozenset({"y", "yes", "true"})
_NO: Final = frozenset({"n", "no", "false"})


@dataclass(frozen=True, slots=True)
class Question:
    """One field of a form."""

    name: str
    field: Mapping[str, Any]
    is_required: bool

    @property
    def prompt(self) -> str:
        """What stands before the cursor."""
        hints = [self._expected()]
        if "default" in self.field:
            hints.append(f"empty: {_shown(self.field['default'])}")
        elif not self.is_required:
            hints.append("may be empty")
        about = ", ".join(hint for hint in hints if hint)
        return plain(str(self.field.get("title") or self.name) + (f" ({about})" if about else "")) + ": "

    def value(self, text: str) -> object:
        """What was typed as the value that the field wants; LEFT_OUT when nothing was; raises ValueError."""
        text = text.strip()
        type_ = self.field.get("type")
        if not text:
            if self.is_required and "default" not in self.field:
                raise ValueError("it cannot be left empty")
            return self.field.get("default", LEFT_OUT)
        if type_ == "boolean":
            if text.lower() in _YES | _NO:
                return text.lower() in _YES
            raise ValueError("y or n was expected")
        if type_ == "integer":
            return int(text)
        if type_ == "number":
            return float(text)
        if type_ == "array":
            choices = _choices(self.field.get("items"))
            return [_chosen(each.strip(), choices) for each in text.split(",") if each.strip()]
        return _chosen(text, _choices(self.field))

    def _expected(self) -> str:
        match self.field.get("type"):
            case "boolean":
                return "y or n"
            case "integer" | "number":
                low, high = self.field.get("minimum"), self.field.get("maximum")
                bounds = [f"from {low}" if low is not None else "", f"to {high}" if high is not None else ""]
                return " ".join(each for each in ("a number", *bounds) if each)
            case "array":
                return "some of " + _listed(_choices(self.field.get("items")))
            case _:
                choices = _choices(self.field)
                return _listed(choices) if choices else str(self.field.get("format") or "")


def questions(form: object) -> Iterator[Question]:
    """Each field of a form, in its order."""
    if isinstance(form, Mapping):
        required = form.get("required") or ()
        for name, field in (form.get("properties") or {}).items():
            yield Question(name, field, name in required)


def _choices(shape: object) -> dict[str, str]:
    """What may be chosen, each with its title."""
    if not isinstance(shape, Mapping):
        return {}
    if "enum" in shape:
        return dict(zip(shape["enum"], shape.get("enumNames", shape["enum"]), strict=False))
    members = shape.get("oneOf") or shape.get("anyOf") or ()
    return {member["const"]: str(member.get("title") or member["const"]) for member in members}


def _listed(choices: Mapping[str, str]) -> str:
    return " | ".join(value if value == title else f"{value} = {title}" for value, title in choices.items())


def _chosen(text: str, choices: Mapping[str, str]) -> str:
    """The value that was meant: typed as it is, or by its title."""
    if not choices or text in choices:
        return text
    meant = [value for value, title in choices.items() if text.lower() in (value.lower(), title.lower())]
    if len(meant) != 1:
        raise ValueError(f"one of {', '.join(choices)} was expected")
    return meant[0]


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "y" if value else "n"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

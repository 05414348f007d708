"""What an expression may read depends on where it stands."""

from typing import Any

import pytest

from maestro_workflow_engine import BadExpression, InvalidDefinition, compile_template, parse_definition

STEP: dict[str, Any] = {"kind": "shell"}
REPEAT = {"until": "${{ true }}", "max_iterations": 2}
MAP = {"items": [1]}

# Where an expression may stand: how a definition looks that holds it there.
PLACES: dict[str, Any] = {
    "with": lambda text: {"steps": {"a": {**STEP, "with": {"k": text}}}},
    "with of a map": lambda text: {"steps": {"a": {**STEP, "map": MAP, "with": {"k": text}}}},
    "with of a loop": lambda text: {"steps": {"a": {**STEP, "repeat": REPEAT, "with": {"k": text}}}},
    "when": lambda text: {"steps": {"a": {**STEP, "map": MAP, "repeat": REPEAT, "when": text}}},
    "map.items": lambda text: {"steps": {"a": {**STEP, "map": {"items": text}, "repeat": REPEAT}}},
    "until": lambda text: {"steps": {"a": {**STEP, "repeat": {**REPEAT, "until": text}}}},
    "until of a map": lambda text: {"steps": {"a": {**STEP, "map": MAP, "repeat": {**REPEAT, "until": text}}}},
    "limits": lambda text: {"steps": {"a": {**STEP, "repeat": REPEAT, "limits": [text]}}},
    "limits of a map": lambda text: {"steps": {"a": {**STEP, "map": MAP, "limits": [{"name": text}]}}},
    "cost": lambda text: {"steps": {"a": {**STEP, "repeat": REPEAT, "cost": {"calls": text}}}},
    "cost of a map": lambda text: {"steps": {"a": {**STEP, "map": MAP, "cost": {"calls": text}}}},
    "compensate": lambda text: {
        "steps": {"a": {**STEP, "repeat": REPEAT, "compensate": {**STEP, "with": {"k": text}}}}
    },
    "compensate of a map": lambda text: {
        "steps": {"a": {**STEP, "map": MAP, "compensate": {**STEP, "with": {"k": text}}}}
    },
    "on_failure": lambda text: {"steps": {"a": STEP}, "on_failure": {"f": {**STEP, "with": {"k": text}}}},
    "finally": lambda text: {"steps": {"a": STEP}, "finally": {"f": {**STEP, "when": text}}},
    "tools": lambda text: {"steps": {"a": STEP}, "tools": {"t": {"k": text}}},
    "outputs": lambda text: {"steps": {"a": STEP}, "outputs": {"o": text}},
    "concurrency": lambda text: {"steps": {"a": STEP}, "concurrency": {"key": text}},
}
ALWAYS = {"inputs", "inputs.x", "workflow.id", "workflow.name", "workflow.parent", "1"}
ITEM = {"item", "index"}
LATE = {"workflow.status", "workflow.error", "workflow.failed_step"}
OWN = {"steps.a.output"}
OPEN: dict[str, set[str]] = {
    "with": {"steps.b.output", "secrets.S"},
    "with of a map": {"steps.b.output", "secrets.S"} | ITEM,
    "with of a loop": {"steps.b.output", "secrets.S", "previous", "iteration"},
    "when": {"steps.b.output"},
    "map.items": {"steps.b.output"},
    "until": {"steps.b.output", "output", "iteration"},
    "until of a map": {"steps.b.output", "output", "iteration"},
    "limits": {"steps.b.output"},
    "limits of a map": {"steps.b.output"} | ITEM,
    "cost": {"steps.b.output"},
    "cost of a map": {"steps.b.output"},
    "compensate": {"steps.b.output", "secrets.S", "output"} | OWN | LATE,
    "compensate of a map": {"steps.b.output", "secrets.S", "output"} | OWN | LATE | ITEM,
    "on_failure": {"steps.b.output", "secrets.S"} | LATE | OWN,
    "finally": {"steps.b.output"} | LATE | OWN,
    "tools": {"secrets.S"},
    "outputs": {"steps.b.output"} | OWN,
    "concurrency": set(),
}
READS = sorted(ALWAYS | ITEM | LATE | OWN | {"steps.b.output", "secrets.S", "previous", "iteration", "output"})


def document_of(place: str, expression: str) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": "n",
        "inputs": {"x": {"type": "string"}},
        **PLACES[place](f"${{{{ {expression} }}}}"),
    }
    return {**document, "steps": {"b": STEP, **document["steps"]}}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("read", READS)
def test_each_place_reads_what_has_a_value_there(place: str, read: str) -> None:
    """Whatever has no value at a place, or must not reach it, is refused before anything runs, with one problem."""
    document = document_of(place, read)
    if read in ALWAYS | OPEN[place]:
        assert parse_definition(document).steps
        return
    with pytest.raises(InvalidDefinition) as caught:
        parse_definition(document)
    (problem,) = caught.value.problems
    assert problem.code in {"definition.unreadable", "definition.item-outside-map", "definition.self-reference"}
    assert "read" in problem.message or "add one" in problem.message, "it says what to do"


@pytest.mark.parametrize("place", ["when", "map.items", "outputs", "cost", "limits", "until", "concurrency"])
@pytest.mark.parametrize(
    "expression", ["secrets.S", "len(secrets.S) > 0", "default(secrets['S'], 'x')", "!(1 == secrets.S)"]
)
def test_a_secret_is_refused_wherever_it_could_be_stored(place: str, expression: str) -> None:
    """However deep in an expression, a secret cannot get into what the journal keeps."""
    with pytest.raises(InvalidDefinition) as caught:
        parse_definition(document_of(place, expression))
    (problem,) = caught.value.problems
    assert problem.code == "definition.unreadable"
    assert "only in `with` and `tools`, so that it is never stored" in problem.message


def test_a_template_names_the_secrets_that_it_reads() -> None:
    """The runner learns from the template which secrets to fetch."""
    template = compile_template({"a": "Bearer ${{ secrets.TOKEN }}", "b": ["${{ secrets['KEY'] + secrets.TOKEN }}"]})
    assert template.secrets == {"TOKEN", "KEY"}
    assert template.render({"secrets": {"TOKEN": "t", "KEY": "k"}}) == {"a": "Bearer t", "b": ["kt"]}
    assert compile_template("${{ inputs.x }}").secrets == frozenset()


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("secrets", "'secrets' alone has no value: write secrets.… with the name of a secret"),
        ("secrets[inputs.x]", "it must be known before anything runs"),
        ("secrets['a-b']", "holds letters, digits and '_'"),
        ("secrets['']", "holds letters, digits and '_'"),
        ("secrets['1a']", "holds letters, digits and '_'"),
        ("secrets['" + "a" * 65 + "']", "at most 64 characters"),
        ("workflow.eror", "(did you mean 'error'?)"),
        ("workflow.output", "workflow has id, name, status, error, failed_step, parent"),
    ],
)
def test_names_behind_a_root_are_known_before_anything_runs(expression: str, message: str) -> None:
    """A secret and a field of the workflow are named, not worked out."""
    with pytest.raises(BadExpression) as caught:
        compile_template(f"${{{{ {expression} }}}}")
    assert message in str(caught.value)


def test_new_roots_are_values_like_any_other() -> None:
    """Parts of them are read with dots and brackets, and they work in operators and functions."""
    scope = {"previous": {"n": [1]}, "iteration": 2, "output": {"done": True}, "workflow": {"error": {"code": "c"}}}
    text = (
        "${{ previous.n[0] + iteration }} ${{ output.done && workflow.error.code }} ${{ default(previous.x, 'none') }}"
    )
    assert compile_template(text).render(scope) == "3 c none"


def test_a_secret_of_a_step_that_another_reads_stays_a_need() -> None:
    """Reading a secret beside a step does not hide the step."""
    document = document_of("with", "secrets.S + steps.b.output")
    assert parse_definition(document).steps["a"].needs == ("b",)

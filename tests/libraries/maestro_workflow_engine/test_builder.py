"""A workflow that is built in Python is a document like any other, and can say all that a document can."""

import inspect
import json
from typing import Any, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maestro_workflow_engine import ExpressionFailed, InvalidDefinition, compile_template, parse_definition
from maestro_workflow_engine._builder import (
    Block,
    Concurrent,
    Joining,
    Limit,
    Map,
    Repeating,
    Retry,
    Undo,
    Workflow,
)
from maestro_workflow_engine._builder_expressions import Expression, call, here, secret
from maestro_workflow_engine._parse import DOCUMENT_KEYS
from maestro_workflow_engine._parse_flow import JOIN_KEYS, LIMIT_KEYS, MAP_KEYS, REPEAT_KEYS, RETRY_KEYS
from maestro_workflow_engine._parse_inputs import INPUT_KEYS
from maestro_workflow_engine._parse_settings import CONCURRENCY_KEYS
from maestro_workflow_engine._parse_steps import COMPENSATE_KEYS, STEP_KEYS

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def release() -> Workflow:
    """A workflow that uses nearly everything."""
    flow = Workflow(
        "release",
        description="Builds and deploys.",
        priority=10,
        timeout_s=3600,
        budget={"money_usd": 5},
        concurrency="release",
    )
    env = flow.input("env", "string", default="dev", enum=["dev", "live"])
    hosts = flow.input("hosts", "array", description="Where to.")
    git = flow.tool("git", {"mcp": {"command": ["git-server", "--token", secret("GIT_TOKEN")]}})
    build = flow.step("build", "shell", {"command": ["make", f"ENV={env}"], "parse": "json"}, retry=3, timeout_s=600)
    lint = flow.step("lint", "mcp", {"server": git, "tool": "lint"}, on_error="continue", cost={"calls": 1})
    deploy = flow.step(
        "deploy",
        "http",
        {"url": f"http://{here.item}/deploy", "json": {"version": build.output["stdout"]["version"], "n": here.index}},
        needs=[lint],
        when=(env != "dev") & ~(call("len", hosts) == 0),
        map={"items": hosts, "max_parallel": 2},
        compensate={
            "kind": "http",
            "with": {"url": f"http://{here.item}/undo", "json": here.output["body"]},
            "retry": 2,
        },
        limits=["deploys", {"name": here.item, "max_parallel": 1}],
    )
    flow.step(
        "healthy",
        "http",
        {"url": "http://127.0.0.1/health", "query": {"n": here.iteration, "last": here.previous}},
        needs=["deploy"],
        repeat={"until": here.output["body"]["healthy"] == True, "max_iterations": 10, "delay_s": 5},  # noqa: E712
    )
    child = Workflow()
    child.input("file", "string")
    child.step("read", "shell", {"command": ["cat", "x"]})
    flow.step("each", body=child, arguments={"inputs": {"file": here.item}}, map=["a", "b"])
    flow.step("first", "sleep", {"seconds": 0}, needs=["each", "healthy"], join={"count": "any", "cancel_rest": True})
    page = flow.on_failure.step("page", "http", {"url": "http://127.0.0.1", "json": here.workflow["error"]["message"]})
    flow.on_failure.step("note", "sleep", {"seconds": page.output["status"]})
    flow.finally_.step("tidy", "shell", {"command": "true", "env": {"S": here.workflow["status"]}})
    flow.output("urls", deploy.output)
    flow.output("why", [lint.error, lint.status])
    return flow


def test_a_built_workflow_is_the_document_that_one_would_write() -> None:
    """References stand in the document as expressions, at every place, with the types that were given."""
    document = release().document()
    steps: Any = document["steps"]
    assert list(document) == [
        "name", "description", "priority", "timeout_s", "concurrency", "budget",
        "inputs", "tools", "steps", "on_failure", "finally", "outputs",
    ]  # fmt: skip
    assert document["inputs"] == {
        "env": {"type": "string", "enum": ["dev", "live"], "default": "dev"},
        "hosts": {"type": "array", "description": "Where to."},
    }
    assert steps["build"] == {
        "kind": "shell",
        "with": {"command": ["make", "ENV=${{ inputs.env }}"], "parse": "json"},
        "retry": 3,
        "timeout_s": 600,
    }
    assert steps["deploy"]["with"]["json"] == {
        "version": "${{ steps.build.output.stdout.version }}",
        "n": "${{ index }}",
    }
    assert steps["deploy"]["when"] == '${{ inputs.env != "dev" && !(len(inputs.hosts) == 0) }}'
    assert steps["deploy"]["compensate"]["with"]["json"] == "${{ output.body }}"
    assert steps["each"]["map"] == {"items": ["a", "b"]}
    assert steps["healthy"]["repeat"]["until"] == "${{ output.body.healthy == true }}"
    assert document["concurrency"] == {"key": "release"}
    assert document["outputs"] == {
        "urls": "${{ steps.deploy.output }}",
        "why": ["${{ steps.lint.error }}", "${{ steps.lint.status }}"],
    }
    json.dumps(document)


def test_a_built_workflow_is_checked_like_any_other() -> None:
    """Its definition is that of its document; needs come from what is read."""
    flow = release()
    definition = flow.definition()
    assert definition == parse_definition(json.loads(json.dumps(flow.document())))
    assert definition.steps["deploy"].needs == ("build", "lint")
    assert definition.steps["deploy.undo"].undoes == "deploy"
    assert [body.name for body in definition.bodies()] == ["release/each"]
    flow.step("wrong", "shell", {"k": here.item}, needs=["nope"])
    with pytest.raises(InvalidDefinition) as caught:
        flow.definition()
    assert [problem.path for problem in caught.value.problems] == ["/steps/wrong/with/k", "/steps/wrong/needs/0"]


def test_a_built_workflow_may_be_checked_against_kinds() -> None:
    """Installed kinds look at the arguments."""
    flow = Workflow("n")
    flow.step("a", "shel")
    with pytest.raises(InvalidDefinition, match="there is no step kind 'shel'"):
        flow.definition(kinds={})


def test_the_document_shares_nothing_with_what_it_was_made_from() -> None:
    """Changing what was given, or what came out, changes no other document."""
    command = ["a"]
    flow = Workflow("n")
    flow.step("a", "shell", {"command": command})
    command.append("b")
    first: Any = flow.document()
    first["steps"]["a"]["with"]["command"].append("c")
    assert flow.document()["steps"] == {"a": {"kind": "shell", "with": {"command": ["a"]}}}


def parameters_of(function: Any) -> set[str]:
    return set(inspect.signature(function).parameters) - {"self"}


def test_every_key_of_a_document_can_be_built() -> None:
    """Each key that the parser reads has its argument or its method, and no argument is without a key."""
    assert {"arguments" if key == "with" else key for key in STEP_KEYS} | {"id_"} == parameters_of(Block.step)
    methods = {"inputs": "input", "tools": "tool", "steps": "step", "outputs": "output"}
    blocks = {"on_failure": "on_failure", "finally": "finally_"}
    assert set(DOCUMENT_KEYS) == parameters_of(Workflow.__init__) | set(methods) | set(blocks)
    assert all(callable(getattr(Workflow, method)) for method in methods.values())
    assert all(isinstance(getattr(Workflow(), block), Block) for block in blocks.values())
    assert {"type_" if key == "type" else key for key in INPUT_KEYS} | {"name"} == parameters_of(Workflow.input)


@pytest.mark.parametrize(
    ("shape", "keys"),
    [
        (Retry, RETRY_KEYS),
        (Map, MAP_KEYS),
        (Joining, JOIN_KEYS),
        (Repeating, REPEAT_KEYS),
        (Limit, LIMIT_KEYS),
        (Concurrent, CONCURRENCY_KEYS),
        (Undo, COMPENSATE_KEYS),
    ],
)
def test_the_types_of_nested_mappings_have_the_keys_that_are_read(shape: Any, keys: tuple[str, ...]) -> None:
    """What the type checker knows of a mapping is what the parser knows of it."""
    assert set(get_type_hints(shape)) == set(keys)


def test_names_come_once() -> None:
    """A second step, input, source or output of the same name does not replace the first."""
    flow = Workflow("n")
    for add in (
        lambda: flow.step("a", "shell"),
        lambda: flow.finally_.step("f", "shell"),
        lambda: flow.input("a", "string"),
        lambda: flow.tool("a", {}),
        lambda: flow.output("a", 1),
    ):
        add()
        with pytest.raises(ValueError, match="already: choose another"):
            add()


def test_null_is_a_default_and_a_value() -> None:
    """`default=None` is written; arguments that are None stay."""
    flow = Workflow("n")
    flow.input("x", "integer", default=None)
    flow.input("y", "integer")
    flow.step("a", "shell", {"k": None}, when=False)
    document = flow.document()
    assert document["inputs"] == {"x": {"type": "integer", "default": None}, "y": {"type": "integer"}}
    assert document["steps"] == {"a": {"kind": "shell", "with": {"k": None}, "when": False}}
    assert flow.definition().inputs["y"].is_required


X = Expression("inputs")["x"]


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        (X, "inputs.x"),
        (X["a"][0][-1]["b c"], 'inputs.x.a[0][-1]["b c"]'),
        (X[X], "inputs.x[inputs.x]"),
        ((X + 1) * 2, "(inputs.x + 1) * 2"),
        (1 + X * 2, "1 + inputs.x * 2"),
        (10 - (3 - X), "10 - (3 - inputs.x)"),
        (10 - X - 3, "10 - inputs.x - 3"),
        ((X == 1) | (X == 2) & (X != None), "inputs.x == 1 || inputs.x == 2 && inputs.x != null"),  # noqa: E711
        ((X | 1) & 2, "(inputs.x || 1) && 2"),
        (~X == True, "!inputs.x == true"),  # noqa: E712
        (~(X & 1), "!(inputs.x && 1)"),
        (-X, "-inputs.x"),
        (-(X * 2), "-(inputs.x * 2)"),
        (X * -1, "inputs.x * (-1)"),
        ((X < 1) == (X >= 2), "(inputs.x < 1) == (inputs.x >= 2)"),
        ((X + "a")["b"], '(inputs.x + "a").b'),
        (X == ["a", {"b": 1}], 'inputs.x == from_json("[\\"a\\", {\\"b\\": 1}]")'),
        (call("default", X["a"], "é'\"\n"), 'default(inputs.x.a, "\\u00e9\'\\"\\n")'),
        (call("len", call("keys", X)), "len(keys(inputs.x))"),
        (X % 2 / 3, "inputs.x % 2 / 3"),
        (secret("TOKEN"), "secrets.TOKEN"),
        (here.workflow["failed_step"], "workflow.failed_step"),
    ],
)
def test_an_expression_is_written_as_one_would(expression: Expression, text: str) -> None:
    """Python's operators become those of expressions, with parentheses only where they are needed."""
    assert str(expression) == f"${{{{ {text} }}}}"
    compile_template(str(expression))


def test_what_is_known_only_later_cannot_be_decided_now() -> None:
    """`if`, `in`, loops, and values that a document cannot hold are refused with the way to write it."""
    with pytest.raises(TypeError, match="write & for and"):
        bool(X == 1)
    with pytest.raises(TypeError, match="write & for and"):
        assert 1 < X < 3
    with pytest.raises(TypeError, match="give it to `map`"):
        list(X)
    with pytest.raises(TypeError, match="write call\\('contains'"):
        assert 1 in X
    with pytest.raises(TypeError, match="cannot stand in an expression"):
        object() == X  # noqa: B015 - it must not get as far as being compared
    with pytest.raises(TypeError, match="compare its parts one by one"):
        X == [X]  # noqa: B015 - as above
    with pytest.raises(TypeError, match="unhashable"):
        hash(X)
    with pytest.raises(TypeError, match="cannot stand in a definition"):
        Workflow("n").step("a", "shell", {"k": object()})  # type: ignore[dict-item]  # the mistake is the point
    with pytest.raises(ValueError, match="not JSON compliant"):
        X + float("nan")


Tree = Any
NUMBERS = st.integers(-9, 9) | st.sampled_from(["x", "y"])
TREES: st.SearchStrategy[Tree] = st.recursive(
    NUMBERS,
    lambda below: st.tuples(st.sampled_from(["+", "-", "*", "%", "==", "<", "&", "|"]), below, below)
    | st.tuples(st.sampled_from(["~", "neg"]), below),
    max_leaves=8,
)
PYTHON = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "%": lambda a, b: a % b,
    "==": lambda a, b: a == b,
    "<": lambda a, b: a < b,
    "&": lambda a, b: a & b,
    "|": lambda a, b: a | b,
}
WRITTEN = {"&": "&&", "|": "||"}


def built(tree: Tree) -> Any:
    """The expression of a tree, by Python's operators; its leaves may be numbers."""
    if isinstance(tree, str):
        return Expression("inputs")[tree]
    if isinstance(tree, int):
        return Expression(f"({tree})")
    if len(tree) == 2:
        operand = built(tree[1])
        return ~operand if tree[0] == "~" else -operand
    return PYTHON[tree[0]](built(tree[1]), built(tree[2]))


def spelt(tree: Tree) -> str:
    """The same with parentheses around everything."""
    if isinstance(tree, str):
        return f"inputs.{tree}"
    if isinstance(tree, int):
        return f"({tree})"
    if len(tree) == 2:
        return f"({'!' if tree[0] == '~' else '-'}{spelt(tree[1])})"
    return f"({spelt(tree[1])} {WRITTEN.get(tree[0], tree[0])} {spelt(tree[2])})"


@settings(UNHURRIED, max_examples=300)
@given(tree=TREES, x=st.integers(-9, 9) | st.booleans(), y=st.integers(-9, 9))
def test_operators_mean_what_they_mean_in_python(tree: Tree, x: Any, y: int) -> None:
    """A built expression has the value, or fails as, the same tree with every parenthesis written."""

    def outcome(text: str) -> Any:
        try:
            return json.dumps(compile_template(text).render({"inputs": {"x": x, "y": y}}))
        except ExpressionFailed:
            return "fails"

    assert outcome(str(built(tree))) == outcome(f"${{{{ {spelt(tree)} }}}}")


WORDS = st.text("ab é\"'\\{}$\n", max_size=6).filter(lambda text: "${{" not in text)
DATA: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | WORDS | st.just(here.workflow["id"]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from("abc"), below, max_size=3),
    max_leaves=6,
)


@UNHURRIED
@given(data=st.data())
def test_whatever_is_built_of_sound_parts_is_a_definition(data: st.DataObject) -> None:
    """Steps in any number, joined by references and needs, with any sound options, parse as their document does."""
    draw = data.draw
    flow = Workflow("n", priority=draw(st.none() | st.integers(-100, 100)))
    x = flow.input("x", "string", default=draw(WORDS))
    for block, prefix in ((flow, "s"), (flow.on_failure, "e"), (flow.finally_, "f")):
        handles: list[Any] = []
        for i in range(draw(st.integers(1 if block is flow else 0, 4))):
            earlier = draw(st.lists(st.sampled_from(handles), unique_by=lambda step: str(step.id))) if handles else []
            reads = [draw(st.sampled_from([step.output["a"], step.status, step.error])) for step in earlier]
            maps: Any = draw(st.none() | st.just(["a"]) | st.just(x) | st.just({"items": x, "max_parallel": 2}))
            options: dict[str, Any] = {
                "needs": draw(st.none() | st.just(earlier)),
                "join": draw(st.sampled_from([None, "all", "any", 1, {"count": "any"}])) if earlier else None,
                "when": draw(st.none() | st.booleans() | st.just(x == "a")),
                "map": maps,
                "retry": draw(st.none() | st.integers(1, 5) | st.just({"max_attempts": 2, "jitter": 0.1})),
                "on_error": draw(st.sampled_from([None, "fail", "continue"])),
                "repeat": draw(st.none() | st.just({"until": here.output == 1, "max_iterations": 2})),
                "cost": draw(st.none() | st.just({"calls": 1, "tokens": x})),
                "limits": draw(st.none() | st.just(["l", {"name": x, "max_parallel": 2}])),
            }
            if block is flow:
                options["compensate"] = draw(st.none() | st.just({"kind": "undo", "with": {"k": here.output}}))
            arguments = {"reads": reads, "data": draw(DATA), **({"item": here.item} if maps is not None else {})}
            handles.append(block.step(f"{prefix}{i}", draw(st.sampled_from(["shell", "http"])), arguments, **options))
    flow.output("o", draw(DATA))
    definition = flow.definition()
    assert definition == parse_definition(json.loads(json.dumps(flow.document())))
    assert {step.id for step in definition.of_phase("main")} == set(flow.document()["steps"])  # type: ignore[arg-type]  # a mapping

"""The table of problems: one place, one status per code, nothing twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_core_api import BUILT_IN, InvalidProblems, ProblemTable, ProblemType, problems

codes = st.from_regex(r"[a-z]{2,8}\.[a-z]{2,8}(-[a-z]{1,8})?", fullmatch=True).filter(lambda code: code not in BUILT_IN)


class Coded(Exception):
    def __init__(self, code: object) -> None:
        super().__init__("text")
        self.code = code


@given(st.dictionaries(codes, st.integers(400, 599), max_size=8))
def test_every_declared_code_has_its_status_and_a_stable_type(declared: dict[str, int]) -> None:
    """What is declared is found by an error's code, with the URI that is made of base and code."""
    table = ProblemTable(declared, base_uri="https://example.com/problems#")
    for code, status in declared.items():
        found = table.of(Coded(code))
        assert found is not None
        assert (found.code, found.status, found.type) == (code, status, f"https://example.com/problems#{code}")
        assert found.title
        assert found.description
    assert [each.code for each in table] == sorted([*BUILT_IN, *declared])


@given(codes, st.integers(400, 599), st.integers(400, 599))
def test_a_code_that_is_mapped_twice_is_refused_at_start(code: str, first: int, second: int) -> None:
    """Two libraries with one code, or one that takes a built-in code, are found when the app is made."""
    with pytest.raises(InvalidProblems, match=f"{code} is mapped twice"):
        ProblemTable({code: first}, {code: second})
    with pytest.raises(InvalidProblems, match=r"request\.invalid is mapped twice"):
        ProblemTable({"request.invalid": first})


@pytest.mark.parametrize("code", ["", "order", "Order.x", "order.", "order.x.y", "order.x y", "order.x\n"])
def test_what_is_no_code_is_refused(code: str) -> None:
    """A code is room.what-is-wrong, so that it can stand in a URI."""
    with pytest.raises(InvalidProblems, match="is no code"):
        ProblemTable({code: 404})


@pytest.mark.parametrize("status", [0, 200, 399, 600, -1, True])
def test_only_statuses_of_errors_are_taken(status: int) -> None:
    """A problem that is answered 200 is none."""
    with pytest.raises(InvalidProblems, match="not one of an error"):
        ProblemTable({"order.x": status})


def test_all_faults_of_a_table_are_told_at_once() -> None:
    """Nobody has to start the service three times."""
    with pytest.raises(InvalidProblems) as caught:
        ProblemTable({"bad": 404, "order.x": 200, "request.invalid": 422})
    assert str(caught.value).count(";") == 2


@pytest.mark.parametrize("code", [None, 404, "order.unknown", "", b"order.x"])
def test_an_error_whose_code_is_not_declared_is_no_problem(code: object) -> None:
    """A number (urllib's errors have one) or another room's code is not ours to show."""
    assert ProblemTable({"order.x": 404}).of(Coded(code)) is None
    assert ProblemTable().of(ValueError("text")) is None


def test_a_route_declares_the_problems_it_answers_with() -> None:
    """`problems(404, 409)` is what FastAPI takes as `responses`."""
    declared = problems(404, 418)
    assert list(declared) == [404, 418]
    assert declared[404]["content"] == {
        "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
    }
    assert all(each["description"] for each in declared.values())


def test_texts_are_made_where_none_are_given() -> None:
    """A title from the code, a description from the status; what is given is kept."""
    table = ProblemTable({"order.not-found": 404, "order.closed": ProblemType(409, "Closed", "It was closed.")})
    assert (table["order.not-found"].title, table["order.not-found"].description) == ("Order not found", "Not Found")
    assert (table["order.closed"].title, table["order.closed"].description) == ("Closed", "It was closed.")

"""The tree of errors: codes, retryability, what survives copying, and that nothing secret is in a message."""

import copy
import pickle

import pytest

import maestro_core_auth
from maestro_core_auth import AuthError, Forbidden, InvalidCredentials, InvalidPolicy, LoginThrottled
from maestro_core_auth.fastapi import STATUS_BY_CODE

ERRORS = sorted(
    (value for value in vars(maestro_core_auth).values() if isinstance(value, type) and issubclass(value, AuthError)),
    key=lambda error: error.__name__,
)


def test_every_error_has_a_code_of_its_own() -> None:
    """Codes are stable names below `auth`, no two alike."""
    codes = [error.code for error in ERRORS]
    assert len(ERRORS) == 23
    assert len(set(codes)) == len(codes)
    assert all(code == "auth" or code.startswith("auth.") for code in codes)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_the_drawn_tree_is_the_tree(error: type[AuthError]) -> None:
    """The drawing at the top of the module names each class with its code, and says which are retryable."""
    drawing = maestro_core_auth._errors.__doc__ or ""
    line = next(line for line in drawing.splitlines() if f" {error.__name__} " in line)
    assert error.code in line.split()
    assert ("retryable" in line) is error.retryable


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_errors_survive_pickling_and_say_something(error: type[AuthError]) -> None:
    """Also when nobody gave a message."""
    made = error()
    made.retry_after_s = 1.5
    assert str(made)
    for again in (pickle.loads(pickle.dumps(made)), copy.copy(made)):
        assert (type(again), str(again), again.retry_after_s) == (error, str(made), 1.5)


def test_fields_survive_pickling() -> None:
    """Those of single classes travel too."""
    assert pickle.loads(pickle.dumps(InvalidCredentials("revoked"))).reason == "revoked"
    forbidden = pickle.loads(pickle.dumps(Forbidden("workflow:write", reason="no role")))
    assert (forbidden.permission, forbidden.reason) == ("workflow:write", "no role")
    assert pickle.loads(pickle.dumps(InvalidPolicy(problems=("a", "b")))).problems == ("a", "b")
    assert pickle.loads(pickle.dumps(LoginThrottled(retry_after_s=3.0))).retry_after_s == 3.0


def test_who_has_to_sign_in_is_challenged() -> None:
    """What a 401 must carry is with each error that becomes one, and is a header that can be sent."""
    challenges = {error.code: text for error in ERRORS if (text := error().challenge) is not None}
    assert {code for code, status in STATUS_BY_CODE.items() if status == 401} <= challenges.keys()
    assert challenges["auth.missing-credentials"] == 'Bearer realm="maestro"'
    assert 'error="invalid_token"' in challenges["auth.token-expired"]
    assert Forbidden("run:write").challenge == 'Bearer realm="maestro", error="insufficient_scope", scope="run:write"'
    assert all(text.isascii() and text.isprintable() for text in challenges.values())


def test_the_reason_is_not_in_the_message() -> None:
    """What is answered is the same for all; what is logged is not."""
    assert str(InvalidCredentials("wrong secret")) == str(InvalidCredentials("unknown id"))

"""Where one call of a step stands when the step waits: what the server wants to know, what it was told, or its task.

It is kept as the memo of the Wait, so that it outlives us.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from maestro_tools._errors import InputRequired, InvalidArguments, ServerMisbehaved
from maestro_tools._questions import Asked, Question, accepted
from maestro_tools._tasks import TaskState
from maestro_tools._tools import canonical_json
from maestro_tools._waits import Wait

_VERSION = 1
_MOST_ROUNDS = 20
_LARGEST_MEMO_BYTES = 60_000
_IDLE_ROUND_S = 0.2
_LONGEST_IDLE_ROUND_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskMemo:
    """A task that the call has become. `since` is when, in seconds since 1970, by our clock."""

    id: str
    since: float
    ttl_s: float | None
    poll_s: float | None
    failures: int = 0
    answered: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """One call between two turns of its step.

    `questions` are open, and the first is being put; `responses` answer those before them, by key. `is_open` says that
    the server holds the call meanwhile; `said` is then all that it was told so far, by the digest of the question.
    """

    questions: tuple[Question, ...] = ()
    responses: Mapping[str, Any] = field(default_factory=dict)
    state: str | None = None
    is_error: bool = False
    is_open: bool = False
    said: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    task: TaskMemo | None = None
    rounds: int = 0

    @classmethod
    def from_memo(cls, memo: Any) -> Talk:
        """What `memo` gave; None begins anew. Raises InvalidArguments when it is not ours."""
        if memo is None:
            return cls()
        try:
            if memo["v"] != _VERSION:
                raise ValueError(memo["v"])
            task = memo["task"]
            return cls(
                questions=tuple(Question.from_json(one) for one in memo["questions"]),
                responses=dict(memo["responses"]),
                state=memo["state"],
                is_error=memo["is_error"],
                is_open=memo["is_open"],
                said=tuple((digest, response) for digest, response in memo["said"]),
                task=None if task is None else TaskMemo(**{**task, "answered": tuple(task["answered"])}),
                rounds=memo["rounds"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidArguments("the memo of this step was not written by this version of maestro-tools") from error

    def memo(self) -> dict[str, Any]:
        """All of it, as JSON data."""
        task = self.task
        return {
            "v": _VERSION,
            "questions": [question.as_json() for question in self.questions],
            "responses": dict(self.responses),
            "state": self.state,
            "is_error": self.is_error,
            "is_open": self.is_open,
            "said": [list(pair) for pair in self.said],
            "task": task
            and {name: getattr(task, name) for name in TaskMemo.__slots__} | {"answered": [*task.answered]},
            "rounds": self.rounds,
        }

    def asked(self, label: str, asked: Asked) -> Talk:
        """The server came back with questions, or with a state alone. Raises InputRequired when it never ends."""
        return replace(
            self._next_round(label),
            questions=asked.questions,
            responses={},
            state=asked.state,
            is_error=asked.is_error,
            is_open=False,
            said=(),
        )

    def asked_in_call(self, label: str, question: Question) -> Talk:
        """The server asks and holds the call open."""
        return replace(self._next_round(label), questions=(question,), is_open=True)

    def became(self, state: TaskState, now: float) -> Talk:
        """The call has become a task."""
        return Talk(task=TaskMemo(id=state.id, since=now, ttl_s=state.ttl_s, poll_s=state.poll_s), rounds=self.rounds)

    def polled(self, label: str, state: TaskState) -> Talk:
        """The task lives; its questions are new ones only."""
        assert self.task is not None
        task = replace(self.task, ttl_s=state.ttl_s, poll_s=state.poll_s or self.task.poll_s, failures=0)
        new = tuple(one for one in state.questions if one.key not in task.answered)
        if not new:
            return replace(self, task=task)
        return replace(self._next_round(label), task=task, questions=new, responses={})

    def answered(self, label: str, value: Any) -> Talk:
        """The first question has an answer. Raises ValueError saying why it is none, to be put again."""
        question, *others = self.questions
        if not isinstance(value, Mapping) or not isinstance(value.get("approved"), bool):
            raise ValueError("the answer must say whether it is approved")
        response = accepted(question, value.get("data")) if value["approved"] else {"action": "decline"}
        if self.is_error and not value["approved"]:
            raise InputRequired(f"{label} goes on only when a person agrees, and one did not: {question.message}")
        return replace(
            self,
            questions=tuple(others),
            responses={**self.responses, question.key: response},
            said=(*self.said, (question.digest, response)) if self.is_open else (),
        )

    def told(self) -> Talk:
        """The task was given the answers."""
        assert self.task is not None
        task = replace(self.task, answered=(*self.task.answered, *self.responses))
        return replace(self, task=task, responses={})

    def again(self, label: str) -> Talk:
        """The same question once more. Raises InputRequired when that never ends."""
        return self._next_round(label)

    def pause(self) -> Wait:
        """Wait a little before the next round, in which nobody is asked: longer each time."""
        return Wait(min(_LONGEST_IDLE_ROUND_S, _IDLE_ROUND_S * 2.0**self.rounds), memo=self.memo())

    def question(self, source: str, tool: str, server: str, problem: str | None = None) -> Wait:
        """Put the first question to a person, saying who asks."""
        question = self.questions[0]
        on: dict[str, Any] = {
            "kind": "approval",
            "title": f"{source}.{tool} asks",
            "description": question.message,
            "source": source,
            "tool": tool,
            "server": server,
        }
        memo = self.memo()
        if len(canonical_json(memo).encode()) > _LARGEST_MEMO_BYTES:
            raise ServerMisbehaved(f"{source}.{tool} asks for more than {_LARGEST_MEMO_BYTES} bytes in one call")
        given: Iterable[tuple[str, Any]] = (("form", question.form), ("url", question.url), ("problem", problem))
        return Wait(None, {**on, **{key: value for key, value in given if value is not None}}, memo)

    def _next_round(self, label: str) -> Talk:
        if self.rounds >= _MOST_ROUNDS:
            raise InputRequired(f"{label} asked {self.rounds} times without coming to an end")
        return replace(self, rounds=self.rounds + 1)

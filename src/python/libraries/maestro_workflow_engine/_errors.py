"""What can go wrong in a workflow.

WorkflowError
├── DefinitionError             a definition, or what it is started with, is not right
│   ├── InvalidDefinition       the definition cannot run; holds every problem
│   ├── InvalidInputs           the inputs given to a start are wrong; holds every problem
│   └── BadExpression           one ${{ … }} cannot be read
├── ExpressionFailed            an expression found no value, or a value of the wrong type
├── CommandRefused              the command does not fit the workflow as it stands
│   ├── WorkflowNotFound        no workflow has this id
│   ├── WorkflowExists          a workflow with this id was started before
│   ├── WorkflowFinished        it has ended, so it can no longer be cancelled
│   ├── WorkflowNotResumed      this engine left it alone when it was opened
│   ├── UnknownStepKind         the definition uses a kind that this engine was not opened with
│   ├── StepNotFound            the workflow has no such step or item                             (_refusals)
│   ├── StepNotWaiting          the step does not wait for this
│   ├── StepEnded               the step has ended, so it can no longer be skipped
│   ├── InvalidAnswer           the answer does not fit the form; holds every problem
│   ├── SignalRefused           a bad name, too large, or too many that no step has taken
│   ├── MigrationRefused        the workflow cannot go on with the other definition; says why
│   └── BadSetting              a budget, priority or limit has a value that it cannot have
├── StepError                   why one attempt of a step failed
│   ├── StepTimedOut            it ran longer than its `timeout_s`
│   ├── StepStoppedItself       it was cancelled from within, by no one's command
│   ├── BadStepResult           what it returned is not plain JSON
│   ├── OutputTooLarge          what it returned is larger than the engine allows
│   ├── BadMapItems             `map.items` is not a list, or too long
│   ├── ConditionNotBoolean     `when` is neither true nor false
│   ├── ShellFailed             the command ended with an exit code other than 0
│   ├── HttpFailed              the request was not answered as expected
│   ├── FunctionNotFound        no such module, or no such function in it
│   ├── BadArguments            the rendered arguments do not fit the step kind
│   ├── JoinImpossible          too few of the needed steps can still succeed                     (_step_errors)
│   ├── RepeatExhausted         `until` was not true after the last iteration
│   ├── ApprovalRejected        a person said no
│   ├── WaitExpired             what it waited for did not come in time
│   ├── ChildFailed             the child workflow failed or was cancelled
│   ├── ChildTooDeep            workflows start workflows deeper than is allowed
│   ├── WorkflowTimedOut        the whole workflow ran longer than its `timeout_s`
│   ├── BadCost                 `cost` did not render to numbers by unit
│   ├── SecretNotFound          no secret has this name                                           (_secrets)
│   └── SecretInArtifact        an artifact would hold the value of a secret
├── SlowReader                  a watcher fell too far behind; watch again from `resume_from`
├── WaitTimedOut                the workflow had not ended in time
├── ArtifactNotFound            no artifact has this hash
├── ArtifactUnreadable          it is there, and cannot be handed out as it is asked for           (_artifacts)
├── BadBundle                   an exported workflow is damaged, or its signature does not hold       (_bundle)
└── EngineError                 the engine as a whole
    ├── EngineClosed            it is closing or closed
    ├── EngineAlreadyRunning    another process holds this data folder
    ├── EngineBroken            a fault of the engine itself
    ├── JournalUnavailable      the journal cannot be written or read: disk full, locked, failing
    ├── JournalCorrupt          the journal is damaged, or is no journal of ours
    ├── JournalTooNew           a newer version of this library wrote the journal
    └── JournalGap              an event is missing between two others
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from maestro_workflow_engine._problems import Problem

_SHOWN_PROBLEMS = 20


class WorkflowError(Exception):
    """Root of everything that this package raises."""

    code: ClassVar[str] = "workflow.failed"
    retryable: ClassVar[bool] = False


class DefinitionError(WorkflowError):
    """What was written or given is wrong; trying again changes nothing."""

    code: ClassVar[str] = "workflow.definition-error"


class InvalidDefinition(DefinitionError):
    """The definition cannot run; `problems` holds all of them in document order."""

    code: ClassVar[str] = "workflow.invalid-definition"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(_listed("the definition has", self.problems))


class InvalidInputs(DefinitionError):
    """The inputs given to a start are wrong; `problems` holds all of them in the order of the declared inputs."""

    code: ClassVar[str] = "workflow.invalid-inputs"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(_listed("the inputs have", self.problems))


class BadExpression(DefinitionError):
    """One `${{ … }}` cannot be read; `offset` counts characters from the start of the text that holds it."""

    code: ClassVar[str] = "workflow.bad-expression"

    def __init__(self, reason: str, *, offset: int, path: str = "") -> None:
        self.reason = reason
        self.offset = offset
        self.path = path
        super().__init__(f"{path}: {reason}" if path else reason)


class ExpressionFailed(WorkflowError):
    """An expression found no value, or a value of the wrong type; `path` is the JSON Pointer inside its template."""

    code: ClassVar[str] = "workflow.expression-failed"

    def __init__(self, reason: str, *, path: str = "") -> None:
        self.reason = reason
        self.path = path
        super().__init__(f"{path}: {reason}" if path else reason)


def _listed(subject: str, problems: Sequence[Problem]) -> str:
    count = len(problems)
    lines = [f"{subject} {count} problem{'s' if count != 1 else ''}:"]
    lines += [f"  {problem}" for problem in problems[:_SHOWN_PROBLEMS]]
    if count > _SHOWN_PROBLEMS:
        lines.append(f"  … and {count - _SHOWN_PROBLEMS} more")
    return "\n".join(lines)


# --- run time ---


class CommandRefused(WorkflowError):
    """The command does not fit the workflow as it stands."""

    code: ClassVar[str] = "workflow.command-refused"


class WorkflowNotFound(CommandRefused):
    """No workflow has this id."""

    code: ClassVar[str] = "workflow.not-found"

    def __init__(self, workflow_id: str) -> None:
        self.workflow_id = workflow_id
        super().__init__(f"no workflow has the id {workflow_id!r}")


class WorkflowExists(CommandRefused):
    """A workflow with this id was started before."""

    code: ClassVar[str] = "workflow.exists"

    def __init__(self, workflow_id: str) -> None:
        self.workflow_id = workflow_id
        super().__init__(f"a workflow with the id {workflow_id!r} was started before: choose another id or none")


class WorkflowFinished(CommandRefused):
    """It has ended, so it can no longer be cancelled."""

    code: ClassVar[str] = "workflow.finished"

    def __init__(self, workflow_id: str, status: str) -> None:
        self.workflow_id = workflow_id
        self.status = status
        super().__init__(f"workflow {workflow_id!r} has {status} already")


class WorkflowNotResumed(CommandRefused):
    """This engine left it alone when it was opened, so nothing happens to it here."""

    code: ClassVar[str] = "workflow.not-resumed"

    def __init__(self, workflow_id: str) -> None:
        self.workflow_id = workflow_id
        super().__init__(
            f"workflow {workflow_id!r} is unfinished, and this engine has not taken it up: take it up first"
        )


class UnknownStepKind(CommandRefused):
    """The definition uses a kind that this engine was not opened with."""

    code: ClassVar[str] = "workflow.unknown-step-kind"

    def __init__(self, kinds: Mapping[str, str], known: Sequence[str]) -> None:
        self.kinds = dict(kinds)
        used = ", ".join(f"{kind!r} (step {step!r})" for kind, step in sorted(kinds.items()))
        super().__init__(f"no step kind {used}; this engine knows: {', '.join(sorted(known)) or 'none'}")


class StepError(WorkflowError):
    """Why one attempt of a step failed."""

    code: ClassVar[str] = "workflow.step-failed"


class StepTimedOut(StepError):
    """It ran longer than its `timeout_s`; may be tried again."""

    code: ClassVar[str] = "workflow.step-timed-out"
    retryable: ClassVar[bool] = True

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        super().__init__(f"the step ran longer than its timeout of {timeout_s:g} s")


class StepStoppedItself(StepError):
    """It was cancelled from within, by no one's command; may be tried again."""

    code: ClassVar[str] = "workflow.step-stopped-itself"
    retryable: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__("the step was cancelled from within, not by the engine")


class BadStepResult(StepError):
    """What it returned is not plain JSON."""

    code: ClassVar[str] = "workflow.bad-step-result"


class OutputTooLarge(StepError):
    """What it returned is larger than the engine allows."""

    code: ClassVar[str] = "workflow.output-too-large"

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"the output has {size_bytes} bytes as JSON, {limit_bytes} are allowed: write it as an artifact instead"
        )


class BadMapItems(StepError):
    """`map.items` is not a list, or too long."""

    code: ClassVar[str] = "workflow.bad-map-items"


class ConditionNotBoolean(StepError):
    """`when` is neither true nor false."""

    code: ClassVar[str] = "workflow.condition-not-boolean"


class ShellFailed(StepError):
    """The command ended with an exit code other than 0; may be tried again."""

    code: ClassVar[str] = "workflow.shell-failed"
    retryable: ClassVar[bool] = True


class HttpFailed(StepError):
    """The request was not answered as expected; whether a retry can help is said per instance."""

    code: ClassVar[str] = "workflow.http-failed"

    def __init__(self, message: str, *, retryable: bool, retry_after_s: float | None = None) -> None:
        self.retryable = retryable  # type: ignore[misc]  # per instance, as the class attribute allows
        self.retry_after_s = retry_after_s
        super().__init__(message)


class FunctionNotFound(StepError):
    """No such module, or no such function in it."""

    code: ClassVar[str] = "workflow.function-not-found"


class BadArguments(StepError):
    """The rendered arguments do not fit the step kind."""

    code: ClassVar[str] = "workflow.bad-arguments"


class SlowReader(WorkflowError):
    """A watcher fell too far behind; watch again from `resume_from` (a seq, or a position when it watched all)."""

    code: ClassVar[str] = "workflow.slow-reader"
    retryable: ClassVar[bool] = True

    def __init__(self, resume_from: int) -> None:
        self.resume_from = resume_from
        super().__init__(f"the reader fell too far behind; watch again from {resume_from}")


class WaitTimedOut(WorkflowError):
    """The workflow had not ended in time; waiting again is fine."""

    code: ClassVar[str] = "workflow.wait-timed-out"
    retryable: ClassVar[bool] = True

    def __init__(self, workflow_id: str, timeout_s: float) -> None:
        super().__init__(f"workflow {workflow_id!r} had not ended after {timeout_s:g} s")


class ArtifactNotFound(WorkflowError):
    """No artifact has this hash, or its file is damaged."""

    code: ClassVar[str] = "workflow.artifact-not-found"

    def __init__(self, sha256: str) -> None:
        self.sha256 = sha256
        super().__init__(f"no sound artifact has the SHA-256 {sha256[:64]!r}")


class EngineError(WorkflowError):
    """The engine as a whole cannot do its work."""

    code: ClassVar[str] = "workflow.engine-error"


class EngineClosed(EngineError):
    """It is closing or closed; the workflows go on when it is opened again."""

    code: ClassVar[str] = "workflow.engine-closed"
    retryable: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__("the engine is closing or closed; unfinished workflows go on when it is opened again")


class EngineAlreadyRunning(EngineError):
    """Another process holds this data folder; `pid` is None when it did not say who it is."""

    code: ClassVar[str] = "workflow.engine-already-running"

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        self.data_dir = data_dir
        self.pid = pid
        who = "another process" if pid is None else f"the process {pid}"
        super().__init__(
            f"{who} runs an engine on {data_dir}: send the work to it, stop it first, or give another data folder"
        )


class EngineBroken(EngineError):
    """A fault of the engine itself; it has stopped, and what is durable goes on when it is opened again."""

    code: ClassVar[str] = "workflow.engine-broken"

    def __init__(self, reason: str) -> None:
        super().__init__(f"the engine has met a fault of its own and has stopped: {reason}. Please report it")


class JournalUnavailable(EngineError):
    """The journal cannot be written or read; what was acknowledged is safe, and a restart goes on from there."""

    code: ClassVar[str] = "workflow.journal-unavailable"
    retryable: ClassVar[bool] = True

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"the journal {path} cannot be used: {reason}. The engine has stopped; nothing acknowledged is lost: "
            "mend the cause and open it again"
        )


class JournalCorrupt(EngineError):
    """The journal is damaged, or is no journal of ours."""

    code: ClassVar[str] = "workflow.journal-corrupt"

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path} is not a sound journal: {reason}. Restore a backup, or move it away to begin anew")


class JournalTooNew(EngineError):
    """A newer version of this library wrote the journal."""

    code: ClassVar[str] = "workflow.journal-too-new"

    def __init__(self, path: Path, found: int, known: int) -> None:
        super().__init__(
            f"the journal {path} has schema version {found}, this library knows {known}: "
            "install a newer maestro-workflow-engine"
        )


class JournalGap(EngineError):
    """An event is missing between two others."""

    code: ClassVar[str] = "workflow.journal-gap"

    def __init__(self, workflow_id: str, *, expected_seq: int, found_seq: int) -> None:
        super().__init__(f"workflow {workflow_id!r}: event {expected_seq} was expected, {found_seq} came")

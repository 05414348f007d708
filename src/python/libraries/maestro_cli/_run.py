"""`maestro run`: one workflow in this process, followed to its end, or to Ctrl-C and then resumable."""

import asyncio
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from maestro_cli._asking import Asking
from maestro_cli._document import read_definition
from maestro_cli._errors import BadUsage, CliError, DataFolderBusy, NothingToResume
from maestro_cli._inputs import read_inputs
from maestro_cli._interrupt import Interrupt
from maestro_cli._kinds import step_kinds
from maestro_cli._progress import Progress
from maestro_cli._remarks import remarks_of_the_engine
from maestro_cli._report import JsonReport, PersonReport, Report
from maestro_cli._result import artifacts_in
from maestro_cli._terminal import Terminal
from maestro_cli._text import plain
from maestro_workflow_engine import (
    ArtifactNotFound,
    EmbeddedBackend,
    EngineAlreadyRunning,
    EngineClosed,
    EngineError,
    EnvironmentSecrets,
    InvalidInputs,
    SlowReader,
    StepKind,
    WorkflowDefinition,
    WorkflowState,
    WorkflowSummary,
)

WAITING = 4
INTERRUPTED = 130
_DRAIN_S = 10.0
_TICK_S = 0.5
_ASK_NOTHING = frozenset({"http", "python", "shell", "sleep"})
"""Kinds of steps that wait for nobody."""
_UNFINISHED: Final = ("running", "paused", "cancelling")


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What was asked for on the command line."""

    file: Path
    inputs: Sequence[str]
    inputs_file: Path | None
    resume: bool
    data_dir: Path | None
    as_json: bool
    max_parallel: int

    @property
    def resume_command(self) -> str:
        """What a person types to go on."""
        words = ["maestro", "run", str(self.file), "--resume"]
        words += ["--data-dir", str(self.data_dir)] if self.data_dir is not None else []
        return shlex.join(words)


def run(options: RunOptions) -> int:
    """Run a definition; returns the exit status. Raises CliError for what was wrong before anything ran."""
    if options.resume and (options.inputs or options.inputs_file):
        raise BadUsage("--resume goes on with the inputs that the workflow was started with; leave --input out.")
    kinds = step_kinds()
    definition = read_definition(options.file, kinds)
    inputs = read_inputs(definition, options.inputs, options.inputs_file)
    return asyncio.run(_run(options, kinds, definition, inputs))


async def _run(
    options: RunOptions, kinds: Mapping[str, StepKind], definition: WorkflowDefinition, inputs: Mapping[str, object]
) -> int:
    backend = EmbeddedBackend(
        _data_dir(options),
        kinds=kinds,
        resume="none",
        max_parallel=options.max_parallel,
        secrets=EnvironmentSecrets(),
    )
    interrupt = Interrupt(backend, drain_s=_DRAIN_S)
    follower = _Follower(backend, options, interrupt)
    try:
        with remarks_of_the_engine():
            async with backend:
                interrupt.listen()
                return await follower.follow(definition, inputs)
    except EngineAlreadyRunning as error:
        raise DataFolderBusy(_busy(error)) from error
    except InvalidInputs as error:
        raise BadUsage(str(error)) from error
    except EngineError as error:
        hint = f"\nThen go on with:\n    {options.resume_command}" if follower.has_begun else ""
        raise CliError(f"{error}{hint}") from error
    finally:
        await interrupt.done()


class _Follower:
    """Begins or resumes one workflow and tells a report everything that happens to it."""

    def __init__(self, backend: EmbeddedBackend, options: RunOptions, interrupt: Interrupt) -> None:
        self._backend = backend
        self._options = options
        self._interrupt = interrupt
        self.has_begun = False

    async def follow(self, definition: WorkflowDefinition, inputs: Mapping[str, object]) -> int:
        """Follow to the end; returns the exit status."""
        waiting = await self._unfinished(definition.name)
        if self._options.resume:
            if waiting is None:
                raise NothingToResume(
                    f"there is no unfinished workflow named {definition.name}; run it without --resume."
                )
            workflow_id, before = waiting.id, await self._backend.get(waiting.id)
            running = await self._backend.definition(workflow_id)
        else:
            running, before = definition, None
            started = await self._backend.start(
                definition,
                inputs,
                base_dir=self._options.file.resolve().parent,
                # A name may hold bytes that are no text, which a label cannot.
                labels={"file": os.fsencode(self._options.file.name).decode("utf-8", "replace")},
            )
            workflow_id = started.workflow_id
        self.has_begun = True
        report = self._report(running, 0 if before is None else before.seq)
        try:
            self._introduce(report, definition, running, workflow_id, before, waiting)
            if before is not None:
                await self._backend.take_up(workflow_id)
                if before.status == "paused":
                    await self._backend.resume(workflow_id)
            return await self._watch(report, workflow_id, running)
        finally:
            report.close()

    async def _unfinished(self, name: str) -> WorkflowSummary | None:
        """The newest workflow of this name that has not ended."""
        found: list[WorkflowSummary] = []
        for status in _UNFINISHED:
            found += (await self._backend.list(name=name, status=status, limit=1)).items
        return max(found, key=lambda each: each.started_at, default=None)

    def _report(self, definition: WorkflowDefinition, quiet_until: int) -> Report:
        if self._options.as_json:
            return JsonReport(sys.stdout)
        return PersonReport(Progress.of(definition), sys.stdout, os.environ, quiet_until)

    def _introduce(
        self,
        report: Report,
        wanted: WorkflowDefinition,
        running: WorkflowDefinition,
        workflow_id: str,
        before: WorkflowState | None,
        waiting: WorkflowSummary | None,
    ) -> None:
        report.say(f"{running.name} · {workflow_id}")
        if before is not None:
            ended = sum(step.status in ("succeeded", "skipped") for step in before.steps.values())
            report.say(f"Going on after {ended} of {len(running.steps)} steps; what is finished is not run again.")
            if running.digest != wanted.digest:
                report.say("The file has changed since; this run stays on the definition that it began with.")
        elif waiting is not None:
            report.say("An earlier run of it has not ended; --resume would have gone on with that one.")
        report.say("")
        self._interrupt.on_first = lambda: report.say(
            "  Stopping: running steps may finish; Ctrl-C again stops at once."
        )

    async def _watch(self, report: Report, workflow_id: str, definition: WorkflowDefinition) -> int:
        ticking = asyncio.create_task(_tick(report))
        ended_as = ""
        try:
            ended_as, waits = await self._passed_on(report, workflow_id, definition)
            if waits:
                self._say_what_it_waits_for(report, waits)
                return WAITING
            state = await self._backend.get(workflow_id)
            document = state.as_json()
            paths = await self._paths(document)
        except EngineClosed:
            report.close()
            report.say("")
            if not ended_as:
                report.say("Interrupted; nothing is lost. To go on:")
                report.say(f"    {self._options.resume_command}")
                return INTERRUPTED
            report.say(f"Interrupted, but there was nothing left to do: {ended_as}.")
            return _exit_status(ended_as)
        finally:
            ticking.cancel()
        report.ended(document, paths)
        return _exit_status(state.status)

    async def _passed_on(
        self, report: Report, workflow_id: str, definition: WorkflowDefinition
    ) -> tuple[str, Sequence[str]]:
        """How it ended, or what it waits for that nobody gives it here."""
        if definition.budget is None and _ASK_NOTHING.issuperset(step.kind for step in definition.steps.values()):
            return await self._pass_on(report, workflow_id), ()
        (first,) = await self._backend.events(workflow_id, limit=1)
        watching = asyncio.create_task(self._pass_on(report, workflow_id))
        asking = asyncio.create_task(Asking(self._backend, report, self._terminal(), workflow_id).run(first.position))
        both: set[asyncio.Task[Any]] = {watching, asking}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                return watching.result(), ()
            return "", asking.result()
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    def _terminal(self) -> Terminal | None:
        """Somebody to ask, when this is a terminal."""
        if self._options.as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
            return None
        return Terminal(sys.stdin, sys.stdout)

    def _say_what_it_waits_for(self, report: Report, waits: Sequence[str]) -> None:
        report.say("")
        report.say("It can only go on once somebody answers:")
        for each in waits:
            report.say(f"    {plain(each)}")
        report.say("Nothing is lost. To go on, on a terminal, where approvals are asked for:")
        report.say(f"    {self._options.resume_command}")
        report.say("or start the engine with `maestro up`, and answer with `maestro approve` or `maestro signal`.")

    async def _pass_on(self, report: Report, workflow_id: str) -> str:
        """Every event until the workflow ends, then how it ended; a slow terminal delays what is shown, no more."""
        from_seq = 1
        while True:
            try:
                async for event in self._backend.watch(workflow_id, from_seq=from_seq):
                    report.event(event)
                    from_seq = event.seq + 1
            except SlowReader:
                continue
            return event.type.removeprefix("workflow.")

    async def _paths(self, document: Mapping[str, object]) -> dict[str, Path]:
        """Where each artifact lies that the state names; one that is no longer kept is left out."""
        paths: dict[str, Path] = {}
        for artifact in artifacts_in(document):
            try:
                paths[artifact["sha256"]] = (await self._backend.artifact(artifact["sha256"])).resolve()
            except ArtifactNotFound:
                continue
        return paths


def _exit_status(ended_as: str) -> int:
    return 0 if ended_as == "succeeded" else 1


async def _tick(report: Report) -> None:
    while True:
        await asyncio.sleep(_TICK_S)
        report.tick()


def _data_dir(options: RunOptions) -> Path:
    if options.data_dir is not None:
        return options.data_dir.resolve()
    from maestro_core_config import InvalidSettings, data_dir

    try:
        return data_dir()
    except InvalidSettings as error:
        raise BadUsage(str(error)) from error


def _busy(error: EngineAlreadyRunning) -> str:
    return f"{error}. A running engine takes workflows over HTTP: POST /api/workflows (see maestro up)."

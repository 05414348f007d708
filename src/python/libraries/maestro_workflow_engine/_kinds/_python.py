"""The step kind `python`: calls a function of an importable module."""

import asyncio
import functools
import importlib
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from maestro_workflow_engine._errors import BadArguments, FunctionNotFound
from maestro_workflow_engine._kinds._arguments import is_open, unknown_names
from maestro_workflow_engine._kinds._threads import in_own_thread
from maestro_workflow_engine._ports import StepCall

_NAME: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


class PythonKind:
    """`with: {function: "package.module:name", arguments: {…}}`; a plain function runs in a thread, an async one here.

    A plain function that runs on when its step is stopped cannot be killed: it ends by itself, and its result is lost.
    """

    def check(self, arguments: Mapping[str, object], tools: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Static problems below `with`; nothing is imported."""
        yield from unknown_names(arguments, {"function", "arguments"})
        function = arguments.get("function")
        if function is None:
            yield "", 'python needs `function`, as "package.module:name"'
        elif not is_open(function) and not (isinstance(function, str) and _NAME.fullmatch(function)):
            yield "/function", 'a function is named as "package.module:name"'
        if not isinstance(arguments.get("arguments", {}), dict) and not is_open(arguments["arguments"]):
            yield "/arguments", "the arguments are an object: each name is a parameter of the function"

    async def run(self, call: StepCall) -> object:
        """What the function returns."""
        name = call.arguments.get("function")
        given = call.arguments.get("arguments", {})
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise BadArguments('/with/function: a function is named as "package.module:name"')
        if not isinstance(given, dict):
            raise BadArguments("/with/arguments: an object was expected")
        function = await asyncio.to_thread(_find, name)
        keywords: dict[str, Any] = json.loads(json.dumps(given))  # a copy: what is given is shared and frozen
        try:
            inspect.signature(function).bind(**keywords)
        except TypeError as error:
            raise BadArguments(f"/with/arguments do not fit {name}: {error}") from error
        except ValueError:  # a function in C without a signature: calling it will tell
            pass
        if inspect.iscoroutinefunction(function):
            return await function(**keywords)
        result = await in_own_thread(functools.partial(function, **keywords), f"maestro-step-{call.step_id}")
        return await result if inspect.isawaitable(result) else result

    async def close(self) -> None:
        """Nothing is held."""


def _find(name: str) -> Callable[..., Any]:
    module_name, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:  # importing runs foreign code
        raise FunctionNotFound(f"{module_name} cannot be imported: {type(error).__name__}: {error}") from error
    for part in path.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise FunctionNotFound(f"{module_name} has no function {path!r}")
    function: Callable[..., Any] = found
    return function

"""How the tools of a UTCP manual are called: over HTTP, as a command, from a file; each bounded in size and time.

utcp's own protocols read answers of any size, kill only the shell of a command that takes too long, and report a
command that failed as one that succeeded. So the calls are made here, with utcp's parts for everything that decides:
its templates, its SSRF guard and redirects, its authentication, its quoting of arguments.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
from utcp.data.auth_implementations import OAuth2Auth  # type: ignore[import-untyped]  # utcp has no types of its own
from utcp_cli import CliCallTemplate, CliCommunicationProtocol  # type: ignore[import-untyped]  # likewise
from utcp_file import FileCallTemplate  # type: ignore[import-untyped]  # likewise
from utcp_http import HttpCallTemplate, HttpCommunicationProtocol  # type: ignore[import-untyped]  # likewise
from utcp_http._security import (  # type: ignore[import-untyped]  # likewise
    ensure_loopback_was_declared,
    ensure_secure_url,
)

from maestro_tools._environment import child_environment, find_program, passed
from maestro_tools._errors import InvalidArguments, ServerUnavailable, ToolFailed
from maestro_tools._inside import inside
from maestro_tools._masking import Masker, Tail
from maestro_tools._process import spawn
from maestro_tools._rest import Rest
from maestro_tools._tools import canonical_json

_TERM_GRACE_S = 1.0
# What Linux takes as one environment variable (MAX_ARG_STRLEN), less its name.
_LARGEST_CLI_ARGUMENT_BYTES = 128 * 1024 - 256


class Calls:
    """Makes the calls of one manual. `close` ends what they share."""

    def __init__(self, *, base_dir: Path, pass_env: tuple[str, ...], max_result_bytes: int, masker: Masker) -> None:
        self._base_dir = base_dir
        self._pass_env = pass_env
        self._max_result_bytes = max_result_bytes
        self._masker = masker
        self._http = HttpCommunicationProtocol()
        self._cli = CliCommunicationProtocol()
        self._rest = Rest(max_result_bytes=max_result_bytes, masker=masker)

    async def call(self, label: str, template: Any, arguments: Mapping[str, Any]) -> Any:
        """The JSON-able answer of one tool."""
        if isinstance(template, HttpCallTemplate):
            return await self._call_http(label, template, dict(arguments))
        if isinstance(template, CliCallTemplate):
            return await self._call_cli(label, template, arguments)
        assert isinstance(template, FileCallTemplate), "a manual holds no other kind"
        return await asyncio.to_thread(self._read_file, label, template)

    async def close(self) -> None:
        """Close the HTTP session."""
        await self._rest.close()

    async def _call_http(self, label: str, template: Any, arguments: dict[str, Any]) -> Any:
        try:
            request = await self._http_request(template, arguments)
        except (aiohttp.ClientError, OSError) as error:
            raise ServerUnavailable(f"{label} cannot be reached: {self._masker.excerpt(str(error))}") from None
        except (ValueError, TypeError, RuntimeError) as error:
            # utcp's word for an address that its guard refuses, and for a path parameter that is missing.
            raise ToolFailed(f"{label} was not called: {self._masker.excerpt(str(error))}") from None
        return (await self._rest.send(label, request)).value

    async def _http_request(self, template: Any, arguments: dict[str, Any]) -> dict[str, Any]:
        """The request of a template; takes every argument to the place that the template names for it."""
        headers = {"Accept-Encoding": "identity", **(template.headers or {})}
        for name in template.header_fields or ():
            if name in arguments:
                headers[name] = _as_text(arguments.pop(name))
        body = arguments.pop(template.body_field, None) if template.body_field else None
        path_arguments = {name: _as_text(value) for name, value in arguments.items() if f"{{{name}}}" in template.url}
        query = {
            name: [_as_text(item) for item in value] if isinstance(value, list) else _as_text(value)
            for name, value in arguments.items()
            if name not in path_arguments and value is not None
        }
        url = self._http._build_url_with_path_params(template.url, path_arguments)
        ensure_secure_url(url, context="tool invocation")
        ensure_loopback_was_declared(template.url, url, context="tool invocation")
        auth, cookies, auth_header_names = self._http._apply_auth(template, headers, query)
        if isinstance(template.auth, OAuth2Auth):
            if (token := await self._http._handle_oauth2(template.auth)) is None:
                raise ValueError("no OAuth2 token could be had")
            headers["Authorization"] = f"Bearer {token}"
        request = {
            "method": template.http_method,
            "url": url,
            "context": "tool invocation",
            "params": query,
            "headers": headers,
            "auth": auth,
            "cookies": cookies,
            "auth_header_names": auth_header_names,
        }
        if body is not None:
            headers.setdefault("Content-Type", template.content_type)
            is_json = "application/json" in headers["Content-Type"]
            request["json" if is_json else "data"] = body if is_json else _as_text(body)
        return request

    async def _call_cli(self, label: str, template: Any, arguments: Mapping[str, Any]) -> Any:
        script, argument_variables = self._script(label, template, arguments)
        own = {**(template.env_vars or {}), **argument_variables}
        if template.inherit_env_vars is None:
            environment = child_environment(own, self._pass_env)
        else:
            environment = {**passed(template.inherit_env_vars), **own}
        cwd = self._base_dir / (template.working_dir or "")
        argv = [find_program("bash", environment.get("PATH"), cwd), "-c", script]
        stderr = Tail(self._masker)
        process = await spawn(argv, env=environment, cwd=cwd, stderr=stderr, with_stdin=False)
        output = bytearray()
        try:
            while chunk := await process.read():
                output += chunk
                if len(output) > self._max_result_bytes:
                    raise self._rest.too_large(label)
            await process.finished()
        finally:
            await process.stop(eof_grace_s=0, term_grace_s=_TERM_GRACE_S)
        text = output.decode("utf-8", errors="replace").strip()
        if process.returncode != 0:
            said = "" if stderr.text() else f"; stdout: {self._masker.excerpt(text)}" if text else ""
            raise ToolFailed(f"{label} failed: it {process.describe_exit()}{said}")
        return _json_or_text(text)

    def _script(self, label: str, template: Any, arguments: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
        """A script that runs every command and stops at the first that fails, and the variables with the arguments.

        The last command writes straight to us, so that its size is bounded while it runs; what the ones before it
        write is kept for `$CMD_0_OUTPUT` and its like, and is cut off at the same bound.
        """
        values = {name: _as_text(value) for name, value in arguments.items()}
        for name, value in values.items():
            if "\0" in value or len(value.encode()) > _LARGEST_CLI_ARGUMENT_BYTES:
                raise InvalidArguments(
                    f"argument {name!r} of {label} cannot be given to a command: it holds a NUL character, or more "
                    f"than {_LARGEST_CLI_ARGUMENT_BYTES} bytes"
                )
        nonce = self._cli._make_nonce()
        lines = ["set -o pipefail"]
        variables: dict[str, str] = {}
        last = len(template.commands) - 1
        for index, step in enumerate(template.commands):
            for name in self._cli._PLACEHOLDER_RE.findall(step.command):
                if name not in values:
                    raise InvalidArguments(f"{label} needs the argument {name!r} for its command")
            command, own = self._cli._substitute_utcp_args(step.command, values, nonce)
            variables.update(own)
            shown = index == last if step.append_to_final_output is None else step.append_to_final_output
            if index == last:
                lines.append(f"( {command}\n){'' if shown else ' >/dev/null'} || exit")
                continue
            lines.append(f"CMD_{index}_OUTPUT=$( ( {command}\n) | head -c {self._max_result_bytes} ) || exit")
            if shown:
                lines.append(f"printf '%s\\n' \"${{CMD_{index}_OUTPUT}}\"")
        return "\n".join(lines), variables

    def _read_file(self, label: str, template: Any) -> str:
        try:
            with inside(self._base_dir, template.file_path).open("rb") as file:
                data = file.read(self._max_result_bytes + 1)
            if len(data) > self._max_result_bytes:
                raise self._rest.too_large(label)
            return data.decode("utf-8")
        except (OSError, ValueError) as error:
            raise ToolFailed(f"{label} failed: {error}") from error


def _as_text(value: Any) -> str:
    """A string as it is, anything else as JSON."""
    return value if isinstance(value, str) else canonical_json(value)


def _json_or_text(text: str) -> Any:
    """What a command printed: the value of an object or list in JSON, otherwise the text."""
    if text.startswith(("{", "[")):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text

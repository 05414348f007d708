"""The wheel without its extra, as a stranger has it."""

import os
import subprocess
import sys

from kit.processes import import_path

BLOCKED = "import sys; sys.modules['redis'] = None; sys.modules['redis.asyncio'] = None\n"


def run(program: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": import_path()}
    words = [sys.executable, "-c", BLOCKED + program]
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_it_imports_and_works_without_the_extra() -> None:
    done = run(
        "import asyncio\n"
        "from maestro_core_messaging import MemoryBroker, Message\n"
        "import maestro_core_messaging.testing\n"
        "async def main():\n"
        "    broker = MemoryBroker()\n"
        "    await broker.publish('t', Message(type='t', source='/s'))\n"
        "    print(len(await broker.read('t')))\n"
        "    await broker.close()\n"
        "asyncio.run(main())\n"
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_the_door_of_the_extra_says_what_to_install() -> None:
    done = run("import maestro_core_messaging.redis")
    assert "pip install 'maestro-core-messaging[redis]'" in done.stderr


def test_the_command_says_what_to_install() -> None:
    done = run(
        "from maestro_core_messaging._command import main\n"
        "print(main(['topics', '--broker', 'redis://localhost/0']))"
    )
    assert done.stdout == "2\n"
    assert "pip install 'maestro-core-messaging[redis]'" in done.stderr


def test_importing_it_loads_nothing_but_the_standard_library() -> None:
    done = run(
        "before = set(sys.modules)\n"
        "import maestro_core_messaging\n"
        "tops = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(tops - set(sys.stdlib_module_names)))"
    )
    assert done.stdout == "['maestro_core_messaging']\n"

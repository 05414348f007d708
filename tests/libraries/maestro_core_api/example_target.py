"""The example service on a real server in a thread, for tests that send it whatever they can think of."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from libraries.maestro_core_api.example_service import USERS

from kit.fuzzing import FuzzTarget
from maestro_core_api import BaseAPI
from maestro_core_api.serve import ApiServer, address_of, bound_socket


@contextmanager
def served(app: BaseAPI, folder: Path) -> Iterator[FuzzTarget]:
    """The app with its contract and its two users, until the block ends."""
    contract = folder / "contract.json"
    contract.write_text(app.contract_text(), encoding="utf-8")
    started = threading.Event()
    with bound_socket(app.settings) as listener:
        server = ApiServer(app, on_started=started.set)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        try:
            assert started.wait(30)
            people = {name: {"X-Api-Key": key} for key, name in USERS.items()}
            yield FuzzTarget(contract, address_of(listener), users=people)
        finally:
            server.should_exit = True
            thread.join(30)

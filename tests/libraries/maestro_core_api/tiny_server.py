"""The tiny service in a process, as a person starts it: `python -m libraries.maestro_core_api.tiny_server`."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from libraries.maestro_core_api.tiny_app import Doings, tiny_app

from maestro_core_api import CannotServe
from maestro_core_api.serve import address_of, bound_socket, serve


def say(text: str) -> None:
    print(text, flush=True)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    if "--broken-start" in sys.argv:
        raise RuntimeError("no disk")
    say("lifespan begins")
    if "--long-start" in sys.argv:
        await asyncio.Event().wait()
    yield
    if "--long-end" in sys.argv:
        say("lifespan hangs")
        await asyncio.Event().wait()
    say("lifespan ends")


async def after() -> None:
    """What outlives requests: with --long-after it does not end by itself."""
    say("after begins")
    if "--long-after" in sys.argv:
        await asyncio.Event().wait()
    say("after ends")


async def main() -> int:
    options = dict(word.split("=") for word in sys.argv[1:] if "=" in word)
    app = tiny_app(Doings(), lifespan=lifespan, **{name: float(value) for name, value in options.items()})
    try:
        with bound_socket(app.settings) as listener:
            return await serve(
                app,
                listener,
                on_started=lambda: say(f"serving {address_of(listener)}"),
                on_stopping=lambda: say("stopping"),
                after=after,
            )
    except CannotServe as error:
        say(f"cannot: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

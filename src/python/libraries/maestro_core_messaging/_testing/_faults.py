"""A broker that cannot, when a test says so."""

from collections.abc import Callable
from typing import Any, cast

from maestro_core_messaging._broker import Broker
from maestro_core_messaging._errors import BrokerUnavailable


class _Faulty:
    def __init__(self, inner: Any, fails: Callable[[str], bool]) -> None:
        self._inner = inner
        self._fails = fails

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        async def call(*words: Any, **named: Any) -> Any:
            if name != "close" and self._fails(name):
                raise BrokerUnavailable(f"{name}: a fault on purpose")
            result = await method(*words, **named)
            return _Faulty(result, self._fails) if name == "subscribe" else result

        return call


def faulty(broker: Broker, fails: Callable[[str], bool]) -> Broker:
    """The broker, but each call of it or of its subscriptions raises BrokerUnavailable when `fails(its name)` holds."""
    return cast(Broker, _Faulty(broker, fails))

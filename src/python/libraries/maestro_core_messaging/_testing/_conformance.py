"""What every broker promises, as scenarios that run against anyone's."""

from maestro_core_messaging._testing._consuming import ConsumingScenarios
from maestro_core_messaging._testing._delivering import DeliveringScenarios
from maestro_core_messaging._testing._keeping import KeepingScenarios


class BrokerConformance(DeliveringScenarios, KeepingScenarios, ConsumingScenarios):
    """Derive a test class from it, write its `open` and `publish_raw`; pytest with asyncio does the rest.

    Every scenario uses topics of its own, so all may share a server. `lease_s`, `patience_s` and `durable` are yours
    to set. Scenarios run on the real clock, and wait for events with a bound.
    """

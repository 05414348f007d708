"""For tests: the suite that every broker passes, a clock, faults, and deliveries made by hand."""

from maestro_core_messaging._broker import Delivery
from maestro_core_messaging._message import Message
from maestro_core_messaging._testing._clock import ManualClock
from maestro_core_messaging._testing._conformance import BrokerConformance
from maestro_core_messaging._testing._faults import faulty

__all__ = ["BrokerConformance", "ManualClock", "delivery_of", "faulty"]


def delivery_of(message: Message, *, topic: str = "topic", group: str = "group", attempt: int = 1) -> Delivery:
    """A delivery to call a handler with."""
    return Delivery(message, topic, group, attempt, position="1", token=attempt)

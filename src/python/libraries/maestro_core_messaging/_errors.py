"""What this package raises.

MessagingError                       messaging
├── InvalidMessage    (ValueError)   messaging.invalid-message     is no CloudEvent; holds every problem
├── InvalidSetting    (ValueError)   messaging.invalid-setting     a name, number or URL that cannot be
├── TopicFull                        messaging.topic-full          retryable: a group's backlog is at its bound
├── LeaseLost                        messaging.lease-lost          the delivery is someone else's by now
├── UnknownGroup      (LookupError)  messaging.unknown-group       nobody has subscribed by that name
├── HandlerTimedOut   (TimeoutError) messaging.handler-timed-out   retryable: a handler ran out of its time
└── BrokerError                      messaging.broker              the broker as a whole
    ├── BrokerUnavailable            messaging.broker-unavailable  retryable: no answer, a full disk, a lock
    ├── BrokerClosed                 messaging.broker-closed       it was closed before the call
    ├── BrokerUnsupported            messaging.broker-unsupported  the server cannot do what is needed
    └── StoreUnreadable              messaging.store-unreadable    damaged, of another program, or too new
"""

from typing import ClassVar


class MessagingError(Exception):
    """Root of everything this package raises."""

    code: ClassVar[str] = "messaging"
    retryable: ClassVar[bool] = False


class InvalidMessage(MessagingError, ValueError):
    """What was given is no CloudEvent that this package takes; `problems` says everything that is wrong with it."""

    code = "messaging.invalid-message"

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class InvalidSetting(MessagingError, ValueError):
    """A name, number or URL that cannot be; the message says which, and what is wanted."""

    code = "messaging.invalid-setting"


class TopicFull(MessagingError):
    """A group has as much before it as the broker allows: nothing was published."""

    code = "messaging.topic-full"
    retryable = True


class LeaseLost(MessagingError):
    """The delivery is no longer this consumer's: its lease ran out and it was given away, or it is settled."""

    code = "messaging.lease-lost"


class UnknownGroup(MessagingError, LookupError):
    """Nobody has subscribed to this topic by that name."""

    code = "messaging.unknown-group"


class HandlerTimedOut(MessagingError, TimeoutError):
    """The handler took longer than its consumer allows."""

    code = "messaging.handler-timed-out"
    retryable = True


class BrokerError(MessagingError):
    """Root of what is wrong with a broker as a whole."""

    code = "messaging.broker"


class BrokerUnavailable(BrokerError):
    """The broker did not do it now: no connection, no answer in time, a full disk, a lock held too long."""

    code = "messaging.broker-unavailable"
    retryable = True


class BrokerClosed(BrokerError):
    """The broker was closed before the call."""

    code = "messaging.broker-closed"


class BrokerUnsupported(BrokerError):
    """The server lacks what this package needs; the message names it."""

    code = "messaging.broker-unsupported"


class StoreUnreadable(BrokerError):
    """The file is damaged, belongs to another program, or was written by a newer version of this package."""

    code = "messaging.store-unreadable"

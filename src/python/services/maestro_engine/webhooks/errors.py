"""What can be wrong with webhooks and the events that go out.

WebhookError
├── UnknownWebhook      no webhook has this id
├── UnknownDelivery     no delivery of this webhook that failed has this id
├── TooManyWebhooks     as many are there as may be
├── NoKey               secrets of webhooks cannot be kept: the engine has no key
├── AddressRefused      the URL leads where no webhook may go
├── NotDelivered        the other side did not take the event; it is tried again
└── NotWanted           the other side will not take it, however often it is tried
"""

from typing import ClassVar


class WebhookError(Exception):
    """Root of everything that this room raises."""

    code: ClassVar[str] = "webhook"
    retryable: ClassVar[bool] = False


class UnknownWebhook(WebhookError):
    """No webhook has this id."""

    code: ClassVar[str] = "webhook.unknown"

    def __init__(self, webhook_id: str) -> None:
        super().__init__(f"There is no webhook {webhook_id}.")


class UnknownDelivery(WebhookError):
    """No delivery of this webhook that failed has this id."""

    code: ClassVar[str] = "webhook.unknown-delivery"

    def __init__(self, delivery_id: str) -> None:
        super().__init__(f"There is no failed delivery {delivery_id} of this webhook.")


class TooManyWebhooks(WebhookError):
    """As many are there as may be."""

    code: ClassVar[str] = "webhook.too-many"

    def __init__(self, limit: int) -> None:
        super().__init__(f"There are {limit} webhooks already; remove one first.")


class NoKey(WebhookError):
    """The secret of a webhook cannot be kept, since the engine has no key to seal it with."""

    code: ClassVar[str] = "webhook.no-key"

    def __init__(self) -> None:
        super().__init__("The engine has no key to keep secrets with: set secret_key or secret_key_file.")


class AddressRefused(WebhookError):
    """The URL leads where no webhook may go; the text does not repeat it, since it may hold a secret."""

    code: ClassVar[str] = "webhook.address-refused"


class NotDelivered(WebhookError):
    """The other side did not take the event; it is tried again."""

    code: ClassVar[str] = "webhook.not-delivered"
    retryable: ClassVar[bool] = True

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(reason)


class NotWanted(WebhookError):
    """The other side will not take it, however often it is tried."""

    code: ClassVar[str] = "webhook.not-wanted"

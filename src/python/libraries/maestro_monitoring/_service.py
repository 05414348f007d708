"""All that this package measures of a service, declared at once: the contract behind the dashboard."""

from maestro_monitoring._contract import Contract
from maestro_monitoring._health import health_gauge
from maestro_monitoring._loop_watch import LoopMeters
from maestro_monitoring._messages import MessageMeters
from maestro_monitoring._metrics import Metrics
from maestro_monitoring._request_metrics import RequestMeters
from maestro_monitoring._tracing import dropped_spans


def service_contract() -> Contract:
    """The contract of a service that uses every middleware and watch of this package."""
    metrics = Metrics()
    metrics.add_process_metrics()
    RequestMeters(metrics)
    MessageMeters(metrics)
    LoopMeters(metrics)
    health_gauge(metrics)
    dropped_spans(metrics)
    return metrics.contract()

"""Prometheus rules of SLOs: recorded error ratios, and alerts on how fast the error budget burns.

Windows, factors and severities are those of the Google SRE Workbook, chapter 5 "Alerting on SLOs", section 6
"Multiwindow, Multi-Burn-Rate Alerts". The short window lets an alert end soon after the trouble has ended.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from maestro_monitoring._contract import Contract
from maestro_monitoring._slo import SLO


@dataclass(frozen=True, slots=True)
class Burn:
    """Fires when the budget burns `factor` times too fast, over the long window and the short one."""

    severity: str
    factor: Decimal
    long: str
    short: str


BURNS = (
    Burn("page", Decimal("14.4"), "1h", "5m"),
    Burn("page", Decimal(6), "6h", "30m"),
    Burn("ticket", Decimal(3), "1d", "2h"),
    Burn("ticket", Decimal(1), "3d", "6h"),
)
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
RECORDED = {
    **{f"slo:sli_error:ratio_rate{window}": frozenset({"slo"}) for window in WINDOWS},
    "slo:sli_error:ratio_period": frozenset({"slo"}),
    "slo:objective:ratio": frozenset({"slo"}),
    "slo:current_burn_rate:ratio": frozenset({"slo"}),
    "slo:period_error_budget_remaining:ratio": frozenset({"slo"}),
}


def burns_of(slo: SLO) -> tuple[Burn, ...]:
    """The alerts that can fire at all: no error ratio exceeds 1, which a low objective would ask for."""
    return tuple(burn for burn in BURNS if burn.factor * slo.budget < 1)


def rules(slos: Iterable[SLO], *, contract: Contract | None = None) -> dict[str, Any]:
    """The content of a Prometheus rule file; with a contract, an SLO that names what it has not raises InvalidSLO."""
    groups: list[dict[str, Any]] = []
    for slo in slos:
        if contract is not None:
            slo.check(contract)
        groups.append({"name": f"slo-{slo.name}-recorded", "rules": _recorded(slo)})
        # Over the whole period, and so heavy: asked for less often, but well within the 5 minutes that a sample lives.
        groups.append({"name": f"slo-{slo.name}-period", "interval": "2m", "rules": _period(slo)})
        groups.append({"name": f"slo-{slo.name}-alerts", "rules": _alerts(slo)})
    return {"groups": groups}


def rules_text(slos: Iterable[SLO], *, contract: Contract | None = None) -> str:
    """The rule file as text: JSON, which is YAML."""
    return json.dumps(rules(slos, contract=contract), indent=2, ensure_ascii=False) + "\n"


def _record(slo: SLO, name: str, expr: str) -> dict[str, Any]:
    return {"record": name, "expr": expr, "labels": {"slo": slo.name}}


def _recorded(slo: SLO) -> list[dict[str, Any]]:
    ratios = [
        _record(slo, f"slo:sli_error:ratio_rate{window}", slo.indicator.error_ratio(window)) for window in WINDOWS
    ]
    burn_rate = f'slo:sli_error:ratio_rate5m{{slo="{slo.name}"}} / {slo.budget}'
    return [
        *ratios,
        _record(slo, "slo:objective:ratio", f"vector({slo.objective})"),
        _record(slo, "slo:current_burn_rate:ratio", burn_rate),
    ]


def _period(slo: SLO) -> list[dict[str, Any]]:
    remaining = f'1 - slo:sli_error:ratio_period{{slo="{slo.name}"}} / {slo.budget}'
    return [
        _record(slo, "slo:sli_error:ratio_period", slo.indicator.error_ratio(f"{slo.window_days}d")),
        _record(slo, "slo:period_error_budget_remaining:ratio", remaining),
    ]


def _alerts(slo: SLO) -> list[dict[str, Any]]:
    alerts = []
    for severity in ("page", "ticket"):
        burns = [burn for burn in burns_of(slo) if burn.severity == severity]
        if burns:
            alerts.append(
                {
                    "alert": "ErrorBudgetBurn",
                    "expr": " or ".join(_burning(slo, burn) for burn in burns),
                    "labels": {**slo.labels, "slo": slo.name, "severity": severity},
                    "annotations": _annotations(slo, burns),
                }
            )
    return alerts


def _burning(slo: SLO, burn: Burn) -> str:
    limit = f"({burn.factor} * {slo.budget})"
    long, short = (
        f'slo:sli_error:ratio_rate{window}{{slo="{slo.name}"}} > {limit}' for window in (burn.long, burn.short)
    )
    return f"({long} and {short})"


def _annotations(slo: SLO, burns: list[Burn]) -> dict[str, str]:
    speeds = " or ".join(f"{burn.factor} times over {burn.long} and {burn.short}" for burn in burns)
    text = f"The error budget of {slo.objective:.15g} over {slo.window_days} days burns too fast: {speeds}."
    # Braces would be taken for a template by Prometheus.
    described = slo.description.replace("{{", "{ {")
    return {
        "summary": f"SLO {slo.name}: the error budget burns too fast",
        "description": f"{text} {described}".strip(),
    }

"""How the platform itself is: a few figures that tell whether what should happen by itself happens.
They are shown on a page, and sent as OpenTelemetry metrics under the names of NAMES.

What nobody knows is None, is said so, and is not sent: it is not 0.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.apps import apps
from django.db.models import Min

from apps.audit.sealing.status import status
from apps.common.leases import Reconciled
from apps.common.tasks import HINT_SECONDS
from apps.gateway.effective.compare import Standing
from apps.gateway.effective.models import GatewayLook
from apps.integrations.otlp.gauges import Gauge
from apps.metering import store
from apps.metering.sealing import sealed_until

SECONDS = "s"
EVERY_SECONDS = 60.0  # they are sent (worker/schedule.py)
LASTS = timedelta(seconds=max(HINT_SECONDS, EVERY_SECONDS))  # the message that has them sent
# key -> the metric's name, its unit, its label on the page, and what it says
NAMES = {
    "reconcile_lag": (
        "quartermaster.reconcile.lag", SECONDS, "Reconcilers behind by",
        "the row that waited longest for its reconciler, of those that are due",
    ),
    "queue_age": (
        "quartermaster.queue.age", SECONDS, "Tasks waited",
        "the last task that measured it, from the clock's message to its start",
    ),
    "ingest_age": (
        "quartermaster.ingest.age", SECONDS, "Newest call began",
        "before now: a quiet platform is not a broken one",
    ),
    "ledger_age": (
        "quartermaster.ledger.sealed_age", SECONDS, "Ledger sealed until",
        "before now: an hour is sealed some hours after its end",
    ),
    "record_age": (
        "quartermaster.record.unsealed_age", SECONDS, "Record unsealed for",
        "the oldest event that waits for its seal",
    ),
    "gate": (
        "quartermaster.gate.accepted", "1", "Gate in front of calls",
        "1 where the gateway took the policy that puts it there, else 0",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Figure:
    """One figure. value: in its unit, None where nobody knows it."""

    key: str
    value: float | None

    @property
    def name(self) -> str:
        """Return the metric's name."""
        return NAMES[self.key][0]

    @property
    def unit(self) -> str:
        """Return the metric's unit, as UCUM has it."""
        return NAMES[self.key][1]

    @property
    def label(self) -> str:
        """Return what people call it."""
        return NAMES[self.key][2]

    @property
    def note(self) -> str:
        """Return what it says, for people."""
        return NAMES[self.key][3]

    @property
    def words(self) -> str:
        """Return the value for people."""
        if self.value is None:
            return "not known"
        if self.unit != SECONDS:
            return "yes" if self.value else "no"
        return age_words(self.value)


def figures(now: datetime) -> list[Figure]:
    """Return the figures that rows tell; about twenty queries. The age of the queue is not among
    them: only a task that came through it knows.
    """
    look = GatewayLook.objects.first()
    gate = look.gate if look and look.cluster_read_at else ""
    return [
        Figure("reconcile_lag", reconcile_lag(now)),
        Figure("ingest_age", _since(store.latest_call_at(), now)),
        Figure("ledger_age", _since(sealed_until(), now)),
        Figure("record_age", _since(status(now=now).waiting_since, now) or 0.0),
        Figure("gate", float(gate == Standing.ACCEPTED) if gate else None),
    ]


def gauges(now: datetime, expires: datetime | None) -> list[Gauge]:
    """Return the figures that are known, to be sent. expires: until when the message that asks for
    it counts, which tells when it was sent; None: nobody sent one.
    """
    sent = expires - LASTS if expires else None
    found = [*figures(now), Figure("queue_age", _since(sent, now))]
    return [
        Gauge(one.name, one.unit, one.value, one.note) for one in found if one.value is not None
    ]


def reconcile_lag(now: datetime) -> float:
    """Return for how many seconds the row has waited that is due for longest; 0 where none is."""
    kinds = [model for model in apps.get_models() if issubclass(model, Reconciled)]
    oldest = [
        kind._default_manager.filter(next_check_at__lte=now).aggregate(at=Min("next_check_at"))
        for kind in kinds
    ]
    return max((_since(one["at"], now) or 0.0 for one in oldest), default=0.0)


def _since(moment: datetime | None, now: datetime) -> float | None:
    return max((now - moment).total_seconds(), 0.0) if moment else None


def age_words(seconds: float) -> str:
    """Return an age in two of its units at most: "8 s", "4 min", "3 h 5 min", "2 d 3 h"."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"

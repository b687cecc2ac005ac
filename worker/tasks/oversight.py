"""Celery tasks of apps.oversight: load, one call, nothing else."""

from datetime import datetime
from typing import Any

from apps.common.clocks import now
from apps.common.tasks import enqueue_on_commit
from apps.integrations.otlp import gauges
from apps.oversight import figures
from apps.oversight.evidence import reconcile
from apps.oversight.evidence.models import EvidencePack
from apps.oversight.evidence.sources import sources_from_settings
from worker.celery import Sweep, app


@app.task(name="oversight.make_evidence", acks_late=True, time_limit=1800)
def make_evidence(*, pack_id: str, **_: object) -> None:
    """Make one evidence pack."""
    pack = EvidencePack.objects.select_related("promotion").get(pk=pack_id)
    reconcile.make_evidence(pack=pack, sources=sources_from_settings(), now=now())


@app.task(base=Sweep, name="oversight.make_due_evidence", time_limit=30)
def make_due_evidence(**_: object) -> None:
    """Start one task for each evidence pack that is due."""
    due = EvidencePack.objects.filter(next_check_at__lte=now())
    for pack_id in due.values_list("pk", flat=True):
        enqueue_on_commit("oversight.make_evidence", pack_id=str(pack_id))


@app.task(bind=True, name="oversight.tell_figures", time_limit=30)
def tell_figures(self: Any, **_: object) -> None:
    """Send how the platform is, where somebody wants to hear it."""
    if gauges.is_wanted():
        expires = self.request.expires
        until = datetime.fromisoformat(expires) if isinstance(expires, str) else expires
        gauges.send(figures.gauges(now(), until), now=now())

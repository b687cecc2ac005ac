"""Celery tasks of apps.catalog: load, one call, nothing else. Versions are brought to verified by a
process of its own (worker/processes/registry.py).
"""

from apps.catalog.sizing import reconcile as sizing
from apps.catalog.sizing.models import SizingJob
from apps.common.clocks import now
from worker.celery import Sweep, app


@app.task(name="catalog.work_out_figures", acks_late=True, time_limit=120)
def work_out_figures(*, job_id: int, **_: object) -> None:
    """Work out how fast one configuration is on each GPU."""
    sizing.work_out(job=SizingJob.objects.get(pk=job_id), now=now())


@app.task(base=Sweep, name="catalog.work_out_due_figures", time_limit=30)
def work_out_due_figures(**_: object) -> None:
    """Start one task for each configuration whose figures are due."""
    for job_id in SizingJob.objects.filter(next_check_at__lte=now()).values_list("pk", flat=True):
        work_out_figures.delay(job_id=job_id)

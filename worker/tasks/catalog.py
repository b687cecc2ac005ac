"""Celery tasks of apps.catalog: load, one call, nothing else."""

from django.conf import settings
from django.utils.timezone import now

from apps.catalog import reconcile
from apps.catalog.models import ModelVersion
from apps.common.signing import FileSigner
from apps.integrations.s3.client import client_from_settings
from worker.celery import app


@app.task(name="catalog.reconcile_version", acks_late=True, time_limit=120)
def reconcile_version(*, version_id: int, **_: object) -> None:
    """Do the next step of one version: sign it, or verify it."""
    version = ModelVersion.objects.select_related("registered_model").get(pk=version_id)
    signer, store = FileSigner.load(settings.SIGNING_KEY_FILE), client_from_settings()
    reconcile.reconcile_version(version=version, store=store, signer=signer, now=now())


@app.task(name="catalog.reconcile_due_versions", time_limit=30)
def reconcile_due_versions(**_: object) -> None:
    """Start one task for each version that is due."""
    for version_id in ModelVersion.objects.filter(next_check_at__lte=now()).values_list(
        "pk", flat=True
    ):
        reconcile_version.delay(version_id=version_id)

"""Celery tasks of apps.evals: load, one call, nothing else."""

from django.conf import settings

from apps.common.clocks import now
from apps.evals import reconcile
from apps.evals.models import EvalRun
from apps.evals.runs.surroundings import Surroundings
from apps.fleet.prices import list_price
from apps.integrations.engine.client import EngineClient
from apps.integrations.engine.key import engine_key
from apps.integrations.git import client as git
from apps.integrations.kubernetes import client as kubernetes
from apps.integrations.s3 import client as s3
from worker.celery import Sweep, app


def surroundings() -> Surroundings:
    """Return what the settings say about Git, cluster and registry."""
    return Surroundings(
        git=git.client_from_settings(),
        cluster=kubernetes.client_from_settings,
        engine=_engine,
        registry=s3.client_from_settings,
        price=list_price,
        bucket=settings.REGISTRY_BUCKET,
        image=settings.SERVING_IMAGE,
        role_arn=settings.REGISTRY_READER_ROLE_ARN,
        s3_endpoint=settings.SERVING_S3_ENDPOINT,
        application=settings.ARGOCD_APPLICATION,
        argocd_namespace=settings.ARGOCD_NAMESPACE,
        start_seconds=settings.SERVING_START_SECONDS,
        retention_days=settings.REGISTRY_RETENTION_DAYS,
    )


def _engine(base_url: str) -> EngineClient:
    """Return the client of one engine, with the key as it is now."""
    return EngineClient(base_url, token=engine_key(), proxy=settings.CLUSTER_HTTP_PROXY, timeout=60)


@app.task(name="evals.reconcile_eval_run", acks_late=True, time_limit=120)
def reconcile_eval_run(*, run_id: str, **_: object) -> None:
    """Do the next step of one evaluation run."""
    related = ("suite", "model_version__registered_model", "baseline__registered_model")
    run = EvalRun.objects.select_related(*related).get(pk=run_id)
    reconcile.reconcile_eval_run(run=run, around=surroundings(), now=now())


@app.task(base=Sweep, name="evals.reconcile_due_eval_runs", time_limit=30)
def reconcile_due_eval_runs(**_: object) -> None:
    """Start one task for each run that is due."""
    for run_id in EvalRun.objects.filter(next_check_at__lte=now()).values_list("pk", flat=True):
        reconcile_eval_run.delay(run_id=str(run_id))

"""Runs beside each other: the last result of the version that is live."""

from apps.evals.models import EvalRun


def last_run_of_live(run: EvalRun) -> EvalRun | None:
    """Return the last passed run, on the same suite, of the version that serves the model's
    callers; None without one.

    What is live is told by the rows of a higher app, read through the relation alone.
    """
    rows = EvalRun.objects.eligible().filter(
        suite=run.suite_id,
        model_version__registered_model=run.model_version.registered_model_id,
        model_version__rollouts__status="LIVE",
    )
    return (
        rows.exclude(model_version=run.model_version_id)
        .select_related("model_version__registered_model")
        .first()
    )

"""Evaluations: suites that wait for a reviewer, and runs that broke off."""

from collections.abc import Iterator
from datetime import datetime

from django.urls import reverse

from apps.accounts.models import User
from apps.accounts.roles import MENDS_MODELS
from apps.evals import telling
from apps.evals.models import EvalRun, EvalSuite
from apps.evals.suites import actions as suites
from apps.evals.suites import telling as suite_lines
from portal.needs.lines import FAILED_SINCE, SHOWN, Need, asked, of_own_models, own


def own_suites(user: User) -> Iterator[Need]:
    """Suites that this person asked for, which only model owners do."""
    if not suites.may_ask(user):
        return
    rows = EvalSuite.objects.pending().filter(requested_by=user)
    yield from own(
        rows, suite_lines.own_title, suites.question, user,
        icon="list-checks", path=suite_lines.path_of,
    )  # fmt: skip


def suites_to_decide(user: User) -> Iterator[Need]:
    """Suites that the person decides about."""
    rows = EvalSuite.objects.to_decide(user).select_related("requested_by")
    yield from asked(rows, suite_lines.asked_title, icon="list-checks", path=suite_lines.path_of)


def failed_runs(user: User, now: datetime) -> Iterator[Need]:
    """Runs that failed this week, for owners of the model and platform engineers."""
    if not user.has_role(*MENDS_MODELS):
        return
    since = now - FAILED_SINCE
    runs = EvalRun.objects.filter(
        of_own_models(user), status=EvalRun.Status.ERROR, finished_at__gte=since
    )
    for run in runs.select_related("model_version__registered_model")[:SHOWN]:
        title, why = telling.error_title(run), run.message or "The page says why"
        url = reverse("evals:run_detail", args=(run.pk,))
        yield Need(title, why, url, "flask-conical", "bad", run.requested_at)

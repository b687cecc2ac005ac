"""People: the rules of pipelines, and roles that are to be looked at."""

from collections.abc import Iterator
from datetime import datetime

from django.urls import reverse

from apps.access.recertification.words import due_words
from apps.accounts.models import User
from apps.accounts.pipelines import actions as pipelines
from apps.accounts.pipelines.models import PipelineChange
from apps.accounts.recertification import actions as roles
from apps.accounts.recertification.models import RoleReview
from apps.oversight import pipelines as pipeline_lines
from portal.needs.lines import SHOWN, Need, asked, own


def own_pipelines(user: User) -> Iterator[Need]:
    """Rules of pipelines that this person proposed."""
    if not pipelines.may_propose(user):
        return
    rows = PipelineChange.objects.pending().filter(requested_by=user)
    yield from own(rows, pipeline_lines.own_title, pipelines.question, user, icon="terminal")


def pipelines_to_decide(user: User) -> Iterator[Need]:
    """Rules of pipelines that the person puts in force or not."""
    found = PipelineChange.objects.to_decide(user)[:SHOWN]
    rows = [item for item in found if pipelines.question(item, user).may_decide]
    yield from asked(rows, pipeline_lines.asked_title, icon="terminal", by="Proposed by")


def roles_to_look_at(user: User, now: datetime) -> Iterator[Need]:
    """Roles of others that this person keeps or takes away."""
    if not roles.may_look(user):
        return
    for item in RoleReview.objects.to_decide(user, is_decider=True)[:SHOWN]:
        why = due_words(item.due_at, now).capitalize()
        url = reverse("oversight:role_review", args=(item.pk,))
        tone = "bad" if item.due_at <= now else "warn"
        yield Need(f"Keep or take away the role {item}", why, url, "users", tone, item.due_at)

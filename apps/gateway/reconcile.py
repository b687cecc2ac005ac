"""Making the gateway's policy what the grants say: compile, commit, observe. Safe to run again at
any time.

A grant's change asks for a publication at once; the sweep compares every model's compiled digest
with the published one, so that an expired grant, or a lost hint, is found within its interval.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from django.conf import settings
from django.db.models import Exists, OuterRef, Q

from apps.access.models import Grant
from apps.catalog.models import RegisteredModel
from apps.common.leases import reschedule, retry_at, take_lease
from apps.gateway import actions
from apps.gateway.models import PolicyRevision
from apps.gitops import sync
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.git.client import GitClient
from apps.integrations.kubernetes.client import KubernetesReader
from apps.integrations.kubernetes.types import Kind
from apps.manifests.gateway import TeamLimit
from apps.manifests.names import MODELS, policy_path
from apps.manifests.policy import DIGEST_ANNOTATION, Policy
from apps.manifests.text import CannotRender
from apps.promotions.models import Rollout
from apps.promotions.rollouts import render

OBSERVE_AGAIN = timedelta(seconds=2)
SLOW = timedelta(seconds=20)
LATE = timedelta(seconds=20)  # after the commit
TRY_REFUSED_AGAIN = timedelta(minutes=5)
MOST_KEPT = 10_000  # digests of policies that a process remembers


def compiled(model: RegisteredModel, grants: list[Grant]) -> Policy:
    """Return what the model's policy should be with these grants (their teams loaded). May raise
    TemporaryError.
    """
    return render.policy(model.name, _limits(grants), render.surroundings())


def _limits(grants: Sequence[Grant]) -> tuple[TeamLimit, ...]:
    return tuple(TeamLimit(grant.team.slug, grant.tokens_per_minute) for grant in grants)


def find_outdated(*, now: datetime) -> list[PolicyRevision]:
    """Ask for a publication of every model whose grants no longer compile to what was published;
    return them.

    Looks at models that were ever granted or rolled out. Three queries, whatever their number, and
    only what a process has not compiled yet is compiled: with a thousand models that would take
    longer than until the next sweep.
    """
    around = render.surroundings()
    grants = defaultdict(list)
    for grant in Grant.objects.active(now).select_related("team"):
        grants[grant.registered_model_id].append(grant)
    granted = Exists(Grant.objects.filter(registered_model=OuterRef("pk")))
    served = Exists(Rollout.objects.filter(registered_model=OuterRef("pk")))
    models = RegisteredModel.objects.filter(Q(granted) | Q(served)).select_related("policy")
    return [
        actions.request_publication(model=model, now=now)
        for model in models
        if _is_outdated(
            getattr(model, "policy", None),
            _digest(model.name, _limits(grants[model.pk]), around),
            now,
        )
    ]


def _digest(model: str, limits: tuple[TeamLimit, ...], around: render.Surroundings) -> str:
    """Return the digest of a model's policy; "" where there can be none, of which the reconciler
    says why.
    """
    try:
        return _compiled_digest(model, limits, around)
    except CannotRender:
        return ""


# The renderer is pure: what a process compiled once holds for as long as the process runs.
@lru_cache(maxsize=MOST_KEPT)
def _compiled_digest(model: str, limits: tuple[TeamLimit, ...], around: render.Surroundings) -> str:
    return render.policy(model, limits, around).digest


def _is_outdated(revision: PolicyRevision | None, digest: str, now: datetime) -> bool:
    if revision is None:
        return True
    if revision.next_check_at is not None:
        return False
    failed_at = revision.observed_at if revision.status == PolicyRevision.Status.FAILED else None
    # after its commit too: who refused may take it by now
    if failed_at is not None and (digest or revision.digest):
        return failed_at < now - TRY_REFUSED_AGAIN
    return revision.digest != digest


def reconcile_policy(
    *, revision: PolicyRevision, git: GitClient, cluster: KubernetesReader, now: datetime
) -> None:
    """Commit the model's policy where it changed, then look whether the cluster carries it."""
    if not take_lease(revision, now=now):
        return
    model = revision.registered_model
    try:
        grants = list(
            Grant.objects.active(now).filter(registered_model=model).select_related("team")
        )
        policy = compiled(model, grants)
        if revision.digest != policy.digest:
            _commit(revision, policy, git, now)
        if _carries(cluster, model.name, policy.digest):
            actions.record_active(revision=revision, now=now)
        else:
            _wait(revision, policy, git, cluster, now)
    except TemporaryError as error:
        again = retry_at(revision, now=now, retry_after=error.retry_after)
        actions.record_problem(
            revision=revision, reason="AWAY", message=str(error), now=now, next_check_at=again
        )
    except (PermanentError, CannotRender) as error:
        actions.record_problem(
            revision=revision, reason="REFUSED", message=str(error), now=now, next_check_at=None
        )


def _commit(revision: PolicyRevision, policy: Policy, git: GitClient, now: datetime) -> None:
    model = revision.registered_model.name
    # The digest is part of the trailer: after a crash the same policy finds its commit, another one
    # makes its own.
    digest = policy.digest.removeprefix("sha256:")[:12]
    trailers = {"Quartermaster-Policy": f"{revision.pk}/{revision.generation}/{digest}"}
    changes, message = {_path(revision): policy.text}, f"Publish the access policy of {model}"
    commit = git.commit(changes=changes, message=message, trailers=trailers)
    actions.record_commit(revision=revision, digest=policy.digest, commit=commit.sha, now=now)


def _path(revision: PolicyRevision) -> str:
    return policy_path(revision.registered_model.name)


def _carries(cluster: KubernetesReader, model: str, digest: str) -> bool:
    found = cluster.get(Kind.SECURITY_POLICY, model, MODELS)
    annotations = (found or {}).get("metadata", {}).get("annotations", {})
    return bool(annotations.get(DIGEST_ANNOTATION) == digest)


def _wait(
    revision: PolicyRevision,
    policy: Policy,
    git: GitClient,
    cluster: KubernetesReader,
    now: datetime,
) -> None:
    """Look again soon. Where it takes long, say what keeps Argo CD from it; where that gave up,
    have it try again.

    A policy that the branch no longer holds is published anew.
    """
    if now - (revision.published_at or now) < LATE:
        reschedule(revision, at=now + OBSERVE_AGAIN)
        return
    application = cluster.application_status(settings.ARGOCD_APPLICATION, settings.ARGOCD_NAMESPACE)
    if application.is_at_rest and git.read(_path(revision)) != policy.text:
        actions.record_lost(revision=revision, now=now)
        return
    sync.ask_again(git, application, since=revision.published_at or now, now=now)
    found = sync.not_applied(
        application,
        "SecurityPolicy",
        revision.registered_model.name,
        MODELS,
        revision.commit,
        contained=git.contains(application.revision, revision.commit),
    )
    pause = OBSERVE_AGAIN if revision.attempts < 30 else SLOW
    actions.record_problem(
        revision=revision,
        reason=found.code,
        message=found.words,
        now=now,
        next_check_at=now + pause,
    )

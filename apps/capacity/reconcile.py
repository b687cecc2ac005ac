"""Making pools what was approved: one Git commit per request, then looking until the cluster
carries it.

Safe to run again at any time: the commit is found again by its trailer, and it is made only over
the very file that the request was made on, so that nobody's change is overwritten.
"""

import re
from datetime import datetime, timedelta

import yaml
from django.conf import settings

from apps.capacity import plan, records
from apps.capacity.models import CapacityRequest, NodePoolRevision
from apps.capacity.plan import Do, Situation
from apps.common.leases import retry_at, take_lease
from apps.gitops import history, sync
from apps.integrations.errors import PermanentError, TemporaryError
from apps.integrations.git.client import GitClient
from apps.integrations.kubernetes.client import KubernetesReader
from apps.integrations.kubernetes.types import Kind
from apps.manifests.capacity import FOLDER, pool_path

FAST = timedelta(seconds=2)
SLOW = timedelta(seconds=10)
LATE_SYNC = timedelta(seconds=45)
ASK_AGAIN = "Look at the pool's newest revision and ask again."
NOT_THERE = ("REFUSED_BY_CLUSTER", *sync.NOT_THERE)
_POOL_FILE = re.compile(rf"^{FOLDER}/([a-z][-a-z0-9]{{0,62}})\.yaml$")
Status = CapacityRequest.Status


def find_pools(*, git: GitClient, now: datetime) -> list[NodePoolRevision]:
    """Keep what the pools' files say where somebody changed them outside the portal, the first time
    included.
    """
    found = []
    for path in git.paths(FOLDER):
        name, text = _POOL_FILE.match(path), git.read(path)
        if name is not None and text is not None:
            row = records.record_found(
                pool=name.group(1), text=text.decode(errors="replace"), now=now
            )
            found += [row] if row is not None else []
    return found


def reconcile_capacity_request(
    *, request: CapacityRequest, git: GitClient, cluster: KubernetesReader, now: datetime
) -> None:
    """Do the next thing for one approved request: commit it, or look how far it is."""
    if not take_lease(request, now=now):
        return
    try:
        if request.status == Status.APPROVED:
            _commit(request, git, now)
        elif request.status == Status.COMMITTED:
            _observe(request, git, cluster, now)
    except TemporaryError as error:
        again = retry_at(request, now=now, retry_after=error.retry_after)
        records.record_waiting(
            request=request,
            reason="AWAY",
            message=str(error),
            now=now,
            next_check_at=again,
            is_trouble=True,
        )
    except PermanentError as error:
        records.fail_request(request=request, reason="REFUSED", message=str(error), now=now)


def _commit(request: CapacityRequest, git: GitClient, now: datetime) -> None:
    path = pool_path(request.pool)
    commit = git.commit(
        changes={path: request.text.encode()},
        message=_message(request),
        trailers={"Quartermaster-Capacity-Request": str(request.pk)},
        only_over={path: request.base.text.encode()},
    )
    records.record_commit(request=request, commit=commit.sha, now=now, next_check_at=now + FAST)


def _message(request: CapacityRequest) -> str:
    who = (
        f"Asked by {request.requested_by.username}, approved by "
        f"{getattr(request.decided_by, 'username', '')}."
    )
    return f"Change the pool {request.pool}\n\n{' '.join(request.justification.split())}\n\n{who}"


def _observe(
    request: CapacityRequest, git: GitClient, cluster: KubernetesReader, now: datetime
) -> None:
    situation = _situation(request, git, cluster, now)
    step = plan.plan_capacity(situation)
    if step.do == Do.FINISH:
        records.finish_request(request=request, message=step.message, now=now)
    elif step.do == Do.FAIL:
        records.fail_request(request=request, reason=step.reason, message=step.message, now=now)
    else:
        # a slow Argo CD, or a branch that lost our commit: then it never arrives
        if not situation.compared and situation.waited >= LATE_SYNC:
            history.check([request.commit], git, advice=ASK_AGAIN)
        if step.reason in NOT_THERE:
            since = request.moved_at or now
            sync.ask_again(git, situation.application, since=since, now=now)
        pause = FAST if step.reason in ("SYNCING", *NOT_THERE) else SLOW
        records.record_waiting(
            request=request,
            reason=step.reason,
            message=step.message,
            now=now,
            next_check_at=now + pause,
            is_trouble=False,
        )


def _situation(
    request: CapacityRequest, git: GitClient, cluster: KubernetesReader, now: datetime
) -> Situation:
    application = cluster.application_status(
        settings.ARGOCD_CAPACITY_APPLICATION, settings.ARGOCD_NAMESPACE
    )
    current = NodePoolRevision.objects.current_of(request.pool)

    def holds(revision: str) -> bool:
        return git.contains(revision, request.commit)

    return Situation(
        commit=request.commit,
        compared=holds(application.revision),
        tried=holds(application.operation_revision),
        application=application,
        found=cluster.get(Kind.NODE_POOL, request.pool),
        wanted=yaml.safe_load(request.text),
        newer=current is not None and current.digest != request.digest,
        waited=now - (request.moved_at or now),
    )

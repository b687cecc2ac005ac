"""How far a committed change of a pool is, from what Argo CD and the cluster say. Pure."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from apps.gitops import sync
from apps.integrations.kubernetes import readings
from apps.integrations.kubernetes.types import ApplicationStatus, Manifest
from apps.manifests import capacity

STALLED = timedelta(minutes=20)
REFUSED_FOR = timedelta(minutes=1)  # a webhook that is started again
ASK_BACK = "Ask for a change that the cluster accepts, or for the old settings back."


class Do(StrEnum):
    """What to do next."""

    WAIT = "WAIT"
    FINISH = "FINISH"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Situation:
    """commit: ours. compared, tried: it is in the revision that Argo CD compared last, or last
    tried to apply.

    found: the NodePool in the cluster. newer: the pool has a revision after ours. waited: since the
    last step.
    """

    commit: str
    compared: bool
    tried: bool
    application: ApplicationStatus
    found: Manifest | None
    wanted: Manifest
    newer: bool
    waited: timedelta


@dataclass(frozen=True)
class Next:
    """do, with a short code and the words for people."""

    do: Do
    reason: str = ""
    message: str = ""


def plan_capacity(now: Situation) -> Next:
    """Return what a committed request does next."""
    step = _plan(now)
    if step.do == Do.WAIT and now.waited >= STALLED:
        return Next(Do.FAIL, step.reason, sync.standstill(now.waited, step.message))
    return step


def _plan(now: Situation) -> Next:
    if now.found is not None and capacity.carries(now.found, now.wanted):
        return _carried(now.found)
    if now.newer:
        words = (
            "The pool was changed again in Git before the cluster had taken this change. Look at "
            "its newest revision."
        )
        return Next(Do.FAIL, "SUPERSEDED", words)
    return _refused(now) or _not_applied(now)


def _carried(found: Manifest) -> Next:
    ready = readings.conditions(found).get("Ready")
    if ready is not None and ready.is_true:
        return Next(
            Do.FINISH,
            message="The cluster's NodePool has these settings, and Karpenter says it is ready.",
        )
    said = (ready.message or ready.reason) if ready is not None else "no verdict yet"
    return Next(
        Do.WAIT,
        "NOT_READY",
        f"The NodePool has these settings, but Karpenter does not use it yet: {said}.",
    )


def _refused(now: Situation) -> Next | None:
    refusal = _refusal(now)
    if not refusal:
        return None
    said = f"{refusal[:400].rstrip('.')}."
    # the latter: nobody has asked yet
    if now.waited < REFUSED_FOR or now.application.revision == now.commit:
        words = f"{said} Argo CD is asked to try again for a minute."
        return Next(Do.WAIT, "REFUSED_BY_CLUSTER", words)
    words = f"{said} Git now says something that the cluster does not do. {ASK_BACK}"
    return Next(Do.FAIL, "REFUSED_BY_CLUSTER", words)


def _refusal(now: Situation) -> str:
    """Return what was said against our pool, else against any other object, else about the whole
    attempt, or "".

    Of the comparison, where the API server does not even take the change on trial, or of the
    attempt to apply it.
    """
    application, name = now.application, now.wanted["metadata"]["name"]
    has_failed = now.tried and application.operation_phase in ("Failed", "Error")
    is_refused_on_trial = now.compared and application.sync == "Unknown"
    if not has_failed and not is_refused_on_trial:
        return ""
    said = [item for item in application.resources if item.message]
    said.sort(key=lambda item: (item.kind, item.name) != ("NodePool", name))
    if said:
        return f"The cluster refuses it: {said[0].message}"
    return f"Argo CD could not apply it: {application.message}" if has_failed else ""


def _not_applied(now: Situation) -> Next:
    name = now.wanted["metadata"]["name"]
    found = sync.not_applied(
        now.application, "NodePool", name, "", now.commit, contained=now.compared
    )
    return Next(Do.WAIT, found.code, found.words)

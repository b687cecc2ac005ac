"""How far Argo CD is with a commit, in the same words for whoever waits: rollouts, evaluations,
policies, pools. Where it does nothing more, it is asked again here. Reads nothing itself.

Argo CD tries no failed revision twice, and says "Synced" of one whose comparison failed, though
nothing was applied: whoever waits must see for himself that something is missing, then ask.
"""

from datetime import datetime, timedelta

from apps.gitops.trouble import Trouble, cut
from apps.integrations.git.client import GitClient
from apps.integrations.kubernetes.types import ApplicationStatus

# what was committed is not there, whatever Argo CD says of it
NOT_THERE = ("SYNC_FAILED", "SYNC_BLOCKED", "APPLIED")


def not_applied(
    application: ApplicationStatus,
    kind: str,
    name: str,
    namespace: str,
    commit: str,
    *,
    contained: bool,
) -> Trouble:
    """Return why the cluster has an object not as committed yet, and what is waited for.

    contained: the commit is in the revision that Argo CD compared last. namespace: "" for an object
    of the whole cluster.
    """
    problem = of_sync(application, kind, name, namespace, commit)
    if problem is not None:
        return problem
    if contained and application.sync == "Synced":
        words = f"Argo CD says that it applied the commit, but in the cluster {kind} {name}"
        rest = "is not as committed yet. If it stays that way, the portal has Argo CD look again."
        return Trouble("APPLIED", f"{words} {rest}")
    return Trouble("SYNCING", f"Waiting for Argo CD to apply commit {commit[:8]}.")


def ask_again(
    git: GitClient, application: ApplicationStatus, *, since: datetime, now: datetime
) -> None:
    """Have Argo CD look once more where it does nothing more by itself. since: when somebody began
    to wait. Call it only where something is missing.
    """
    if application.is_at_rest:
        git.ask_again(application.revision, since=since, now=now)


def standstill(length: timedelta, words: str) -> str:
    """Return what to say of a wait that is given up after so long. words: what was waited for."""
    return f"Nothing has moved for {length // timedelta(minutes=1)} minutes. {words}"


def of_sync(
    application: ApplicationStatus, kind: str, name: str, namespace: str, commit: str
) -> Trouble | None:
    """Return what keeps Argo CD from applying an object of a commit; None while nothing is
    wrong.
    """
    if not application.exists:
        words = (
            "Argo CD has no Application for this. A platform engineer must apply deploy/argocd/."
        )
        return Trouble("NO_APPLICATION", words)
    advice = (
        "It tries again by itself; a platform engineer finds more with: kubectl describe "
        "application."
    )
    for error in application.errors:
        if error.type == "ComparisonError":
            words = (
                f"Argo CD cannot read what Git holds, so nothing new is applied: "
                f"{cut(error.message)}."
            )
            return Trouble("COMPARISON", f"{words} Correct the commit that it names. {advice}")
    own = application.resource(kind, name, namespace)
    if own is not None and own.message:
        return Trouble(
            "SYNC_FAILED", f"The cluster refused {kind} {name}: {cut(own.message)}. {advice}"
        )
    blocker = next((item for item in application.resources if item.message), None)
    if blocker is not None:
        words = f"Argo CD cannot apply {blocker.kind} {blocker.name}: {cut(blocker.message)}."
        rest = (
            f"Commit {commit[:8]} waits behind it. Correct {blocker.kind} {blocker.name} in Git: "
            f"then this goes on."
        )
        return Trouble("SYNC_BLOCKED", f"{words} {rest} {advice}")
    said = next(
        (error.message for error in application.errors),
        application.message if application.gave_up else "",
    )
    if said:
        return Trouble("SYNC_FAILED", f"Argo CD cannot apply Git: {cut(said)}. {advice}")
    return of_hand(application, kind, name, namespace)


def of_hand(application: ApplicationStatus, kind: str, name: str, namespace: str) -> Trouble | None:
    """Return that somebody changed an object in the cluster after Argo CD had applied it; None
    where nobody did.
    """
    own = application.resource(kind, name, namespace)
    if own is None or own.sync != "OutOfSync" or not application.is_settled:
        return None
    words = (
        f"Somebody changed {kind} {name} in the cluster: it is not what Git says. Argo CD puts it "
        f"right by itself."
    )
    return Trouble(
        "OUT_OF_SYNC",
        f"{words} If it stays that way, somebody keeps changing it: change it in the portal "
        "instead.",
    )

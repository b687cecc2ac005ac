"""What a rollout does next, from what its rows and the cluster say. Pure: a table of situations, no
I/O.

A problem that may pass (no capacity, registry away, image being fetched) is shown and waited for:
the baseline serves meanwhile. One that cannot pass by itself (wrong bytes, an engine that crashes
again and again) fails the rollout. Once the version carries callers, everything that would fail
gives them back to the baseline first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import Any

from apps.gitops import sync, trouble
from apps.gitops.trouble import Trouble
from apps.integrations.kubernetes.types import ApplicationStatus, RouteStatus, ServingStatus
from apps.manifests.serving import longest_start
from apps.promotions.models import Rollout, shift_to, weight_of
from apps.promotions.rollouts import drift
from apps.promotions.rollouts.health import Decision, Verdict

Step = Rollout.Step
STALLED_SOONER = {"NO_RUNTIME": timedelta(minutes=5)}  # it is committed together with the version
NOT_AS_APPROVED = "NOT_AS_APPROVED"  # a step would write something else than what was approved


class HoldCode(StrEnum):
    """CHANGE: its change in ServiceNow is not open any more. OBJECTED: its emergency was found not
    justified. HELD: what serves is in trouble, as where its error budget burns fast.
    """

    CHANGE = "CHANGE"
    OBJECTED = "OBJECTED"
    HELD = "HELD"


# people, or the settings, want it to stand still
NEVER_STALLED = ("HOLDING", "PAUSED", "NO_TRAFFIC", *HoldCode)
# a slow Argo CD, or a branch that lost our commit: then it never arrives
LATE_SYNC = timedelta(seconds=15)
UNREADY_GRACE = timedelta(seconds=20)  # a probe that fails once is no reason to move callers twice


class Do(StrEnum):
    """What to do next."""

    COMMIT = "COMMIT"
    JUDGE = "JUDGE"
    RETURN = "RETURN"
    WAIT = "WAIT"
    FINISH = "FINISH"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Hold:
    """Why nothing more of a rollout is committed (holds.py). words: for people."""

    code: HoldCode
    words: str


@dataclass(frozen=True)
class Held:
    """The present weight below 100, since the gateway was seen to have accepted it. decision: what
    the numbers say now.
    """

    time: timedelta
    length: timedelta
    decision: Decision | None = None


@dataclass(frozen=True)
class Situation:
    """commits: step → commit of this attempt. contained: the steps whose commit is in the revision
    that Argo CD compared last. judged: the steps whose decision is stored: the rollout has gone on
    from them, and the route may have too. leaving: a version that must be out of the cluster before
    anything else is done, "" for none. still_for: how long nothing has got further. may_start_for:
    how long the version may take to be ready. without_traffic: the proposal allows it to go on
    where too few calls came to compare. hold: what keeps it from going forward.
    """

    name: str
    digest: str
    model: str
    namespace: str
    commits: Mapping[str, str]
    contained: frozenset[str]
    application: ApplicationStatus
    serving: ServingStatus
    route: RouteStatus
    sleeps: bool = False  # its serving class is scale-to-zero
    steps: tuple[int, ...] = (100,)
    baseline: str = ""
    judged: frozenset[str] = frozenset()
    leaving: str = ""
    paused: bool = False
    hold: Hold | None = None
    return_reason: str = ""
    return_message: str = ""
    quarantined: str = ""  # why the version was taken out of use; "" while it was not
    unready_for: timedelta | None = None
    held: Held | None = None
    still_for: timedelta = timedelta(0)
    may_start_for: timedelta = longest_start()
    without_traffic: bool = False
    container: Mapping[str, Any] = field(default_factory=dict)

    @property
    def checks(self) -> list[drift.Check]:
        """Return what runs of the version, held against what was approved."""
        return drift.checks(drift.Approved(self.name, self.digest, self.container), self.serving)

    @property
    def weight(self) -> int:
        """Return the percent of the callers that the last committed step gives the version."""
        return max((weight_of(step) or 0 for step in self.commits), default=0)

    def weights(self, percent: int) -> dict[str, int]:
        """Return what the route must have while the version gets this much."""
        both = {self.name: percent, self.baseline: 100 - percent}
        return {name: share for name, share in both.items() if name and share}


@dataclass(frozen=True)
class Next:
    """do, with the step to commit, or with a short code and the words for people.

    look_for: commits that should have arrived by now: the branch may have lost them. ask_again:
    Argo CD is at rest without what was committed, and must be asked to try again.
    """

    do: Do
    step: str = ""
    reason: str = ""
    message: str = ""
    look_for: tuple[str, ...] = ()
    ask_again: bool = False

    @property
    def is_problem(self) -> bool:
        """Tell whether something is wrong, as opposed to not finished."""
        return self.do == Do.FAIL or self.reason in trouble.PROBLEMS


def wait(reason: str, message: str) -> Next:
    """Return: nothing to do but look again."""
    return Next(Do.WAIT, reason=reason, message=message)


def fail(reason: str, message: str) -> Next:
    """Return: this cannot get better by itself."""
    return Next(Do.FAIL, reason=reason, message=message)


def plan_rollout(now: Situation) -> Next:
    """Return what an open rollout does next."""
    step = or_return(now, _unless_stalled(now, _next(now)))
    return _with_late_sync(now, step) if step.do == Do.WAIT else step


def _next(now: Situation) -> Next:
    if now.leaving:
        return wait(
            "TAKING_BACK",
            f"{now.leaving} is taken out of the cluster first; it was superseded or aborted.",
        )
    return _returning(now) if now.return_message else _forward(now)


def _unless_stalled(now: Situation, step: Next) -> Next:
    """Return the step, but the rollout's end where it waits for what does not come."""
    longest = STALLED_SOONER.get(step.reason, now.may_start_for)
    if step.do != Do.WAIT or step.reason in NEVER_STALLED or now.still_for < longest:
        return step
    return fail(step.reason, sync.standstill(now.still_for, step.message))


def _with_late_sync(now: Situation, step: Next) -> Next:
    """Return the wait with what to do about commits that Argo CD should have applied by now."""
    late = step.reason == "SYNCING" and now.still_for >= LATE_SYNC
    missing = [sha for made, sha in now.commits.items() if made not in now.contained]
    at_rest = now.application.is_at_rest and step.reason in sync.NOT_THERE
    gave_up = now.application.gave_up and bool(now.leaving)
    return replace(step, look_for=tuple(missing) if late else (), ask_again=at_rest or gave_up)


def or_return(now: Situation, step: Next) -> Next:
    """Return the step, but the way back where it would fail while callers are with the version."""
    if step.do == Do.FAIL and now.weight and now.baseline and not now.return_message:
        return Next(Do.RETURN, reason=step.reason, message=step.message)
    return step


def _forward(now: Situation) -> Next:
    if now.quarantined:
        return fail("QUARANTINED", f"{now.name} was quarantined. {now.quarantined}")
    if Step.SERVE not in now.commits:
        return _commit(now, Step.SERVE)
    if not now.serving.exists:
        if now.weight and now.baseline:
            return fail(
                "DRIFT", f"The InferenceService {now.name} was deleted outside of this rollout."
            )
        return _not_applied(now, Step.SERVE, "InferenceService", now.name)
    other = _other_than_approved(now)
    if other is not None:
        return other
    found = _in_the_way(now)
    if found is None or not found.is_problem:
        found = sync.of_hand(now.application, "InferenceService", now.name, now.namespace) or found
    return _shifting(now) if found is None else _not_ready(now, found)


def _other_than_approved(now: Situation) -> Next | None:
    """Return what to do where the version is not what was approved, or nobody can say; None where
    it is.

    Replicas with another image or other arguments may be those of an earlier rollout of the same
    version, which go when the new ones are ready: they are waited for, but no caller is sent there.
    """
    differing = drift.differing(now.checks)
    if differing:
        words = drift.words(now.name, drift.kept((), differing))
        passes = all(check.what in drift.OF_THE_CONTAINER for check in differing)
        if passes and not now.weight:
            return wait("OTHER_REPLICAS", f"{words} Replicas as committed take their place.")
        advice = "Somebody changed it outside of this promotion: abort, then find out from the Git"
        return fail(drift.DRIFT, f"{words} {advice} history who it was.")
    if drift.is_unmeasured(now.checks):
        words = f"{now.name} is ready, but its loader left no word of what it read, so no"
        advice = "A platform engineer must have it loaded by the product's own (deploy/serving)."
        return wait(drift.UNMEASURED, f"{words} caller is sent to it. {advice}")
    return None


def _in_the_way(now: Situation) -> Trouble | None:
    """Return what keeps the version from callers. SCALED_TO_ZERO is no fault, but it must have been
    ready once.
    """
    if now.sleeps and trouble.is_asleep(now.serving):
        words = "No replica runs yet. The portal tells KEDA to start one, as this rollout is open."
        return None if now.weight else Trouble("SCALED_TO_ZERO", words)
    return trouble.of_serving(now.serving)


def _commit(now: Situation, step: str) -> Next:
    if now.paused:
        return wait(
            "PAUSED",
            f"Paused at {now.weight} %. Nothing more is committed until somebody resumes it.",
        )
    if now.hold is not None:
        stays = f"It stays at {now.weight} % and still goes back by itself when its gate fails."
        return wait(now.hold.code, f"{now.hold.words} {stays}")
    return Next(Do.COMMIT, step)


def _not_ready(now: Situation, found: Trouble) -> Next:
    if found.final:
        return fail(found.code, found.words)
    if (
        now.weight
        and now.baseline
        and now.unready_for is not None
        and now.unready_for >= UNREADY_GRACE
    ):
        return fail(
            found.code, f"{now.name} is not ready while callers are sent to it. {found.words}"
        )
    return wait(found.code, found.words)


def _not_applied(now: Situation, step: str, kind: str, name: str) -> Next:
    commit, contained = now.commits[step], step in now.contained
    found = sync.not_applied(
        now.application, kind, name, now.namespace, commit, contained=contained
    )
    return wait(found.code, found.words)


def _shifting(now: Situation) -> Next:
    """Return the next weight: the first one that is not committed, once the one before it has stood
    its time.
    """
    for percent in now.steps:
        step = shift_to(percent)
        if step not in now.commits:
            return _first_shift(now, step) if not now.weight else _commit(now, step)
        if percent < now.weight or step in now.judged:
            continue
        standing = _standing(now, step, percent)
        if standing is not None:
            return standing
    return Next(Do.FINISH)


def _first_shift(now: Situation, step: str) -> Next:
    """Ready: shift once its backends are applied, so that no caller meets a route that leads
    nowhere.
    """
    for kind in ("AIServiceBackend", "Backend"):
        resource = now.application.resource(kind, now.name, now.namespace)
        if resource is None or resource.sync != "Synced":
            problem = sync.of_sync(
                now.application, kind, now.name, now.namespace, now.commits[Step.SERVE]
            )
            if problem is not None:
                return wait(problem.code, problem.words)
            return wait("SYNCING", f"Waiting for Argo CD to apply {kind} {now.name}.")
    return _commit(now, step)


def _standing(now: Situation, step: str, percent: int) -> Next | None:
    """Return what the present weight waits for; None when the rollout may go on from it."""
    problem = _not_accepted(now, step, now.weights(percent))
    if problem is not None:
        return problem
    return None if now.held is None else _held(now, percent, now.held)


def _held(now: Situation, percent: int, held: Held) -> Next:
    decision = held.decision
    if decision is not None and decision.verdict == Verdict.FAILED and decision.final:
        return Next(Do.JUDGE)
    if now.paused:
        return wait(
            "PAUSED", f"Paused at {percent} %. It still goes back by itself when its gate fails."
        )
    if held.time < held.length:
        left = max(int((held.length - held.time).total_seconds()), 1)
        words = (
            f"{percent} % of the callers get {now.name}; it is judged against {now.baseline} in "
            f"{left} s."
        )
        return wait("HOLDING", words)
    if decision is not None and decision.verdict == Verdict.NO_TRAFFIC and not now.without_traffic:
        words = "Somebody who did not propose it decides whether it goes on or is taken back."
        return wait("NO_TRAFFIC", f"{decision.words} {words}")
    return Next(Do.JUDGE)


def is_accepted(now: Situation, weights: Mapping[str, int]) -> bool:
    """Tell whether the gateway has accepted a route with exactly these weights."""
    return now.route.weights == weights and now.route.accepted is not None


def _not_accepted(now: Situation, step: str, weights: Mapping[str, int]) -> Next | None:
    route = now.route
    if route.weights != weights:
        return _not_applied(now, step, "AIGatewayRoute", now.model)
    if route.refused is not None:
        return wait("ROUTE", f"The gateway refuses the route: {route.refused.message[:300]}")
    return (
        wait("SHIFTING", "The gateway is taking over the route.")
        if route.accepted is None
        else None
    )


def _returning(now: Situation) -> Next:
    """Return the way back: one commit, the gateway's word that callers are back, then the failure
    with its words.
    """
    if Step.RETURN not in now.commits:
        return Next(Do.COMMIT, Step.RETURN)
    problem = _not_accepted(now, Step.RETURN, {now.baseline: 100})
    if problem is not None:
        return Next(
            problem.do,
            reason=problem.reason,
            message=f"Callers go back to {now.baseline}. {problem.message}",
        )
    code = NOT_AS_APPROVED if now.return_reason == NOT_AS_APPROVED else "GATE"
    return fail(code, f"{now.return_message} All callers are back with {now.baseline}.")

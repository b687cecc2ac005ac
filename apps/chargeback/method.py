"""How machine time is shared: the method in words, what can become of time, and why.

A new method is a new id or version: what was shared by an old one can be explained years later.
"""

from dataclasses import dataclass

from django.db.models import TextChoices


@dataclass(frozen=True)
class Method:
    """A way of sharing. id and version are stored with every day that was shared by it."""

    id: str
    version: int
    text: str


METHOD = Method(
    id="gpu-work-1",
    version=1,
    text=(
        "A machine costs its own price for as long as it lasts. Its cost is divided by its GPUs, "
        "and a GPU's by the part of it that each pod held: MIG slices in sevenths; pods that held "
        "more than there was, in proportion. From the launch or the scheduling of a pod until it "
        "is ready it starts. After that, each hour of a model version is divided by the work that "
        "was measured in calls that began in that hour: fresh input, cached input and output "
        "tokens, estimated ones too, weighted by how long a GPU of that kind works for each. Where "
        "that speed was measured, the part of the hour that the work takes at it, at most all of "
        "it, is paid by "
        "the teams in proportion to their work, and the rest is idle. Where it was not measured, "
        "an hour with work is paid whole by those who worked, and nothing is said of how much "
        "more could have been done. An hour without a call is idle. GPU utilization is never "
        "used. Calls whose use nobody told weigh nothing beside others; in an hour that has only "
        "such calls they share by their number. Replicas under evaluation belong to their "
        "evaluation. What no pod held is unallocated, machines without a GPU are the platform's, "
        "and time in which nobody saw the machine is the residual."
    ),
)


class Fact(TextChoices):
    """What a day's machines tell beside their shares. The last five are savings and losses, each by
    a method of its own (FACTS).
    """

    READY = "READY", "Ready for calls"
    USED = "USED", "Used by calls, at a measured speed"
    UNSPLIT = "UNSPLIT", "With calls whose speed was not measured"
    NO_CALLS = "NO_CALLS", "Idle: no call in the hour"
    LESS_WORK = "LESS_WORK", "Idle: less work than it could do"
    START = "START", "Cold starts"
    SPOT = "SPOT", "Saved by Spot"
    SLEEP = "SLEEP", "Saved by scaling to zero"
    CONSOLIDATION = "CONSOLIDATION", "Saved by consolidation"
    RECLAIM = "RECLAIM", "Spot machines taken back"


FACTS = {
    Fact.SPOT: Method(
        id="spot-saved-1",
        version=1,
        text=(
            "For Spot machines whose on-demand price is listed: what the same machine costs on "
            "demand by the price list in the same zone at the same time, less what was paid. Time "
            "whose on-demand price nobody lists is counted and is in no amount."
        ),
    ),
    Fact.SLEEP: Method(
        id="sleep-saved-1",
        version=1,
        text=(
            "Against always keeping one replica: for each time longer than fifteen minutes in "
            "which a version had no replica, between two that it had, or since its last one while "
            "it is live and may sleep: the GPUs that its last replica held, at the last price of "
            "that replica's machine, for at most 30 days. A time that began because AWS "
            "took the machine back is an outage and no sleep. What waking up costs is not taken "
            "off: that is among the cold starts."
        ),
    ),
    Fact.CONSOLIDATION: Method(
        id="consolidation-saved-1",
        version=1,
        text=(
            "Against the machines that were replaced: a machine that Karpenter removed as "
            "underutilized is taken to go on at its last price for as long as the replicas that "
            "moved from it lasted, for at most 30 days; those are the replicas of the same "
            "versions that began elsewhere within fifteen minutes of its end. What the machines "
            "cost that were launched for them in that time is taken off, and where several "
            "machines moved to one, each bears an equal part of it. Empty machines that were "
            "removed are left out: nothing tells how long they would have stayed."
        ),
    ),
    Fact.RECLAIM: Method(
        id="spot-reclaims-1",
        version=1,
        text=(
            "Spot machines that AWS took back, by the events of the cluster. Their cost is the GPU "
            "time in which the replicas of the same versions started elsewhere, begun within "
            "fifteen minutes of the end, until they were ready, at the price of their new machine. "
            "It is also among the cold starts. What callers lost meanwhile has no price."
        ),
    ),
    Fact.START: Method(
        id="cold-starts-1",
        version=1,
        text=(
            "Pods that were created and got a machine, and the GPU time from the machine's launch, "
            "or the pod's scheduling, until it was ready: the same money as in the month's "
            "equation."
        ),
    ),
}


class Kind(TextChoices):
    """What became of machine time."""

    WORK = "WORK", "Used by calls"
    IDLE = "IDLE", "Idle replicas"
    START = "START", "Starting replicas"
    UNALLOCATED = "UNALLOCATED", "GPUs without a replica"
    PLATFORM = "PLATFORM", "Platform"
    RESIDUAL = "RESIDUAL", "Residual"


class Basis(TextChoices):
    """Why a share is what it is, where its kind does not say all."""

    NONE = "", ""
    MEASURED = "MEASURED", "Divided at the measured speed"
    NOT_SPLIT = "NOT_SPLIT", "Work and idling not told apart: no speed was measured"
    CALLS = "CALLS", "Shared by the number of calls: nobody told what they used"
    NO_CALLS = "NO_CALLS", "No call began in the hour"
    EVALUATION = "EVALUATION", "Evaluation"
    UNOBSERVED = "UNOBSERVED", "Nobody saw the machine"

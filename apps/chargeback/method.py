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

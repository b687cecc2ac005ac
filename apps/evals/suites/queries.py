"""Which suites judge a model, and their packets."""

from apps.catalog.models import RegisteredModel
from apps.evals.models import EvalSuite, SuitePacket
from apps.evals.packets.packet import Packet

CPU = "cpu"  # the subset that is asked where there is a CPU only


def suites_judging(model: RegisteredModel) -> list[EvalSuite]:
    """Return the suites in force that judge a model, by slug: those that name it, or else those
    that judge any; one query.
    """
    found = list(EvalSuite.objects.in_force().order_by("slug"))
    named = [suite for suite in found if model.name in suite.judges]
    return named or [suite for suite in found if EvalSuite.ANY in suite.judges]


def packets_of(suite: EvalSuite, subset: str = "") -> list[Packet]:
    """Return a suite's packets in their order. subset: "" for all, CPU for those of a CPU."""
    rows = SuitePacket.objects.filter(packets_digest=suite.packets_digest)
    rows = rows.filter(in_subset=True) if subset == CPU else rows
    return [Packet.of_json(row.content) for row in rows]


def packet_count(suite: EvalSuite, subset: str = "") -> int:
    """Return how many packets of a suite are asked; one query for a subset."""
    if not subset:
        return suite.packet_count
    rows = SuitePacket.objects.filter(packets_digest=suite.packets_digest, in_subset=True)
    return rows.count()


def packet_of(suite: EvalSuite, packet_id: str) -> Packet | None:
    """Return one packet of a suite; None where it has none of that id."""
    rows = SuitePacket.objects.filter(packets_digest=suite.packets_digest, packet_id=packet_id)
    row = rows.first()
    return None if row is None else Packet.of_json(row.content)

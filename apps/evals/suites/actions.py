"""Every change of suites: those that ship become rows."""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from apps.common.errors import DomainError
from apps.evals.models import EvalSuite, SuitePacket
from apps.evals.packets.packet import Packet
from apps.evals.suites.shipped import Suite

Status = EvalSuite.Status


class SuiteChanged(DomainError):
    """The suite's definition changed, but its revision did not."""

    code = "suite_changed"


@transaction.atomic
def ensure_suite(*, suite: Suite, now: datetime, judges: Sequence[str] = ()) -> EvalSuite:
    """Return the row of a suite that ships with the product, made with its packets where it is
    missing. judges: the models that it judges from then on. Raises SuiteChanged.
    """
    facts = {
        "title": suite.title, "about": suite.about, "digest": suite.digest,
        "packets_digest": suite.packets_digest, "packet_count": len(suite.packets),
        "thresholds": suite.thresholds, "rule": suite.rule, "question": suite.question,
        "judges": list(judges), "status": Status.SHIPPED, "requested_at": now, "decided_at": now,
    }  # fmt: skip
    row, _ = EvalSuite.objects.get_or_create(
        slug=suite.slug, revision=suite.revision, defaults=facts
    )
    if row.digest != suite.digest:
        raise SuiteChanged(
            f"{suite.slug} r{suite.revision} changed: give the changed suite the next revision."
        )
    keep_packets(suite.packets_digest, suite.packets, suite.subset)
    return row


def keep_packets(digest: str, packets: Sequence[Packet], subset: frozenset[str]) -> None:
    """Make the rows of packets that belong together, once."""
    if SuitePacket.objects.filter(packets_digest=digest).exists():
        return
    SuitePacket.objects.bulk_create(
        SuitePacket(
            packets_digest=digest, number=number, packet_id=packet.id, pages=packet.pages,
            style=packet.style, in_subset=packet.id in subset, content=packet.as_json(),
        )
        for number, packet in enumerate(packets, 1)
    )  # fmt: skip

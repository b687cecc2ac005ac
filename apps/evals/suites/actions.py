"""Every change of suites: those that ship become rows."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import transaction

from apps.common.errors import DomainError
from apps.evals.models import EvalSuite, SuitePacket
from apps.evals.packets.packet import Packet
from apps.evals.suites.shipped import NAMES, Suite, in_subset, load

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
        "packets_digest": suite.packets_digest, "packet_count": suite.packet_count,
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
    if not SuitePacket.objects.filter(packets_digest=suite.packets_digest).exists():
        keep_packets(suite.packets_digest, suite.packets)
    return row


def ensure_shipped(
    *, now: datetime, judges: Mapping[str, Sequence[str]] | None = None
) -> list[EvalSuite]:
    """Return the rows of all suites that ship. judges: slug → the models that a suite judges, where
    the row is made now.
    """
    suites, named = [load(name) for name in NAMES], judges or {}
    return [
        ensure_suite(suite=suite, now=now, judges=named.get(suite.slug, ())) for suite in suites
    ]


def keep_packets(digest: str, packets: Sequence[Packet]) -> None:
    """Make the rows of packets that belong together."""
    SuitePacket.objects.bulk_create(
        SuitePacket(
            packets_digest=digest, number=number, packet_id=packet.id, pages=packet.pages,
            style=packet.style, in_subset=in_subset(packet, number), content=packet.as_json(),
        )
        for number, packet in enumerate(packets, 1)
    )  # fmt: skip

"""Suites and their packets as tables. Declarations only."""

from django.urls import reverse

from apps.common.tables.columns import Column, Empty, Table
from apps.evals.models import EvalSuite, SuitePacket
from apps.evals.suites import pages


def _address(suite: EvalSuite) -> str:
    return reverse("evals:suite_detail", args=[suite.pk])


def _holds(row: SuitePacket) -> str:
    """Return what is special about a packet, in words."""
    found = row.content
    marks = [
        ("asked on a CPU too", row.in_subset),
        ("planted instruction", bool(found["planted"])),
        ("must be refused", bool(found["refuse"])),
    ]
    return ", ".join(words for words, holds in marks if holds)


SUITES = Table(
    name="suites",
    noun=("revision", "revisions"),
    columns=(
        Column("suite", "Suite", "title", sort="title", url=_address, sub="__str__", place="name"),
        Column("state", "State", pages.badge, kind="badge", sort="status", csv="status",
               place="figure"),
        Column("judges", "Judges", pages.judged, css="wide"),
        Column("owner", "Owner", pages.owner, css="nowrap"),
        Column("packets", "Packets", "packet_count", kind="figure", sort="packet_count"),
        Column("revision", "Revision", "revision", kind="figure", sort="revision", at_first=False,
               optional=True),
        Column("asked", "Since", "requested_at", kind="time", sort="requested_at", css="nowrap"),
        Column("digest", "Digest", "digest", kind="mono", optional=True, at_first=False),
    ),
    search=("slug", "title"),
    search_words="Name of a suite",
    order="suite",
    empty=Empty(
        "No suites yet",
        "Those of the product are loaded when it is installed; model owners upload their own.",
        icon="list-checks",
    ),
)  # fmt: skip


def packets(suite: EvalSuite) -> Table:
    """Return the table of a suite's packets."""
    return Table(
        name=f"packets-of-{suite.slug}-r{suite.revision}",
        noun=("packet", "packets"),
        columns=(
            Column(
                "packet", "Packet", "packet_id", kind="mono", sort="number", place="name",
                url=lambda row: reverse("evals:suite_packet", args=[suite.pk, row.packet_id]),
            ),
            Column("pages", "Pages", "pages", kind="figure", sort="pages", place="figure"),
            Column("style", "Style", "style", sort="style"),
            Column("codes", "Right codes", lambda row: ", ".join(
                dict.fromkeys(each["code"] for each in row.content["codes"])) or "none"),
            Column("holds", "Holds", _holds, css="nowrap"),
        ),
        search=("packet_id", "content__text", "content__codes"),
        search_words="Id, words of the text, or a code",
        order="packet",
        page_size=25,
        empty=Empty("No packets", "This revision was made before its packets were kept."),
    )  # fmt: skip

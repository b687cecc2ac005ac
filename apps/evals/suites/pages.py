"""What pages say of suites: their state, thresholds and rule in words, and what changes between two
revisions. Rows in, words out.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from apps.common import diffs
from apps.common.badges import Badge
from apps.evals.models import EvalSuite, SuitePacket
from apps.evals.packets.packet import Packet, Span
from apps.evals.pages import threshold
from apps.evals.scoring.decision import Rule
from apps.evals.scoring.figures import LOWER_IS_BETTER, label

Status = EvalSuite.Status
BADGES = {
    Status.PENDING: Badge("busy", "circle-dot", "Waits for a reviewer"),
    Status.APPROVED: Badge("ok", "circle-check", "Approved"),
    Status.REJECTED: Badge("bad", "circle-x", "Rejected"),
    Status.WITHDRAWN: Badge("draft", "circle-dashed", "Withdrawn"),
    Status.SHIPPED: Badge("ok", "package", "Ships with the product"),
}
FORMS = {
    "codes": "codes alone",
    "extraction": "codes and policy criteria",
    "summary": "a summary with codes",
}
OWNED = "the product"


def badge(suite: EvalSuite) -> Badge:
    """Return a revision's badge."""
    return BADGES[Status(suite.status)]


def owner(suite: EvalSuite) -> str:
    """Return whose suite it is."""
    return suite.owner_team.name if suite.owner_team else OWNED


def judged(suite: EvalSuite) -> str:
    """Return which models a suite judges, in words."""
    if not suite.judges:
        return "no model yet"
    names = [name for name in suite.judges if name != EvalSuite.ANY]
    rest = ["every model that no other suite names"] if EvalSuite.ANY in suite.judges else []
    return ", ".join([*names, *rest])


def thresholds(suite: EvalSuite) -> list[tuple[str, str]]:
    """Return each figure with its threshold in words."""
    return [(label(name), threshold(limits, name)) for name, limits in suite.thresholds.items()]


def rule(suite: EvalSuite) -> list[str]:
    """Return the decision rule in sentences."""
    found = Rule.of_json(suite.rule)
    if not found.not_worse_by:
        return [
            "Every threshold must be met. Nothing is compared with the version that serves.",
        ]
    return ["Every threshold must be met.", *_comparisons(found)]


def _comparisons(found: Rule) -> Iterator[str]:
    sure = f"{found.confidence * 100:g} %"
    yield f"Where a version serves already, this must hold on the same packets, {sure} sure:"
    for name, margin in found.not_worse_by.items():
        way = "higher" if name in LOWER_IS_BETTER else "lower"
        yield f"{label(name)} is not {way} than the serving version's by more than {margin:.3f}."


@dataclass(frozen=True)
class Comparison:
    """What changes from one revision to another. same_packets: both have the very same."""

    before: EvalSuite
    settings: list[diffs.File]
    same_packets: bool
    added: list[str]
    removed: list[str]
    changed: list[str]


def compare(before: EvalSuite, after: EvalSuite) -> Comparison:
    """Return what changes from one revision to another; two queries where their packets differ."""
    settings = diffs.between("suite.json", _settings(before), _settings(after))
    if before.packets_digest == after.packets_digest:
        return Comparison(before, settings, True, [], [], [])
    old, new = _packets(before), _packets(after)
    return Comparison(
        before,
        settings,
        False,
        added=sorted(set(new) - set(old)),
        removed=sorted(set(old) - set(new)),
        changed=sorted(name for name in set(old) & set(new) if old[name] != new[name]),
    )


def _packets(suite: EvalSuite) -> dict[str, object]:
    rows = SuitePacket.objects.filter(packets_digest=suite.packets_digest)
    return dict(rows.values_list("packet_id", "content"))


def _settings(suite: EvalSuite) -> str:
    names = ("title", "about", "judges", "thresholds", "rule", "question")
    found = {name: getattr(suite, name) for name in names}
    return json.dumps(found, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def document(suite: EvalSuite) -> str:
    """Return the document from which the next revision of a suite is written; of one that ships,
    a team's own with its packets.
    """
    slug = suite.slug if suite.owner_team else f"my-{suite.slug}"[:40]
    found = {
        "slug": slug,
        "title": suite.title,
        "about": suite.about,
        "judges": [name for name in suite.judges if name != EvalSuite.ANY],
        "thresholds": suite.thresholds,
        "rule": suite.rule,
        "question": suite.question,
        "packets_of": suite.slug,
    }
    return json.dumps(found, indent=2, ensure_ascii=False)


@dataclass(frozen=True)
class Piece:
    """A stretch of a packet's text. kind: "gold", "away", "planted" or "" for the rest; title: what
    it is evidence for.
    """

    text: str
    kind: str = ""
    title: str = ""


def pieces(packet: Packet) -> list[Piece]:
    """Return a packet's text with its evidence marked; where marks overlap, the first one stays."""
    marks = [(span, "gold", gold.code) for gold in packet.codes for span in gold.spans]
    marks += [
        (span, "away", f"{away.code}: {away.why or 'not in a right answer'}")
        for away in packet.distractors
        for span in away.spans
    ]
    if packet.planted:
        marks.append((packet.planted.span, "planted", "planted instruction"))
    return list(_cut(packet.text, sorted(marks, key=lambda mark: (mark[0].start, mark[0].end))))


def _cut(text: str, marks: Sequence[tuple[Span, str, str]]) -> Iterator[Piece]:
    done = 0
    for span, kind, title in marks:
        if span.start < done:
            continue
        if span.start > done:
            yield Piece(text[done : span.start])
        yield Piece(text[span.start : span.end], kind, title)
        done = span.end
    if done < len(text):
        yield Piece(text[done:])

"""A run's packets: the list, narrowed by what became of them, and one packet in full: its text with
the places that matter, the right answer, and what each side said.
"""

from uuid import UUID

import django_filters
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.common.filters import Filters
from apps.common.simulated import Simulated
from apps.common.tables.columns import Column, Empty, Table
from apps.common.tables.reading import respond
from apps.evals import pages, queries
from apps.evals.models import EvalRun, Side
from apps.evals.runs import packets as shown
from apps.evals.runs.packets import FAILED, RIGHT, WRONG, Answered, PacketLine
from apps.evals.scoring.scores import PacketScore
from apps.evals.suites.queries import packet_of, packets_of
from portal.pages.evaluations.run import crumbs

OUTCOMES = [(RIGHT, "All correct"), (WRONG, "Something amiss"), (FAILED, "No answer")]
KINDS = [("injection", "With a planted instruction"), ("to be declined", "To be declined")]


class PacketFilters(Filters):
    """For the page of a run's packets."""

    outcome = django_filters.ChoiceFilter(
        field_name="candidate.outcome",
        label="Candidate's answer",
        choices=OUTCOMES,
        empty_label="Any answer",
    )
    baseline = django_filters.ChoiceFilter(
        field_name="baseline.outcome",
        label="Baseline's answer",
        choices=OUTCOMES,
        empty_label="Any answer",
    )
    kind = django_filters.ChoiceFilter(
        field_name="kinds", label="Kind", choices=KINDS, empty_label="Any kind"
    )
    section = django_filters.CharFilter(field_name="sections", label="Section")


def _url(run: EvalRun, line: PacketLine) -> str:
    return reverse("evals:packet_detail", args=[run.pk, line.id])


def table_of(run: EvalRun) -> Table:
    """Return the table of a run's packets; with the baseline's columns where it has one."""
    theirs = [
        Column(
            "baseline", "Baseline", "baseline_badge", kind="badge", sort="baseline.outcome",
            css="nowrap", unknown="not asked yet",
        ),
    ]  # fmt: skip
    return Table(
        name="evaluation-packets",
        noun=("packet", "packets"),
        columns=(
            Column(
                "packet", "Packet", "id", kind="mono", sort="id", place="name",
                url=lambda line: _url(run, line),
            ),
            Column(
                "candidate", "Candidate", "candidate_badge", kind="badge",
                sort="candidate.outcome", css="nowrap", place="figure", unknown="not asked yet",
            ),
            *(theirs if run.baseline_id else []),
            Column("f1", "F1 of codes", kind="figure", sort="f1"),
            Column("kind", "Kind", sort="kind", unknown=""),
            Column("pages", "Pages", kind="figure", sort="pages"),
            Column("style", "Style", sort="style", optional=True, at_first=False),
            Column("ttft", "First token", kind="figure", unit="s", sort="ttft"),
            Column("latency", "Whole answer", kind="figure", unit="s", sort="latency"),
        ),
        order="packet",
        search=("id", "style"),
        search_words="Packet",
        filters=PacketFilters,
        page_size=50,
        empty=Empty("No packet is like that", "Clear the filters to see all of the run's packets."),
    )  # fmt: skip


@require_GET
def packet_list(request: SignedIn, pk: UUID) -> HttpResponseBase:
    """List the packets of a run with what became of them; as a page, its table alone, or CSV."""
    run = get_object_or_404(queries.runs_for(request.user), pk=pk)
    results = run.packet_results.defer("answer")
    lines = shown.packet_lines(packets_of(run.suite, run.subset), results)
    context = {
        "run": run,
        "title": f"Packets of the evaluation of {run.model_version.name}",
        "crumbs": crumbs(run, ("Packets", "")),
        "words": pages.packets_words(run),
        "simulated": Simulated(engine=pages.is_stand_in(run)),
        "is_open": run.status in EvalRun.OPEN,
    }
    return respond(table_of(run), request, lines, "evals/packet_list.html", context)


@require_GET
def packet_detail(request: SignedIn, pk: UUID, packet: str) -> HttpResponse:
    """Show one packet of a run: its text, the right answer, and both answers."""
    run = get_object_or_404(queries.runs_for(request.user), pk=pk)
    found = packet_of(run.suite, packet)
    results = {each.side: each for each in run.packet_results.filter(packet_id=packet)}
    if found is None or not results:
        raise Http404
    sides = {
        side: Answered(results[side], PacketScore.of_json(results[side].score))
        for side in run.sides
        if side in results
    }
    said = sides[Side.CANDIDATE].score.predicted if Side.CANDIDATE in sides else ()
    marks = shown.marks_of(found, said)
    context = {
        "run": run,
        "packet": found,
        "title": packet,
        "crumbs": crumbs(
            run, ("Packets", reverse("evals:packet_list", args=[run.pk])), (packet, "")
        ),
        "pieces": shown.pieces(found.text, marks),
        "legend": shown.legend(marks),
        "sides": [(side.label, run.version_of(side).name, each) for side, each in sides.items()],
        "gold": shown.gold_of(found, sides),
        "simulated": Simulated(engine=pages.is_stand_in(run)),
    }
    return render(request, "evals/packet_detail.html", context)

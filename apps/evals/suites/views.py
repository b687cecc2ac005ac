"""Pages of suites: the list, one revision with its packets, one packet, asking for a revision and
deciding about it.
"""

from collections.abc import Callable
from functools import partial

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts.models import User
from apps.accounts.requests import SignedIn
from apps.audit.timeline import timeline
from apps.common import decisions
from apps.common.errors import DomainError
from apps.common.orders import carry_out, carry_out_with_reason
from apps.common.reasons import ReasonForm
from apps.common.tables.reading import is_for_table, respond, wants_csv
from apps.common.uploads import TOO_LARGE, is_too_large
from apps.evals.models import EvalSuite, SuitePacket
from apps.evals.scoring import decision, grounding
from apps.evals.suites import actions, pages, queries, tables
from apps.evals.suites.forms import SuiteForm

RELATED = ("owner_team", "requested_by", "decided_by")


@require_GET
def suite_list(request: SignedIn) -> HttpResponseBase:
    """List the suites' revisions; as a page, its table alone, or CSV."""
    rows = EvalSuite.objects.visible_to(request.user).select_related("owner_team")
    new = {"label": "Upload a suite", "url": reverse("evals:suite_create"), "icon": "upload"}
    context = {
        "crumbs": [("Evaluations", reverse("evals:run_list")), ("Suites", "")],
        "actions": [new | {"style": "primary"}] if actions.may_ask(request.user) else [],
    }
    return respond(tables.SUITES, request, rows, "evals/suite_list.html", context)


@require_GET
def suite_detail(request: SignedIn, pk: int) -> HttpResponseBase:
    """Show one revision: what it asks and demands, what changed, its packets, who decides."""
    return _show(request, _suite_for(request.user, pk), ReasonForm())


def _suite_for(user: User, pk: int) -> EvalSuite:
    rows = EvalSuite.objects.visible_to(user).select_related(*RELATED)
    return get_object_or_404(rows, pk=pk)


def _show(
    request: SignedIn, suite: EvalSuite, form: ReasonForm, status: int = 200
) -> HttpResponseBase:
    table = tables.packets(suite)
    rows = SuitePacket.objects.filter(packets_digest=suite.packets_digest)
    if wants_csv(table, request) or is_for_table(table, request):
        return respond(table, request, rows, "evals/suite_detail.html")
    answer = respond(
        table, request, rows, "evals/suite_detail.html", _context(request, suite, form)
    )
    answer.status_code = status
    return answer


def _context(request: SignedIn, suite: EvalSuite, form: ReasonForm) -> dict[str, object]:
    user = request.user
    others = list(
        EvalSuite.objects.visible_to(user)
        .filter(slug=suite.slug)
        .exclude(pk=suite.pk)
        .order_by("-revision")
    )
    before = _before(suite, others, request.GET.get("against", ""))
    decide = decisions.card(
        actions.question(suite, user), urls="evals:suite", approve="Approve: it judges its models"
    )
    change = {
        "label": "Propose a change" if suite.owner_team else "Judge your models by it",
        "url": f"{reverse('evals:suite_create')}?of={suite.pk}",
    }
    may_change = actions.may_ask(user) and suite.owner_team_id in (None, user.team_id)
    return {
        "suite": suite,
        "title": suite.title,
        "crumbs": _crumbs((str(suite), "")),
        "badge": pages.badge(suite),
        "actions": [
            *(decide.head_actions if decide else []),
            *([change] if may_change else []),
        ],
        "facts": _facts(suite),
        "thresholds": pages.thresholds(suite),
        "rule": pages.rule(suite),
        "methods": (decision.METHOD, grounding.METHOD),
        "others": others,
        "compared": pages.compare(before, suite) if before else None,
        "decide": decide,
        "form": form,
        "events": timeline("EvalSuite", str(suite.pk)),
    }


def _before(suite: EvalSuite, others: list[EvalSuite], against: str) -> EvalSuite | None:
    """Return the revision that is compared with: the one asked for, or the newest older one."""
    if against.isdecimal():
        asked = next((each for each in others if str(each.pk) == against), None)
        if asked is None:
            raise Http404
        return asked
    return next((each for each in others if each.revision < suite.revision), None)


def _crumbs(*rest: tuple[str, str]) -> list[tuple[str, str]]:
    return [
        ("Evaluations", reverse("evals:run_list")),
        ("Suites", reverse("evals:suite_list")),
        *rest,
    ]


def _facts(suite: EvalSuite) -> list[tuple[str, object]]:
    form = pages.FORMS.get(suite.question.get("form", ""), "—")
    facts: list[tuple[str, object]] = [
        ("Suite", str(suite)),
        ("Judges", pages.judged(suite)),
        ("Owner", pages.owner(suite)),
        ("Asks for", form),
        ("Packets", f"{suite.packet_count:,}, all synthetic"),
        ("Digest", {"text": suite.digest, "mono": True, "copy": True}),
    ]
    if suite.requested_by:
        facts += [("Asked by", str(suite.requested_by)), ("Why", suite.justification)]
    return [*facts, *decisions.decided_facts(suite)]


@require_GET
def suite_packet(request: SignedIn, pk: int, packet_id: str) -> HttpResponse:
    """Show one packet: its text with the evidence marked, and what a right answer says."""
    suite = _suite_for(request.user, pk)
    packet = queries.packet_of(suite, packet_id)
    if packet is None:
        raise Http404
    address = reverse("evals:suite_detail", args=[suite.pk])
    context = {
        "suite": suite,
        "packet": packet,
        "pieces": pages.pieces(packet),
        "title": packet.id,
        "crumbs": _crumbs((str(suite), address), (packet.id, "")),
    }
    return render(request, "evals/suite_packet.html", context)


@require_http_methods(["GET", "POST"])
def suite_create(request: SignedIn) -> HttpResponse:
    """Ask for a suite, or for the next revision of one."""
    if request.method != "POST":
        return _show_form(request, SuiteForm(initial={"document": _start(request)}))
    actions.permit_asking(request.user)
    form = SuiteForm(request.POST, request.FILES)
    if is_too_large(request):
        form.errors["file"] = form.error_class([TOO_LARGE])  # and not that no file was sent
    elif form.is_valid():
        try:
            suite = actions.request_suite(
                upload=form.upload,
                justification=form.cleaned_data["justification"],
                declared=form.cleaned_data["declared"],
                actor=request.user,
                now=now(),
            )
        except DomainError as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"Asked for {suite}. A reviewer decides.")
            return redirect("evals:suite_detail", pk=suite.pk)
    return _show_form(request, form, 422)


def _start(request: SignedIn) -> str:
    """Return the document of the revision that `of` names; "" without one."""
    of = request.GET.get("of", "")
    known = of.isdecimal() and len(of) < 10
    return pages.document(_suite_for(request.user, int(of))) if known else ""


def _show_form(request: SignedIn, form: SuiteForm, status: int = 200) -> HttpResponse:
    context = {
        "form": form,
        "title": "Upload a suite",
        "crumbs": _crumbs(("Upload", "")),
        "may_ask": actions.may_ask(request.user),
    }
    return render(request, "evals/suite_form.html", context, status=status)


@require_POST
def suite_approve(request: SignedIn, pk: int) -> HttpResponseBase:
    """Put a revision in force."""
    return _decide(request, pk, actions.approve_suite, "Approved. It judges its models now.")


@require_POST
def suite_reject(request: SignedIn, pk: int) -> HttpResponseBase:
    """Reject a revision."""
    return _decide(request, pk, actions.reject_suite, "Rejected. Whoever asked sees your reason.")


def _decide(
    request: SignedIn, pk: int, action: Callable[..., object], done: str
) -> HttpResponseBase:
    suite = _suite_for(request.user, pk)
    order = partial(action, suite=suite, approver=request.user, now=now())
    refused = carry_out_with_reason(request, order, done)
    if refused is not None:
        return _show(request, suite, refused, status=422)
    return redirect("evals:suite_detail", pk=pk)


@require_POST
def suite_withdraw(request: SignedIn, pk: int) -> HttpResponse:
    """Take one's own revision back."""
    suite = _suite_for(request.user, pk)
    order = partial(actions.withdraw_suite, suite=suite, actor=request.user, now=now())
    carry_out(request, order, "Withdrawn.")
    return redirect("evals:suite_detail", pk=pk)

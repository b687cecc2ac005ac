"""The fleet: which GPUs there are, which are idle and what that costs, what is starting, and what ended why.

For platform engineers, auditors and finance; to everybody else these pages are not there.
"""

from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.accounts.requests import SignedIn
from apps.fleet import pages, queries
from apps.fleet.models import ClusterObject, Node, NodeClaim, NodePool, Replica

PAGE = 50


@require_GET
def node_list(request: SignedIn) -> HttpResponse:
    """Show the nodes with GPUs, what their idle GPUs cost, and the pools they come from."""
    _require_reader(request)
    text = _text(request)
    page = _page(request, Node.objects.present().with_gpus().matching(text))
    context = {"page_obj": page, "lines": pages.node_lines(page.object_list), "pools": pages.pool_lines(_pools())}
    return _show(request, "fleet/node_list.html", "nodes", text, context)


@require_GET
def claim_list(request: SignedIn) -> HttpResponse:
    """Show the node claims on a time line: why each was launched, what it cost, why it ended."""
    _require_reader(request)
    text, moment = _text(request), now()
    page = _page(request, NodeClaim.objects.matching(text).prefetch_related("intervals"))
    context = {"page_obj": page, "chart": pages.claim_chart(page.object_list, moment)}
    return _show(request, "fleet/claim_list.html", "claims", text, context)


@require_GET
def replica_list(request: SignedIn) -> HttpResponse:
    """Show the replicas, each with the phases of its cold start."""
    _require_reader(request)
    text = _text(request)
    rows = Replica.objects.matching(text).prefetch_related("phases")
    state = request.GET.get("state", "present")
    page = _page(request, rows if state == "all" else rows.present())
    context = {"page_obj": page, "lines": pages.replica_lines(page.object_list, now()), "state": state}
    return _show(request, "fleet/replica_list.html", "replicas", text, context)


def _show(request: SignedIn, template: str, tab: str, text: str, context: dict[str, object]) -> HttpResponse:
    """Show a page of the fleet: its figure, how fresh it is, and the page's own part; or the live part alone."""
    moment = now()
    shared = {
        "tab": tab,
        "text": text,
        "figures": queries.figures(),
        "freshness": queries.freshness(moment),
        "moving": queries.is_moving(moment),
        "fragment": bool(request.headers.get("HX-Request")),
    }
    name = template + ("#live" if shared["fragment"] else "")
    response = render(request, name, shared | context)
    response["Vary"] = "HX-Request"
    return response


def _require_reader(request: SignedIn) -> None:
    if not request.user.has_role(*queries.READERS):
        raise Http404


def _text(request: SignedIn) -> str:
    return request.GET.get("q", "").strip()[:100]


def _pools() -> list[NodePool]:
    return list(NodePool.objects.present())


def _page(request: SignedIn, rows: "QuerySet[ClusterObject]") -> "Paginator.Page":  # type: ignore[name-defined]
    return Paginator(rows, PAGE).get_page(request.GET.get("page"))

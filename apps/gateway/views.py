"""The model page's tabs that speak to the gateway (Playground, How to call) or about it
(Policy).
"""

from django.conf import settings
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.utils.timezone import now
from django.views.decorators.http import require_GET, require_POST

from apps.access.budgets.queries import of_grants
from apps.access.models import Grant
from apps.accounts.oidc import gateway_token
from apps.accounts.requests import SignedIn
from apps.accounts.roles import SEES_EVERY_TEAM
from apps.catalog.models import RegisteredModel
from apps.catalog.pages import crumbs
from apps.catalog.queries import model_for
from apps.catalog.retirement import words as retiring
from apps.catalog.retirement.models import standing_of
from apps.chargeback.prices.words import price_words
from apps.chargeback.queries import prices_at
from apps.common.badges import Badge
from apps.gateway import samples
from apps.gateway.forms import PlaygroundForm
from apps.gateway.models import PolicyRevision
from apps.gateway.playground import answer_lines
from apps.gateway.reconcile import compiled
from apps.gateway.refusals import REFUSALS
from apps.integrations.engine.client import EngineClient
from apps.integrations.errors import TemporaryError
from apps.manifests.gateway import WHOLE_COST
from apps.manifests.policy import Policy
from apps.manifests.text import CannotRender
from apps.promotions import serving


def _tab(request: SignedIn, model: RegisteredModel, tab: str) -> dict[str, object]:
    grant = (
        Grant.objects.active(now())
        .filter(registered_model=model, team=request.user.team_id)
        .first()
    )
    state = serving.of_model(model, now())
    retirement = standing_of(model.pk)
    return {
        "retirement": retirement,
        "goes": retiring.sentence(retirement, now()) if retirement else "",
        "model": model,
        "crumbs": crumbs(model, tab),
        "grant": grant,
        "serving": state,
        "live": state.live,
        "sleep": state.sleep,
        "team": request.user.team,
    }


@require_GET
def playground(request: SignedIn, name: str) -> HttpResponse:
    """Show the playground; without a grant it says who can give one."""
    model = model_for(request.user, name)
    context = _tab(request, model, "Playground")
    context |= {
        "form": PlaygroundForm(context_length=model.context_length),
        "cannot_send": _cannot_send(context),
        "price": price_words(prices_at(model, now())),
        "retry_after": settings.SCALING_RETRY_AFTER_SECONDS,
    }
    return render(request, "gateway/playground.html", context)


def _cannot_send(context: dict[str, object]) -> str:
    """Return why the gateway would refuse every call of this person now; "" where it would not."""
    if context["live"] is None:
        return "No version serves this model, so nothing can answer."
    if context["grant"] is None:
        return "Your team has no grant for this model, so the gateway would refuse the call."
    return ""


@require_POST
def playground_stream(request: SignedIn, name: str) -> HttpResponse | StreamingHttpResponse:
    """Stream one answer from the gateway as this person; refusals come from the gateway itself."""
    model = model_for(request.user, name)
    form = PlaygroundForm(request.POST, context_length=model.context_length)
    if not form.is_valid():
        return JsonResponse({"errors": form.errors}, status=422)
    token = gateway_token(request)
    if token is None:
        message = (
            "Your sign-in has no token for the gateway anymore. "
            "Sign out and in, then send it again."
        )
        return JsonResponse({"error": {"message": message, "status": 401}}, status=401)
    client = EngineClient(settings.GATEWAY_URL, token=token, timeout=120)
    lines = answer_lines(client=client, model=model, now=now(), **form.cleaned_data)
    response = StreamingHttpResponse(lines, content_type="application/x-ndjson")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"
    return response


@require_GET
def how_to_call(request: SignedIn, name: str) -> HttpResponse:
    """Show curl and Python with the real address, and what would be refused and why."""
    context = _tab(request, model_for(request.user, name), "How to call")
    context |= {
        "issuer": settings.OIDC_ISSUER,
        "audience": settings.OIDC_GATEWAY_AUDIENCE,
        "token_text": samples.token_text(
            settings.OIDC_ISSUER,
            settings.OIDC_CLI_CLIENT_ID,
            {"scope": settings.OIDC_SCOPES} | settings.OIDC_GATEWAY_ASKED,
        ),
        "curl_text": samples.curl_text(settings.GATEWAY_URL, name),
        "python_text": samples.python_text(settings.GATEWAY_URL, name),
        "refusals": REFUSALS,
        "retry_after": settings.SCALING_RETRY_AFTER_SECONDS,
    }
    return render(request, "gateway/how_to_call.html", context)


@require_GET
def policy_detail(request: SignedIn, name: str) -> HttpResponse:
    """Show who may call the model, and the compiled policy beside what was published.

    Teams see their own grant; the owner and those who oversee see all of them.
    """
    model = model_for(request.user, name)
    context = _tab(request, model, "Policy")
    grants = list(Grant.objects.active(now()).filter(registered_model=model).select_related("team"))
    sees_all = request.user.has_role(*SEES_EVERY_TEAM) or model.is_owned_by(request.user)
    policy, problem = _compiled(model, grants)
    shown = [grant for grant in grants if sees_all or grant.team_id == request.user.team_id]
    budgets = of_grants(shown, now())
    revision = PolicyRevision.objects.filter(registered_model=model).first()
    context |= {
        "grants": [(grant, budgets.get(grant.pk)) for grant in shown],
        "sees_all": sees_all,
        "limit_cost": settings.LIMIT_COST if settings.LIMIT_COST != WHOLE_COST else "",
        "policy_text": policy.text.decode() if sees_all and policy else "",
        "policy_digest": policy.digest if policy else "",
        "problem": problem or (revision.message if revision else ""),
        "revision": revision,
        "badge": _policy_badge(revision, policy.digest if policy else ""),
    }
    return render(request, "gateway/policy_detail.html", context)


def _compiled(model: RegisteredModel, grants: list[Grant]) -> tuple[Policy | None, str]:
    """Return the compiled policy, or why it cannot be compiled now."""
    try:
        return compiled(model, grants), ""
    except (TemporaryError, CannotRender) as error:
        return None, str(error)


def _policy_badge(revision: PolicyRevision | None, digest: str) -> Badge:
    """Say whether the gateway carries what the grants say."""
    if revision and revision.status == PolicyRevision.Status.FAILED:
        return Badge("bad", "", "Policy not published")
    if revision and revision.status == PolicyRevision.Status.ACTIVE and revision.digest == digest:
        return Badge("ok", "", "Policy in effect")
    return Badge("busy", "", "Policy being published")

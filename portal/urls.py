"""Which URL goes to which app."""

from django.urls import URLPattern, URLResolver, include, path, re_path

from apps.access.urls import api_urlpatterns as access_api
from apps.access.urls import urlpatterns as access_pages
from apps.accounts import metadata
from apps.accounts.urls import api_urlpatterns as accounts_api
from apps.accounts.urls import sign_in_urlpatterns
from apps.capacity.urls import api_urlpatterns as capacity_api
from apps.catalog.urls import api_urlpatterns as catalog_api
from apps.catalog.urls import urlpatterns as catalog_forms
from apps.catalog.verification.urls import api_urlpatterns as registry_api
from apps.chargeback.urls import api_urlpatterns as chargeback_api
from apps.evals.urls import api_urlpatterns as suites_api
from apps.evals.urls import urlpatterns as evals_pages
from apps.fleet.urls import api_urlpatterns as fleet_api
from apps.gateway.urls import api_urlpatterns as gateway_api
from apps.gateway.urls import urlpatterns as gateway_pages
from apps.incidents.urls import api_urlpatterns as incidents_api
from apps.metering.demand import demand
from apps.metering.ingest import logs
from apps.metering.urls import urlpatterns as usage_pages
from apps.notices.urls import api_urlpatterns as notices_api
from apps.oversight.urls import api_urlpatterns as oversight_api
from apps.promotions.urls import api_urlpatterns as promotions_api
from apps.promotions.urls import urlpatterns as promotions_pages
from apps.prompts.urls import api_urlpatterns as prompts_api
from apps.slo.urls import api_urlpatterns as slo_api
from apps.traces.ingest import traces
from portal import views
from portal.api import Document, UnknownAddress
from portal.pages import (
    access_urls,
    catalog,
    intake,
    intake_api,
    sizing,
    sizing_api,
    versions,
)
from portal.pages.api_reference import api_reference
from portal.pages.evaluations import urls as evaluations
from portal.pages.gateway import urls as gateway
from portal.pages.grants import grant_list
from portal.pages.model_usage import model_usage
from portal.pages.recertification import recertification_list
from portal.pages.retirement import ModelRetirement, model_retirement, order_api, retirement_order
from portal.pages.rollout_charts import rollout_charts
from portal.pages.sample import sample
from portal.pages.style import style

catalog_pages: list[URLPattern] = [
    path("", catalog.model_list, name="model_list"),
    path("new-models/", intake.intake_list, name="intake_list"),
    path("new-models/ask/", intake.intake_create, name="intake_create"),
    path("new-models/<uuid:pk>/", intake.intake_detail, name="intake_detail"),
    path("new-models/<uuid:pk>/approve/", intake.intake_approve, name="intake_approve"),
    path("new-models/<uuid:pk>/reject/", intake.intake_reject, name="intake_reject"),
    path("new-models/<uuid:pk>/withdraw/", intake.intake_withdraw, name="intake_withdraw"),
    path("<slug:name>/versions/", versions.version_list, name="version_list"),
    path("<slug:name>/v<int:number>/", versions.version_detail, name="version_detail"),
    path("<slug:name>/retirement/", model_retirement, name="model_retirement"),
    path("<slug:name>/retirement/<str:order>/", retirement_order, name="retirement_order"),
    path("<slug:name>/v<int:number>/sizing/", sizing.version_sizing, name="version_sizing"),
    path(
        "<slug:name>/v<int:number>/sizing/ask/",
        sizing.version_sizing_ask,
        name="version_sizing_ask",
    ),
]
# last: "register" is no model's name
model_page = path("<slug:name>/", catalog.model_detail, name="model_detail")
usage_page = path("catalog/<slug:name>/usage/", model_usage, name="model_usage")
charts_page = path("rollouts/<uuid:pk>/charts/", rollout_charts, name="rollout_charts")
pages: list[URLPattern | URLResolver] = [
    path("", views.home, name="home"),
    path("search/", views.search, name="search"),
    path("needs/", views.needs, name="needs"),
    path("api-reference/", api_reference, name="api_reference"),
    path("freshness/", views.freshness, name="freshness"),
    path("style/", style, name="style"),
    path("sample/", sample, name="sample"),
    path("healthz", views.healthz, name="healthz"),
    path("healthz/alive", views.alive, name="alive"),
    path(metadata.PATH, metadata.protected_resource, name="protected_resource"),
    path("", include("apps.accounts.urls")),
    path("audit/", include("apps.oversight.urls")),
    path("prompts/", include("apps.prompts.urls")),
    path("notices/", include("apps.notices.urls")),
    path("access/grants/", grant_list, name="grant_list"),
    path("access/recertification/", recertification_list, name="recertification_list"),
    path("access/", include(([*access_urls.pages, *access_pages], "access"))),
    path("chargeback/", include("apps.chargeback.urls")),
    path("", include(([usage_page, *usage_pages], "metering"))),
    path("catalog/", include(([*catalog_pages, *catalog_forms, model_page], "catalog"))),
    path("", include(([*gateway.pages, *gateway_pages], "gateway"))),
    path("registry/", include("apps.catalog.verification.urls")),
    path("evaluations/", include(([*evaluations.pages, *evals_pages], "evals"))),
    path("", include(([charts_page, *promotions_pages], "promotions"))),
    path("objectives/", include("apps.slo.urls")),
    path("incidents/", include("apps.incidents.urls")),
    path("fleet/", include("apps.fleet.urls")),
    path("fleet/", include("apps.capacity.urls")),
    *sign_in_urlpatterns,
    path("v1/logs", logs, name="usage_ingest"),
    path("v1/traces", traces, name="traces_ingest"),
    path("v1/scaling/<slug:namespace>/<slug:name>", demand, name="scaling_demand"),
]
api: list[URLPattern | URLResolver] = [
    path("schema", Document.as_view(), name="schema"),
    *accounts_api,
    *notices_api,
    *oversight_api,
    *prompts_api,
    *access_urls.api,
    *access_api,
    *catalog_api,
    path("models/<slug:name>/versions/<int:number>/facts", sizing_api.facts, name="version_facts"),
    path(
        "models/<slug:name>/versions/<int:number>/sizing",
        sizing_api.sizing,
        name="version_sizing",
    ),
    path("new-models", intake_api.NewModels.as_view(), name="new_models"),
    path("new-models/<uuid:pk>", intake_api.new_model, name="new_model"),
    path("new-models/<uuid:pk>/<str:decision>", intake_api.decide, name="new_model_decide"),
    path("models/<slug:name>/retirement", ModelRetirement.as_view(), name="retirement"),
    path("models/<slug:name>/retirement/<str:order>", order_api, name="retirement_order"),
    *registry_api,
    *chargeback_api,
    *evaluations.api,
    *suites_api,
    *promotions_api,
    *slo_api,
    *incidents_api,
    *fleet_api,
    *capacity_api,
    *gateway.api,
    *gateway_api,
]
urlpatterns = [
    *pages,
    path("api/v1/", include((api, "api"))),
    re_path(r"^api(/.*)?$", UnknownAddress.as_view()),
]

handler400 = "portal.errors.bad_request"
handler403 = "portal.errors.forbidden"
handler404 = "portal.errors.not_found"
handler500 = "portal.errors.server_error"

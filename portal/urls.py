"""Which URL goes to which app."""

from django.urls import URLPattern, URLResolver, include, path

from apps.metering.ingest import logs
from portal import views

pages: list[URLPattern | URLResolver] = [
    path("", views.home, name="home"),
    path("search/", views.search, name="search"),
    path("needs/", views.needs, name="needs"),
    path("freshness/", views.freshness, name="freshness"),
    path("healthz", views.healthz, name="healthz"),
    path("", include("apps.accounts.urls")),
    path("audit/", include("apps.audit.urls")),
    path("oidc/", include("mozilla_django_oidc.urls")),
    path("v1/logs", logs, name="usage_ingest"),
]
api: list[URLPattern | URLResolver] = []
urlpatterns = [*pages, path("api/v1/", include((api, "api")))]

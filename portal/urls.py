"""Which URL goes to which app."""

from django.urls import URLPattern, URLResolver, include, path

from apps.metering.ingest import logs
from portal import views

pages: list[URLPattern | URLResolver] = [
    path("", views.home, name="home"),
    path("healthz", views.healthz, name="healthz"),
    path("oidc/", include("mozilla_django_oidc.urls")),
    path("v1/logs", logs, name="usage_ingest"),
]
api: list[URLPattern | URLResolver] = []
urlpatterns = [*pages, path("api/v1/", include((api, "api")))]

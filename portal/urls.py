"""Which URL goes to which app."""

from django.urls import URLPattern, URLResolver, include, path

from portal import views

pages: list[URLPattern | URLResolver] = [
    path("", views.home, name="home"),
    path("healthz", views.healthz, name="healthz"),
    path("oidc/", include("mozilla_django_oidc.urls")),
]
api: list[URLPattern | URLResolver] = []
urlpatterns = [*pages, path("api/v1/", include((api, "api")))]

"""URLs of usage. The tab of a model, portal/urls.py adds: it joins usage and money."""

from django.urls import path

from apps.metering import uploads, views
from apps.metering.quarantine import views as quarantine

app_name = "metering"
urlpatterns = [
    path("usage/", views.usage_list, name="usage_list"),
    path("usage/import/", uploads.usage_import, name="usage_import"),
    path("usage/quarantine/", quarantine.quarantine_list, name="quarantine_list"),
    path("usage/quarantine/replay/", quarantine.quarantine_replay, name="quarantine_replay"),
    path("usage/quarantine/<uuid:pk>/", quarantine.quarantine_detail, name="quarantine_detail"),
    path("usage/quarantine/<uuid:pk>/retry/", quarantine.quarantine_retry, name="quarantine_retry"),
    path(
        "usage/quarantine/<uuid:pk>/leave-out/",
        quarantine.quarantine_leave_out,
        name="quarantine_leave_out",
    ),
]

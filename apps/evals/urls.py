"""URLs of evaluation runs and suites. Those of pages and API that join several apps, portal/urls.py
adds.
"""

from django.urls import path

from apps.evals import views
from apps.evals.suites import api as suites_api
from apps.evals.suites import views as suites

app_name = "evals"
urlpatterns = [
    path("", views.run_list, name="run_list"),
    path("suites/", suites.suite_list, name="suite_list"),
    path("suites/new/", suites.suite_create, name="suite_create"),
    path("suites/<int:pk>/", suites.suite_detail, name="suite_detail"),
    path("suites/<int:pk>/packets/<slug:packet_id>/", suites.suite_packet, name="suite_packet"),
    path("suites/<int:pk>/approve/", suites.suite_approve, name="suite_approve"),
    path("suites/<int:pk>/reject/", suites.suite_reject, name="suite_reject"),
    path("suites/<int:pk>/withdraw/", suites.suite_withdraw, name="suite_withdraw"),
    path("<uuid:pk>/report.json", views.run_report, name="run_report"),
]
api_urlpatterns = [
    path("evaluation-suites", suites_api.Suites.as_view(), name="evaluation_suites"),
    path("evaluation-suites/<int:pk>", suites_api.suite, name="evaluation_suite"),
    path(
        "evaluation-suites/<int:pk>/packets",
        suites_api.Packets.as_view(),
        name="evaluation_suite_packets",
    ),
    path(
        "evaluation-suites/<int:pk>/<str:decision>",
        suites_api.decide,
        name="evaluation_suite_decide",
    ),
]

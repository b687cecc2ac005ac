"""URLs of evaluation runs. Those of pages and API that join several apps, portal/urls.py adds."""

from django.urls import path

from apps.evals import views

app_name = "evals"
urlpatterns = [
    path("", views.run_list, name="run_list"),
    path("<uuid:pk>/report.json", views.run_report, name="run_report"),
]

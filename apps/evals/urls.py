"""URLs of evaluation runs. The page of one, portal/urls.py adds: it joins several apps."""

from django.urls import path

from apps.evals import api, views

app_name = "evals"
urlpatterns = [
    path("", views.run_list, name="run_list"),
    path("start/<slug:name>/<int:number>/", views.run_create, name="run_create"),
    path("<uuid:pk>/report.json", views.run_report, name="run_report"),
]
api_urlpatterns = [
    path("evaluation-runs", api.EvalRuns.as_view(), name="evaluation_runs"),
    path("evaluation-runs/<uuid:pk>", api.evaluation_run, name="evaluation_run"),
]

"""Addresses of the pages and the API of evaluations that join several apps."""

from django.urls import path

from portal.pages.evaluations import api as doors
from portal.pages.evaluations.compare import run_compare
from portal.pages.evaluations.packets import packet_detail, packet_list
from portal.pages.evaluations.run import run_cancel, run_detail
from portal.pages.evaluations.start import run_create

pages = [
    path("compare/", run_compare, name="run_compare"),
    path("start/<slug:name>/<int:number>/", run_create, name="run_create"),
    path("<uuid:pk>/", run_detail, name="run_detail"),
    path("<uuid:pk>/cancel/", run_cancel, name="run_cancel"),
    path("<uuid:pk>/packets/", packet_list, name="packet_list"),
    path("<uuid:pk>/packets/<str:packet>/", packet_detail, name="packet_detail"),
]
api = [
    path("evaluation-runs", doors.EvalRuns.as_view(), name="evaluation_runs"),
    path("evaluation-runs/<uuid:pk>", doors.evaluation_run, name="evaluation_run"),
    path(
        "evaluation-runs/<uuid:pk>/cancel",
        doors.evaluation_run_cancel,
        name="evaluation_run_cancel",
    ),
]

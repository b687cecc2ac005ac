"""URLs of the guard's pages and API."""

from django.urls import path

from apps.gateway.guard import api, views

pages = [
    path("gateway/guardrails/", views.guardrails, name="guardrails"),
    path("gateway/guardrails/history/", views.guardrail_history, name="guardrail_history"),
    path(
        "gateway/guardrails/change/", views.guardrail_change_create, name="guardrail_change_create"
    ),
    path(
        "gateway/guardrails/changes/<uuid:pk>/",
        views.guardrail_change_detail,
        name="guardrail_change_detail",
    ),
    path(
        "gateway/guardrails/changes/<uuid:pk>/approve/",
        views.guardrail_change_approve,
        name="guardrail_change_approve",
    ),
    path(
        "gateway/guardrails/changes/<uuid:pk>/reject/",
        views.guardrail_change_reject,
        name="guardrail_change_reject",
    ),
    path(
        "gateway/guardrails/changes/<uuid:pk>/withdraw/",
        views.guardrail_change_withdraw,
        name="guardrail_change_withdraw",
    ),
    path("gateway/guardrails/hits/", views.guard_hits, name="guard_hits"),
    path("gateway/guardrails/hits/<uuid:pk>/", views.guard_hit_detail, name="guard_hit_detail"),
    path("gateway/guardrails/hits/<uuid:pk>/mark/", views.guard_hit_mark, name="guard_hit_mark"),
]
api_urlpatterns = [
    path("guardrails", api.guardrails, name="guardrails"),
    path("guardrails/revisions", api.revisions, name="guardrail_revisions"),
    path("guardrails/measured", api.measured, name="guardrails_measured"),
    path("guardrails/changes", api.GuardrailChanges.as_view(), name="guardrail_changes"),
    path("guardrails/changes/<uuid:pk>", api.guardrail_change, name="guardrail_change"),
    path("guardrails/changes/<uuid:pk>/<str:decision>", api.decide, name="guardrail_change_decide"),
    path("guard-hits", api.GuardHits.as_view(), name="guard_hits"),
    path("guard-hits/<uuid:pk>/mark", api.mark, name="guard_hit_mark"),
]

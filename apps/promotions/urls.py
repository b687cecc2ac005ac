"""URLs of promotions and rollouts."""

from django.urls import path

from apps.promotions import api, views
from apps.promotions.binding import api as binding_api
from apps.promotions.binding import views as binding_views
from apps.promotions.changes import api as changes
from apps.promotions.emergencies import api as emergencies_api
from apps.promotions.emergencies import views as emergencies
from apps.promotions.policy import api as policy_api
from apps.promotions.policy import views as policy_views
from apps.promotions.rollouts import api as rollout_api
from apps.promotions.rollouts import views as rollout_views

app_name = "promotions"
urlpatterns = [
    path("promotions/", views.promotion_list, name="promotion_list"),
    path(
        "promotions/new/<slug:name>/<int:number>/", views.promotion_create, name="promotion_create"
    ),
    path("promotions/policy/", policy_views.policy_list, name="policy_list"),
    path("promotions/policy/<slug:data_class>/", policy_views.policy_detail, name="policy_detail"),
    path(
        "promotions/policy/<slug:data_class>/change/",
        policy_views.policy_change_create,
        name="policy_change_create",
    ),
    path(
        "promotions/policy-changes/<uuid:pk>/",
        policy_views.policy_change_detail,
        name="policy_change_detail",
    ),
    path(
        "promotions/policy-changes/<uuid:pk>/approve/",
        policy_views.policy_change_approve,
        name="policy_change_approve",
    ),
    path(
        "promotions/policy-changes/<uuid:pk>/reject/",
        policy_views.policy_change_reject,
        name="policy_change_reject",
    ),
    path(
        "promotions/policy-changes/<uuid:pk>/withdraw/",
        policy_views.policy_change_withdraw,
        name="policy_change_withdraw",
    ),
    path("promotions/<uuid:pk>/", views.promotion_detail, name="promotion_detail"),
    path("promotions/<uuid:pk>/diff/", views.promotion_diff, name="promotion_diff"),
    path("promotions/<uuid:pk>/approve/", views.promotion_approve, name="promotion_approve"),
    path("promotions/<uuid:pk>/reject/", views.promotion_reject, name="promotion_reject"),
    path(
        "promotions/<uuid:pk>/dossier/", binding_views.promotion_dossier, name="promotion_dossier"
    ),
    path("promotions/<uuid:pk>/withdraw/", views.promotion_withdraw, name="promotion_withdraw"),
    path("promotions/<uuid:pk>/emergency/", emergencies.emergency_create, name="emergency_create"),
    path("emergencies/", emergencies.emergency_list, name="emergency_list"),
    path("emergencies/open/", emergencies.emergency_banner, name="emergency_banner"),
    path("emergencies/<uuid:pk>/", emergencies.emergency_detail, name="emergency_detail"),
    path("emergencies/<uuid:pk>/approve/", emergencies.emergency_approve, name="emergency_approve"),
    path("emergencies/<uuid:pk>/reject/", emergencies.emergency_reject, name="emergency_reject"),
    path("rollouts/<uuid:pk>/", rollout_views.rollout_detail, name="rollout_detail"),
    path("rollouts/<uuid:pk>/retry/", rollout_views.rollout_retry, name="rollout_retry"),
    path("rollouts/<uuid:pk>/abort/", rollout_views.rollout_abort, name="rollout_abort"),
    path("rollouts/<uuid:pk>/pause/", rollout_views.rollout_pause, name="rollout_pause"),
    path("rollouts/<uuid:pk>/resume/", rollout_views.rollout_resume, name="rollout_resume"),
    path("rollouts/<uuid:pk>/go-on/", rollout_views.rollout_go_on, name="rollout_go_on"),
    path(
        "rollouts/<uuid:pk>/roll-back/", rollout_views.rollout_roll_back, name="rollout_roll_back"
    ),
]
api_urlpatterns = [
    path("promotions", api.Promotions.as_view(), name="promotions"),
    path("promotions/<uuid:pk>", api.promotion, name="promotion"),
    path("promotions/<uuid:pk>/change", api.change, name="promotion_change"),
    path("promotions/<uuid:pk>/dossier", binding_api.promotion_dossier, name="promotion_dossier"),
    path("promotions/<uuid:pk>/servicenow", changes.changes, name="promotion_changes"),
    path("promotions/<uuid:pk>/emergency", emergencies_api.declare, name="emergency_declare"),
    path("emergencies/<uuid:pk>", emergencies_api.emergency, name="emergency"),
    path("emergencies/<uuid:pk>/<str:finding>", emergencies_api.review, name="emergency_review"),
    path("promotions/<uuid:pk>/<str:decision>", api.decide, name="promotion_decide"),
    path("promotion-policies", policy_api.policies, name="promotion_policies"),
    path(
        "promotion-policies/<str:data_class>/revisions",
        policy_api.revisions,
        name="promotion_policy_revisions",
    ),
    path(
        "promotion-policy-changes",
        policy_api.PolicyChanges.as_view(),
        name="promotion_policy_changes",
    ),
    path(
        "promotion-policy-changes/<uuid:pk>",
        policy_api.policy_change,
        name="promotion_policy_change",
    ),
    path(
        "promotion-policy-changes/<uuid:pk>/<str:decision>",
        policy_api.decide,
        name="promotion_policy_change_decide",
    ),
    path("rollouts/<uuid:pk>", rollout_api.rollout, name="rollout"),
    path("rollouts/<uuid:pk>/<str:order>", rollout_api.steer, name="rollout_steer"),
]

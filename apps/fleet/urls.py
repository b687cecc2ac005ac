"""URLs of the fleet."""

from django.urls import path

from apps.fleet import api, views
from apps.fleet.capacity import api as capacity_api
from apps.fleet.capacity import views as capacity

app_name = "fleet"
urlpatterns = [
    path("", views.node_list, name="node_list"),
    path("claims/", views.claim_list, name="claim_list"),
    path("claims/<int:pk>/", views.claim_detail, name="claim_detail"),
    path("intervals.csv", views.interval_export, name="interval_export"),
    path("replicas/", views.replica_list, name="replica_list"),
    path("replicas/<int:pk>/", views.replica_detail, name="replica_detail"),
    path("capacity/", capacity.capacity_list, name="capacity_list"),
    path("capacity/<slug:name>/change/", capacity.capacity_create, name="capacity_create"),
    path("capacity-requests/<uuid:pk>/", capacity.capacity_detail, name="capacity_detail"),
    path(
        "capacity-requests/<uuid:pk>/approve/", capacity.capacity_approve, name="capacity_approve"
    ),
    path("capacity-requests/<uuid:pk>/reject/", capacity.capacity_reject, name="capacity_reject"),
    path(
        "capacity-requests/<uuid:pk>/withdraw/",
        capacity.capacity_withdraw,
        name="capacity_withdraw",
    ),
    path("capacity-requests/<uuid:pk>/retry/", capacity.capacity_retry, name="capacity_retry"),
]
api_urlpatterns = [
    path("fleet/nodes", api.Nodes.as_view(), name="fleet_nodes"),
    path("fleet/node-pools", capacity_api.node_pools, name="fleet_node_pools"),
    path(
        "fleet/capacity-requests", capacity_api.CapacityRequests.as_view(), name="capacity_requests"
    ),
    path(
        "fleet/capacity-requests/<uuid:pk>", capacity_api.capacity_request, name="capacity_request"
    ),
    path(
        "fleet/capacity-requests/<uuid:pk>/<str:decision>",
        capacity_api.decide,
        name="capacity_request_decide",
    ),
]

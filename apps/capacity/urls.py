"""URLs of node pools and of the requests to change them."""

from django.urls import path

from apps.capacity import api, views

app_name = "capacity"
urlpatterns = [
    path("capacity/", views.pool_list, name="pool_list"),
    path("capacity/<slug:name>/change/", views.request_create, name="request_create"),
    path("capacity-requests/<uuid:pk>/", views.request_detail, name="request_detail"),
    path("capacity-requests/<uuid:pk>/approve/", views.request_approve, name="request_approve"),
    path("capacity-requests/<uuid:pk>/reject/", views.request_reject, name="request_reject"),
    path("capacity-requests/<uuid:pk>/withdraw/", views.request_withdraw, name="request_withdraw"),
    path("capacity-requests/<uuid:pk>/retry/", views.request_retry, name="request_retry"),
]
api_urlpatterns = [
    path("fleet/node-pools", api.node_pools, name="fleet_node_pools"),
    path("fleet/capacity-requests", api.CapacityRequests.as_view(), name="capacity_requests"),
    path("fleet/capacity-requests/<uuid:pk>", api.capacity_request, name="capacity_request"),
    path(
        "fleet/capacity-requests/<uuid:pk>/<str:decision>",
        api.decide,
        name="capacity_request_decide",
    ),
]

"""URLs of the fleet."""

from django.urls import path

from apps.fleet import api, views

app_name = "fleet"
urlpatterns = [
    path("", views.node_list, name="node_list"),
    path("claims/", views.claim_list, name="claim_list"),
    path("replicas/", views.replica_list, name="replica_list"),
    path("replicas/<int:pk>/", views.replica_detail, name="replica_detail"),
]
api_urlpatterns = [path("fleet/nodes", api.Nodes.as_view(), name="fleet_nodes")]

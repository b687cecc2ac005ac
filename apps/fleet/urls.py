"""URLs of the fleet."""

from django.urls import path

from apps.fleet import api, views
from apps.fleet.pricing import views as pricing

app_name = "fleet"
urlpatterns = [
    path("", views.node_list, name="node_list"),
    path("claims/", views.claim_list, name="claim_list"),
    path("claims/<int:pk>/", views.claim_detail, name="claim_detail"),
    path("intervals.csv", views.interval_export, name="interval_export"),
    path("prices/", pricing.price_list, name="price_list"),
    path("prices/end/", pricing.price_end, name="price_end"),
    path("replicas/", views.replica_list, name="replica_list"),
    path("replicas/<int:pk>/", views.replica_detail, name="replica_detail"),
]
api_urlpatterns = [
    path("fleet/nodes", api.Nodes.as_view(), name="fleet_nodes"),
]

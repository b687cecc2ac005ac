"""URLs of the gateway's own pages. Those that join several apps are in portal/pages/gateway."""

from django.urls import path

from apps.gateway import views
from apps.gateway.guard import urls as guard

app_name = "gateway"
urlpatterns = [
    path("catalog/<slug:name>/playground/", views.playground, name="playground"),
    path(
        "catalog/<slug:name>/playground/stream/", views.playground_stream, name="playground_stream"
    ),
    path("catalog/<slug:name>/call/", views.how_to_call, name="how_to_call"),
    path("catalog/<slug:name>/policy/", views.policy_detail, name="policy_detail"),
    *guard.pages,
]
api_urlpatterns = guard.api_urlpatterns

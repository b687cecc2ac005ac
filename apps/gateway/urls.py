"""URLs of the model's tabs that speak to or about the gateway."""

from django.urls import path

from apps.gateway import views

app_name = "gateway"
urlpatterns = [
    path("<slug:name>/playground/", views.playground, name="playground"),
    path("<slug:name>/playground/stream/", views.playground_stream, name="playground_stream"),
    path("<slug:name>/call/", views.how_to_call, name="how_to_call"),
    path("<slug:name>/policy/", views.policy_detail, name="policy_detail"),
]

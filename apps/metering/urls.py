"""URLs of usage."""

from django.urls import path

from apps.metering import views

app_name = "metering"
urlpatterns = [
    path("usage/", views.usage_list, name="usage_list"),
    path("catalog/<slug:name>/usage/", views.model_usage, name="model_usage"),
]

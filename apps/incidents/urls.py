"""URLs of incidents."""

from django.urls import path

from apps.incidents import api, views

app_name = "incidents"
urlpatterns = [
    path("", views.episode_list, name="episode_list"),
    path("<uuid:pk>/", views.episode_detail, name="episode_detail"),
    path("<uuid:pk>/lift/", views.episode_lift, name="episode_lift"),
]
api_urlpatterns = [
    path("incidents", api.Incidents.as_view(), name="incidents"),
    path("incidents/<uuid:pk>", api.incident, name="incident"),
    path("incidents/<uuid:pk>/lift", api.lift, name="incident_lift"),
]

"""The audit record."""

from django.urls import path

from apps.oversight import views

app_name = "oversight"
urlpatterns = [
    path("", views.event_list, name="event_list"),
    path("<uuid:event_id>/", views.event_detail, name="event_detail"),
]

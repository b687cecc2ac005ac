"""URLs of objectives."""

from django.urls import path

from apps.slo import api, views

app_name = "slo"
urlpatterns = [
    path("", views.objective_list, name="objective_list"),
    path("<uuid:pk>/", views.objective_detail, name="objective_detail"),
    path("<uuid:pk>/end/", views.objective_end, name="objective_end"),
    path("of/<slug:name>/", views.objective_create, name="objective_create"),
]
api_urlpatterns = [
    path("objectives", api.Objectives.as_view(), name="objectives"),
    path("objectives/<uuid:pk>", api.objective, name="objective"),
    path("objectives/<uuid:pk>/end", api.objective_end, name="objective_end"),
    path("models/<slug:name>/objectives", api.model_objectives, name="model_objectives"),
]

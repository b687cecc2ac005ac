"""URLs of models and versions. Those that are read, portal/urls.py adds: they join several apps."""

from django.urls import path

from apps.catalog import api, views

app_name = "catalog"
urlpatterns = [
    path("register/", views.model_create, name="model_create"),
    path("<slug:name>/versions/new/", views.version_create, name="version_create"),
    path("<slug:name>/versions/check/", views.version_check, name="version_check"),
    path("<slug:name>/v<int:number>/retry/", views.version_retry, name="version_retry"),
]
api_urlpatterns = [
    path("models", api.Models.as_view(), name="models"),
    path("models/<slug:name>", api.model, name="model"),
    path("models/<slug:name>/versions", api.Versions.as_view(), name="versions"),
    path("models/<slug:name>/versions/<int:number>", api.version, name="version"),
    path(
        "models/<slug:name>/versions/<int:number>/files/<str:file_name>",
        api.part,
        name="version_part",
    ),
    path(
        "models/<slug:name>/versions/<int:number>/files/<str:file_name>/parts",
        api.sign_parts,
        name="version_parts_sign",
    ),
    path(
        "models/<slug:name>/versions/<int:number>/files/<str:file_name>/received",
        api.received_parts,
        name="version_parts_received",
    ),
    path("models/<slug:name>/versions/<int:number>/finish", api.finish, name="version_finish"),
]

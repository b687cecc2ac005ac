"""Pages about the person who is signed in, and about the pipelines that are let in."""

from django.urls import path

from apps.accounts import api, views
from apps.accounts.pipelines import api as pipelines_api
from apps.accounts.pipelines import views as pipelines

# mozilla-django-oidc looks for these two by name, outside any namespace.
sign_in_urlpatterns = [
    path("oidc/authenticate/", views.SignInView.as_view(), name="oidc_authentication_init"),
    path("oidc/callback/", views.CallbackView.as_view(), name="oidc_authentication_callback"),
]

app_name = "accounts"
urlpatterns = [
    path("account/", views.me, name="me"),
    path("account/no-access/", views.no_access, name="no_access"),
    path("sign-out/", views.sign_out, name="sign_out"),
    path("signed-out/", views.signed_out, name="signed_out"),
    path("pipelines/", pipelines.pipeline_list, name="pipeline_list"),
    path("pipelines/new/", pipelines.pipeline_create, name="pipeline_create"),
    path(
        "pipelines/changes/<uuid:pk>/",
        pipelines.pipeline_change_detail,
        name="pipeline_change_detail",
    ),
    path(
        "pipelines/changes/<uuid:pk>/approve/",
        pipelines.pipeline_change_approve,
        name="pipeline_change_approve",
    ),
    path(
        "pipelines/changes/<uuid:pk>/reject/",
        pipelines.pipeline_change_reject,
        name="pipeline_change_reject",
    ),
    path(
        "pipelines/changes/<uuid:pk>/withdraw/",
        pipelines.pipeline_change_withdraw,
        name="pipeline_change_withdraw",
    ),
    path("pipelines/<slug:name>/", pipelines.pipeline_detail, name="pipeline_detail"),
    path("pipelines/<slug:name>/change/", pipelines.pipeline_change, name="pipeline_change"),
    path("pipelines/<slug:name>/end/", pipelines.pipeline_end, name="pipeline_end"),
]
api_urlpatterns = [
    path("me", api.me, name="me"),
    path("pipelines", pipelines_api.pipelines, name="pipelines"),
    path("pipelines/token", pipelines_api.token, name="pipelines_token"),
    path("pipelines/<slug:name>/end", pipelines_api.end, name="pipeline_end"),
    path("pipeline-changes", pipelines_api.PipelineChanges.as_view(), name="pipeline_changes"),
    path("pipeline-changes/<uuid:pk>", pipelines_api.pipeline_change, name="pipeline_change"),
    path(
        "pipeline-changes/<uuid:pk>/<str:decision>",
        pipelines_api.decide,
        name="pipeline_change_decide",
    ),
]

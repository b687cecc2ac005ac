"""URLs of the registry itself: its bucket, its keys, what was read again."""

from django.urls import path

from apps.catalog.signers import api as signers_api
from apps.catalog.signers import views as signers
from apps.catalog.verification import api, views

app_name = "registry"
urlpatterns = [
    path("", views.overview, name="overview"),
    path("keys.pem", signers.trusted_keys, name="trusted_keys"),
    path("signers/", signers.signer_list, name="signer_list"),
    path("signers/<slug:fingerprint>/", signers.signer_detail, name="signer_detail"),
    path("signers/<slug:fingerprint>/revoke/", signers.signer_revoke, name="signer_revoke"),
    path("revocations/<uuid:pk>/approve/", signers.revocation_approve, name="revocation_approve"),
    path("revocations/<uuid:pk>/reject/", signers.revocation_reject, name="revocation_reject"),
    path(
        "revocations/<uuid:pk>/withdraw/", signers.revocation_withdraw, name="revocation_withdraw"
    ),
    path("versions/<slug:name>/v<int:number>/verify/", views.version_verify, name="version_verify"),
]
api_urlpatterns = [
    path("registry", api.registry, name="registry"),
    path("signers", signers_api.Signers.as_view(), name="signers"),
    path("signers/<slug:fingerprint>", signers_api.signer, name="signer"),
    path("signers/<slug:fingerprint>/revocations", signers_api.revoke, name="signer_revoke"),
    path(
        "signer-revocations/<uuid:pk>/<str:decision>",
        signers_api.decide,
        name="signer_revocation_decide",
    ),
    path(
        "models/<slug:name>/versions/<int:number>/verifications",
        api.Verifications.as_view(),
        name="verifications",
    ),
]

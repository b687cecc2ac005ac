"""The audit record."""

from django.urls import path

from apps.oversight import views
from apps.oversight.access.views import access_report
from apps.oversight.evidence import api as evidence_api
from apps.oversight.evidence import views as evidence
from apps.oversight.record import views as record
from apps.oversight.roles import api as roles_api
from apps.oversight.roles import views as roles
from apps.oversight.safeguards.views import safeguards

app_name = "oversight"
urlpatterns = [
    path("", views.event_list, name="event_list"),
    path("<uuid:event_id>/", views.event_detail, name="event_detail"),
    path("<uuid:event_id>/proof/", record.event_proof, name="event_proof"),
    path("access/", access_report, name="access_report"),
    path("safeguards/", safeguards, name="safeguards"),
    path("roles/", roles.role_review_list, name="role_review_list"),
    path("roles/<uuid:pk>/", roles.role_review, name="role_review"),
    path("roles/<uuid:pk>/keep/", roles.role_review_approve, name="role_review_approve"),
    path("roles/<uuid:pk>/take/", roles.role_review_reject, name="role_review_reject"),
    path("roles/<uuid:pk>/again/", roles.role_review_again, name="role_review_again"),
    path("evidence/", evidence.evidence_list, name="evidence_list"),
    path("evidence/ask/", evidence.evidence_ask, name="evidence_ask"),
    path("evidence/<uuid:pack_id>/", evidence.evidence_detail, name="evidence_detail"),
    path("evidence/<uuid:pack_id>/file/", evidence.evidence_file, name="evidence_file"),
    path("evidence/<uuid:pack_id>/retry/", evidence.evidence_retry, name="evidence_retry"),
    path("record/", record.record_detail, name="record"),
    path("record/verify/", record.record_verify, name="record_verify"),
    path("record/part/", record.record_part, name="record_part"),
    path("record/key/", record.record_key, name="record_key"),
    path("record/verifier/", record.record_verifier, name="record_verifier"),
    path("record/checkpoints/<int:size>/", record.checkpoint, name="checkpoint"),
    path("record/checkpoints/<int:size>/proof/", record.checkpoint_proof, name="checkpoint_proof"),
]
api_urlpatterns = [
    path("evidence-packs", evidence_api.EvidencePacks.as_view(), name="evidence_packs"),
    path("evidence-packs/<uuid:pk>", evidence_api.evidence_pack, name="evidence_pack"),
    path("evidence-packs/<uuid:pk>/file", evidence_api.evidence_file, name="evidence_pack_file"),
    path("evidence-packs/<uuid:pk>/retry", evidence_api.evidence_retry, name="evidence_pack_retry"),
    path("role-reviews", roles_api.RoleReviews.as_view(), name="role_reviews"),
    path("role-reviews/<uuid:pk>", roles_api.role_review, name="role_review"),
    path("role-reviews/<uuid:pk>/<str:decision>", roles_api.decide, name="role_review_decide"),
]

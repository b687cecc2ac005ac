"""The prompt record."""

from django.urls import path

from apps.prompts.erasures import api as erasures_api
from apps.prompts.erasures import views as erasures
from apps.prompts.holds import api as holds_api
from apps.prompts.holds import views as holds
from apps.prompts.reading import api as reading_api
from apps.prompts.reading import views as reading
from apps.prompts.rules import api as rules_api
from apps.prompts.rules import views as rules
from apps.prompts.views import overview

app_name = "prompts"
CHANGE, RELEASE = "retention/changes/<uuid:pk>/", "holds/releases/<uuid:pk>/"
urlpatterns = [
    path("", overview, name="overview"),
    path("calls/", reading.record_list, name="record_list"),
    path("calls/<uuid:pk>/", reading.record_detail, name="record_detail"),
    path("calls/<uuid:pk>/read/", reading.record_read, name="record_read"),
    path("readers/", reading.reader_list, name="reader_list"),
    path("readers/<uuid:pk>/end/", reading.reader_end, name="reader_end"),
    path("retention/", rules.retention_list, name="retention_list"),
    path(
        "retention/<slug:data_class>/change/",
        rules.retention_change_create,
        name="retention_change_create",
    ),
    path(CHANGE, rules.retention_change_detail, name="retention_change_detail"),
    path(f"{CHANGE}approve/", rules.retention_change_approve, name="retention_change_approve"),
    path(f"{CHANGE}reject/", rules.retention_change_reject, name="retention_change_reject"),
    path(f"{CHANGE}withdraw/", rules.retention_change_withdraw, name="retention_change_withdraw"),
    path("holds/", holds.hold_list, name="hold_list"),
    path("holds/place/", holds.hold_create, name="hold_create"),
    path("holds/<uuid:pk>/", holds.hold_detail, name="hold_detail"),
    path("holds/<uuid:pk>/release/", holds.hold_release, name="hold_release_ask"),
    path(RELEASE, holds.hold_release_detail, name="hold_release_detail"),
    path(f"{RELEASE}approve/", holds.hold_release_approve, name="hold_release_approve"),
    path(f"{RELEASE}reject/", holds.hold_release_reject, name="hold_release_reject"),
    path(f"{RELEASE}withdraw/", holds.hold_release_withdraw, name="hold_release_withdraw"),
    path("erasures/", erasures.erasure_list, name="erasure_list"),
    path("erasures/ask/", erasures.erasure_create, name="erasure_create"),
    path("erasures/<uuid:pk>/", erasures.erasure_detail, name="erasure_detail"),
    path("erasures/<uuid:pk>/receipt/", erasures.erasure_receipt, name="erasure_receipt"),
    path("erasures/<uuid:pk>/approve/", erasures.erasure_approve, name="erasure_approve"),
    path("erasures/<uuid:pk>/reject/", erasures.erasure_reject, name="erasure_reject"),
    path("erasures/<uuid:pk>/withdraw/", erasures.erasure_withdraw, name="erasure_withdraw"),
]
api_urlpatterns = [
    path("prompts", reading_api.Prompts.as_view(), name="prompts"),
    path("prompts/<uuid:pk>", reading_api.prompt, name="prompt"),
    path("prompts/<uuid:pk>/read", reading_api.prompt_read, name="prompt_read"),
    path("prompt-retention", rules_api.retention, name="prompt_retention"),
    path(
        "prompt-retention-changes",
        rules_api.RetentionChanges.as_view(),
        name="prompt_retention_changes",
    ),
    path(
        "prompt-retention-changes/<uuid:pk>",
        rules_api.retention_change,
        name="prompt_retention_change",
    ),
    path(
        "prompt-retention-changes/<uuid:pk>/<str:decision>",
        rules_api.decide,
        name="prompt_retention_change_decide",
    ),
    path("legal-holds", holds_api.LegalHolds.as_view(), name="legal_holds"),
    path("legal-holds/<uuid:pk>", holds_api.legal_hold, name="legal_hold"),
    path("legal-holds/<uuid:pk>/release", holds_api.ask_release, name="legal_hold_release"),
    path("hold-releases/<uuid:pk>", holds_api.hold_release, name="hold_release"),
    path("hold-releases/<uuid:pk>/<str:decision>", holds_api.decide, name="hold_release_decide"),
    path("erasures", erasures_api.Erasures.as_view(), name="erasures"),
    path("erasures/<uuid:pk>", erasures_api.erasure, name="erasure"),
    path("erasures/<uuid:pk>/receipt", erasures_api.receipt, name="erasure_receipt"),
    path("erasures/<uuid:pk>/<str:decision>", erasures_api.decide, name="erasure_decide"),
]

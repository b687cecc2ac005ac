"""The HIPAA page: each safeguard with its live state; what cannot be seen is not called right."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import Role
from apps.accounts.recertification.models import RoleReview
from apps.audit.models import Verification
from apps.catalog.actions import record_waiting
from apps.oversight.safeguards import states
from apps.oversight.safeguards.mapping import SAFEGUARDS
from tests.factories import ModelVersionFactory, UserFactory
from tests.pages import joined

pytestmark = pytest.mark.django_db
CLAUSES = ("(a)(1)", "(a)(2)(i)", "(a)(2)(ii)", "(a)(2)(iii)", "(a)(2)(iv)", "(b)", "(c)(1)",
           "(c)(2)", "(d)", "(e)(1)", "(e)(2)(i)", "(e)(2)(ii)")  # fmt: skip


def state(key):
    return states.STATES[key](timezone.now())


class TestMapping:
    def test_names_every_technical_safeguard_and_has_a_state_and_a_page_for_each(self):
        named = " ".join(one.clause for one in SAFEGUARDS)
        assert all(clause in named for clause in CLAUSES)
        assert {one.key for one in SAFEGUARDS} == set(states.STATES)
        for one in SAFEGUARDS:
            assert all(reverse(name) for name, _ in one.url_names)


class TestStates:
    def test_of_access_follow_the_roles_that_are_overdue(self):
        user = UserFactory(with_roles=[Role.FINANCE])
        before = state("access").words, state("identity").words
        UserFactory(acts_for=user, person=user.person)  # a pipeline's, which is nobody's sign-in
        assert (state("access").words, state("identity").words) == before
        assert state("access").badge.tone == "ok"
        now = timezone.now()
        RoleReview.objects.create(
            requested_by=user, role=Role.FINANCE, requested_at=now, due_at=now - timedelta(days=1)
        )
        found = state("access")
        assert (found.badge.words, "1 role should have been" in found.words) == ("Overdue", True)

    def test_of_integrity_name_versions_that_could_not_be_checked(self):
        version, _ = ModelVersionFactory(), ModelVersionFactory()
        found = state("integrity")
        assert (found.badge.tone, found.words[:19]) == ("ok", "2 verified versions")
        at = timezone.now() + timedelta(days=1)
        record_waiting(version=version, message="AccessDenied.", at=at, now=timezone.now())
        found = state("integrity")
        assert (found.badge.words, found.badge.tone) == ("Could not be checked", "warn")
        assert "1 version could not be checked" in found.words

    def test_of_emergencies_follow_their_reviews(self, world):
        found = state("emergency")
        assert (found.badge.tone, found.words) == ("ok", "1 emergency so far; 1 to be reviewed.")
        later = states.STATES["emergency"](timezone.now() + timedelta(days=365))
        assert (later.badge.tone, "1 should have been reviewed" in later.words) == ("bad", True)

    def test_of_the_record_follow_its_verification(self):
        assert state("audit").badge.tone == "draft"
        Verification.objects.create(
            verified_at=timezone.now(), size=3, anchored_size=3, found=2, findings=[]
        )
        assert state("audit").badge.tone == "bad"

    def test_of_settings_follow_them(self, settings):
        settings.SESSION_IDLE_SECONDS = 1800
        assert state("logoff").badge.tone == "ok"
        settings.SESSION_IDLE_SECONDS = 7200
        assert state("logoff").badge.tone == "warn"
        settings.STEP_UP_ACR_VALUES = ()
        assert state("authentication").badge.tone == "warn"
        settings.STEP_UP_ACR_VALUES = ("phrh",)
        assert "It must be by phrh." in state("authentication").words

    def test_of_transmission_name_what_is_not_encrypted(self, settings, monkeypatch):
        for name in states.ADDRESSES:
            setattr(settings, name, "https://safe.example")
        settings.USAGE_STORE_URL = "clickhouse://u:p@usage.example:8443/usage?secure=true"
        settings.EMAIL_HOST, settings.EMAIL_USE_TLS = "mail.example", True
        monkeypatch.setattr(states, "_database_is_encrypted", lambda: True)
        assert state("transmission").badge.tone == "ok"
        monkeypatch.setattr(states, "_database_is_encrypted", lambda: None)
        assert state("transmission").badge.tone == "draft"
        settings.GATEWAY_URL = "http://plain.example"
        settings.REDIS_URL = "redis://broker.example:6379/0"
        settings.USAGE_STORE_URL = "clickhouse://u:p@usage.example/usage"
        settings.EMAIL_USE_TLS = False
        plain = "GATEWAY_URL, REDIS_URL, USAGE_STORE_URL, MAIL_URL"
        assert state("transmission").words == f"Not encrypted: {plain}."

    def test_of_what_is_not_seen_are_not_called_right(self):
        assert state("at_rest").badge.tone == "draft"
        assert states._database_is_encrypted() is False


class TestPage:
    def test_shows_each_with_its_state(self, client):
        client.force_login(UserFactory(with_roles=[Role.AUDITOR]))
        found = joined(client.get("/audit/safeguards/").content)
        for one in SAFEGUARDS:
            assert one.clause in found and one.asks in found
        assert "Not seen from here" in found

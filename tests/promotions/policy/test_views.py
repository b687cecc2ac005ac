"""Pages and API of the policy: what people see of it, and what they type."""

import pytest
from django.urls import reverse

from apps.accounts.models import Role
from apps.promotions.policy.freezes import Freeze
from apps.promotions.policy.models import PolicyChange
from apps.promotions.policy.queries import rules_of
from apps.promotions.policy.rules import Rules
from tests.factories import NOW, UserFactory
from tests.pages import joined
from tests.promotions.policies import propose, put_in_force

pytestmark = pytest.mark.django_db
WHY = "As the committee decided."
NO_WINDOWS = {"freezes-TOTAL_FORMS": 2, "freezes-INITIAL_FORMS": 0}


@pytest.fixture
def engineer(db):
    return UserFactory(username="pete", with_roles=[Role.PLATFORM_ENGINEER])


@pytest.fixture
def as_(client):
    def sign_in(person):
        client.force_login(person)
        return client

    return sign_in


def url(name, *args):
    return reverse(f"promotions:{name}", args=args)


def form_of(rules, **more):
    """Return what the form sends for rules."""
    values = {name: value for name, value in rules.as_json().items() if name != "freezes"}
    values["steps"] = ", ".join(map(str, rules.steps))
    values["excluded"] = [one for one in rules.excluded if one != "requester"]
    if not values.pop("real_engine_required"):
        values.pop("real_engine_required", None)
    else:
        values["real_engine_required"] = "on"
    return {**values, **NO_WINDOWS, "justification": WHY, **more}


class TestPolicyPages:
    def test_show_each_data_class_and_what_each_revision_changed(self, as_, charlie):
        put_in_force("PHI", approvals=2)
        put_in_force("PHI", approvals=3)
        put_in_force("PUBLIC", hold_seconds=11)
        page = joined(as_(charlie).get(url("policy_list")).content.decode())
        assert "Member data (PHI)" in page and "> 3 · <a" in page and "> 2 · <a" in page
        phi = as_(charlie).get(url("policy_detail", "phi"))
        shown = [
            (found["revision"].number, [line.text for file in found["diff"] for line in file.lines
                                        if line.kind in ("add", "del")])
            for found in phi.context["history"]
        ]  # fmt: skip
        assert shown == [
            (3, ["-Approvals: 2", "+Approvals: 3"]),
            (2, ["-Approvals: 1", "+Approvals: 2"]),
            (1, []),
        ]
        assert "Propose a change" not in phi.content.decode()
        assert as_(charlie).get("/promotions/policy/secret/").status_code == 404

    def test_keep_what_waits_to_those_who_take_part(self, as_, charlie, carol):
        change = propose("PHI", approvals=2)
        assert WHY in as_(carol).get(url("policy_list")).content.decode()
        assert WHY not in as_(charlie).get(url("policy_list")).content.decode()
        assert as_(charlie).get(change.get_absolute_url()).status_code == 404


class TestPolicyForm:
    def test_proposes_what_was_typed_with_its_windows(self, as_, engineer):
        rules = rules_of("INTERNAL", NOW).rules
        typed = form_of(
            rules, approvals=2, approver_roles=["REVIEWER", "PLATFORM_ENGINEER"],
            **{
                "freezes-0-words": "Open enrollment.", "freezes-0-zone": "America/New_York",
                "freezes-0-starts_at": "2026-11-30T18:00", "freezes-0-ends_at": "2026-12-18T08:00",
                "freezes-0-exceptions": "triage, intake",
                "freezes-1-words": "No weekend starts.", "freezes-1-zone": "UTC",
                "freezes-1-starts_day": "fri", "freezes-1-starts_time": "16:00",
                "freezes-1-ends_day": "mon", "freezes-1-ends_time": "08:00",
            },
        )  # fmt: skip
        answer = as_(engineer).post(url("policy_change_create", "internal"), typed)
        change = PolicyChange.objects.get()
        assert answer.url == change.get_absolute_url()
        assert (change.data_class, change.requested_by) == ("INTERNAL", engineer)
        found = change.rules
        assert (found.approvals, found.approver_roles) == (2, ("REVIEWER", "PLATFORM_ENGINEER"))
        assert [(one.starts, one.ends, one.zone) for one in found.freezes] == [
            ("2026-11-30T18:00", "2026-12-18T08:00", "America/New_York"),
            ("fri 16:00", "mon 08:00", "UTC"),
        ]
        assert found.freezes[0].exceptions == ("triage", "intake")
        assert found.excluded == rules.excluded

    def test_shows_what_is_in_force_and_sends_it_back_unchanged(self, as_, engineer):
        put_in_force("PHI", freezes=(
            Freeze("Weekend.", "fri 16:00", "mon 08:00", "America/New_York", ("triage",)),
            Freeze("Year end.", "2026-12-18T18:00", "2027-01-04T08:00"),
        ))  # fmt: skip
        client = as_(engineer)
        page = client.get(url("policy_change_create", "phi"))
        form, rows = page.context["form"], page.context["freezes"]
        sent = form_of(rules_of("PHI", NOW).rules)
        sent |= {"freezes-TOTAL_FORMS": 4, "freezes-INITIAL_FORMS": 2}
        for row in rows:
            for field in row:
                sent[field.html_name] = field.value() or ""
        assert form.initial["approvals"] == 1
        text = page.content.decode()
        assert 'value="100"' in text and 'value="2.0"' not in text and 'value="1.25"' in text
        again = client.post(url("policy_change_create", "phi"), sent)
        assert again.status_code == 422
        assert "Nothing changes" in again.content.decode()

    @pytest.mark.parametrize(
        ("typed", "words"),
        [
            ({"approvals": 0}, "greater than or equal to 1"),
            ({"steps": "10, half, 100"}, "whole percents"),
            ({"steps": "10, 50"}, "rise to 100"),
            ({"freezes-0-words": "Why"}, "two dates with their times, or two weekdays"),
            (
                {"freezes-0-words": "Why", "freezes-0-zone": "UTC",
                 "freezes-0-starts_at": "2026-12-18T16:00",
                 "freezes-0-ends_at": "2026-12-17T16:00"},
                "ends after it begins",
            ),
            (
                {"freezes-0-starts_at": "2026-12-18T16:00", "freezes-0-zone": "UTC",
                 "freezes-0-ends_at": "2026-12-19T16:00"},
                "Say why",
            ),
        ],
    )  # fmt: skip
    def test_says_what_is_wrong_and_keeps_what_was_typed(self, as_, engineer, typed, words):
        sent = form_of(Rules(approvals=2, real_engine_required=False)) | {"freezes-0-zone": "UTC"}
        answer = as_(engineer).post(url("policy_change_create", "phi"), sent | typed)
        text = joined(answer.content.decode())
        assert answer.status_code == 422
        assert words in text and WHY in text
        assert not PolicyChange.objects.exists()


class TestDeciding:
    def test_puts_in_force_what_the_reviewer_saw(self, as_, carol, engineer):
        change = propose("PHI", requester=engineer, approvals=2)
        page = joined(as_(carol).get(change.get_absolute_url()).content.decode())
        assert "Put these rules in force" in page and "−1" in page
        own = joined(as_(engineer).get(change.get_absolute_url()).content.decode())
        assert "Put these rules in force" not in own
        where = url("policy_change_approve", change.pk)
        assert as_(carol).post(where, {"reason": ""}).status_code == 422
        as_(carol).post(where, {"reason": "The committee agreed."})
        assert rules_of("PHI", NOW.replace(year=2030)).rules.approvals == 2
        done = joined(as_(carol).get(url("policy_detail", "phi")).content.decode())
        assert "The committee agreed." in done

"""The due list of roles, and the page on which one is kept or taken away."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.accounts.models import Role, RoleBinding
from apps.accounts.recertification.models import RoleReview
from tests.factories import UserFactory
from tests.pages import joined

pytestmark = pytest.mark.django_db
PATH = "/audit/roles/"
REASON = {"reason": "Still needed."}


@pytest.fixture
def aisha(client):
    user = UserFactory(username="aisha", name="Aisha", with_roles=[Role.AUDITOR])
    client.force_login(user)
    return user


@pytest.fixture
def reviews(aisha):
    """One overdue, one due, and one of Aisha's own."""
    fiona = UserFactory(username="fiona", name="Fiona", with_roles=[Role.FINANCE, Role.REVIEWER])
    now = timezone.now()
    wanted = [(fiona, Role.FINANCE, -1), (fiona, Role.REVIEWER, 5), (aisha, Role.AUDITOR, 3)]
    return [
        RoleReview.objects.create(
            requested_by=user, role=role, requested_at=now, due_at=now + timedelta(days=days)
        )
        for user, role, days in wanted
    ]


class TestList:
    def test_counts_what_is_overdue_and_shows_it_first(self, client, reviews):
        assert "Roles due" in joined(client.get(PATH).content)
        answer = client.get(PATH, {"format": "csv"})
        lines = b"".join(answer.streaming_content).decode().splitlines()
        assert [line.split(",")[1] for line in lines[1:]] == ["FINANCE", "AUDITOR", "REVIEWER"]

    def test_is_narrowed_to_what_is_overdue_and_to_what_is_not(self, client, reviews):
        page = joined(client.get(PATH).content)
        assert "?due=overdue" in page and "?due=soon" in page
        for due, roles in (("overdue", ["FINANCE"]), ("soon", ["AUDITOR", "REVIEWER"])):
            answer = client.get(PATH, {"format": "csv", "due": due})
            lines = b"".join(answer.streaming_content).decode().splitlines()
            assert [line.split(",")[1] for line in lines[1:]] == roles

    def test_is_led_to_from_the_access_report_and_from_home(self, client, reviews):
        report = joined(client.get("/audit/access/").content)
        assert "1 role should have been looked at again." in report
        home = joined(client.get("/").content)
        assert "Keep or take away the role Finance of Fiona" in home
        assert "Auditor of Aisha" not in home


class TestDetail:
    def test_says_what_the_role_allows_and_lets_it_be_kept(self, client, reviews):
        url = f"{PATH}{reviews[0].pk}/"
        found = joined(client.get(url).content)
        for words in ("say what a contract for machines costs", "Keep the role", "Overdue"):
            assert words in found
        assert client.post(f"{url}keep/", {"reason": ""}).status_code == 422
        assert client.post(f"{url}keep/", REASON)["Location"] == url
        assert "Kept" in joined(client.get(url).content)

    def test_takes_it_away_says_so_and_offers_another_look(self, client, reviews):
        url = f"{PATH}{reviews[0].pk}/"
        client.post(f"{url}take/", REASON)
        assert "The role is withheld." in joined(client.get(url).content)
        assert not RoleBinding.objects.filter(
            user=reviews[0].requested_by, role=Role.FINANCE
        ).exists()
        answer = client.post(f"{url}again/")
        assert RoleReview.objects.get(status="PENDING", role=Role.FINANCE).pk != reviews[0].pk
        assert (
            str(RoleReview.objects.get(status="PENDING", role=Role.FINANCE).pk)
            in (answer["Location"])
        )

    def test_offers_nobody_their_own(self, client, reviews):
        found = joined(client.get(f"{PATH}{reviews[2].pk}/").content)
        assert "Keep the role" not in found
        assert "You hold this, so another auditor or platform engineer decides." in found
        assert client.post(f"{PATH}{reviews[2].pk}/keep/", REASON).status_code == 403

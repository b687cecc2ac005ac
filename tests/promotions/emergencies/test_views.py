"""Pages and API of emergencies: the way in, the banner on every page, the review."""

import re

import pytest
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import Role
from apps.common.canonical import digest_of
from apps.promotions.emergencies.models import Emergency
from apps.promotions.models import Rollout
from tests.factories import UserFactory
from tests.pages import joined
from tests.promotions.emergencies.test_actions import WHY, declare, proposed

pytestmark = pytest.mark.django_db


@pytest.fixture
def pete(db):
    """A platform engineer."""
    return UserFactory(username="pete", with_roles=[Role.PLATFORM_ENGINEER])


@pytest.fixture
def promotion(registered_model, alice):
    return proposed(registered_model, alice)


def page(client, person, url, **more):
    client.force_login(person)
    return joined(client.get(url, **more).content)


class TestTheWayIn:
    def test_is_on_the_promotions_page_for_who_may_take_it(
        self, client, promotion, pete, carol, alice
    ):
        url = reverse("promotions:promotion_detail", args=[promotion.pk])
        way = reverse("promotions:emergency_create", args=[promotion.pk])
        assert way in page(client, pete, url)
        for person in (carol, alice):
            assert way not in page(client, person, url)

    def test_says_what_it_does_without_and_rolls_forward(self, client, promotion, pete):
        url = reverse("promotions:emergency_create", args=[promotion.pk])
        shown = page(client, pete, url)
        assert "Its policy asks for 1 approval, and it has none." in shown
        assert "within 24 hours" in shown
        refused = client.post(url, {"statement": "Too short."})
        assert refused.status_code == 422 and not Emergency.objects.exists()
        answer = client.post(url, {"statement": WHY})
        emergency = Emergency.objects.get()
        assert answer["Location"] == emergency.get_absolute_url()
        assert Rollout.objects.filter(promotion=promotion).exists()
        shown = page(client, pete, reverse("promotions:promotion_detail", args=[promotion.pk]))
        assert "rolled this forward in an emergency." in shown and WHY in shown
        assert url not in shown

    def test_keeps_the_change_that_it_rolls_forward(
        self, client, promotion, pete, remote, settings, tmp_path
    ):
        settings.GITOPS_REMOTE, settings.GITOPS_WORKDIR = str(remote), str(tmp_path / "work")
        client.force_login(pete)
        url = reverse("promotions:emergency_create", args=[promotion.pk])
        diff = reverse("promotions:promotion_diff", args=[promotion.pk])
        assert diff in client.get(url).content.decode()
        other = client.post(url, {"statement": WHY, "change": "sha256:" + "1" * 64}, follow=True)
        assert "what would be committed has changed" in joined(other.content)
        assert not Emergency.objects.exists()
        digest = re.search(
            r'name="change" value="(sha256:[0-9a-f]{64})"', client.get(diff).content.decode()
        ).group(1)
        client.post(url, {"statement": WHY, "change": digest})
        kept = Emergency.objects.get().evidence
        assert digest_of(kept["steps"]) == digest and kept["problem"] == ""
        assert [step["title"] for step in kept["steps"]][0] == "Start prior-auth-extract-v2"

    def test_tells_why_it_cannot_be_taken(self, client, promotion, pete):
        url = reverse("promotions:emergency_create", args=[promotion.pk])
        client.force_login(pete)
        client.post(url, {"statement": WHY})
        answer = client.post(url, {"statement": WHY}, follow=True)
        assert "rolled forward in an emergency already" in joined(answer.content)


class TestTheBanner:
    def test_is_on_every_page_of_those_whom_it_concerns_until_the_review(
        self, client, promotion, pete, alice, carol, charlie
    ):
        emergency = declare(promotion, pete)
        Emergency.objects.filter(pk=emergency.pk).update(overdue_told_at=None)
        banner = reverse("promotions:emergency_banner")
        assert banner in page(client, charlie, "/")
        for person in (alice, carol, pete):
            shown = page(client, person, banner)
            assert "prior-auth-extract-v2 was rolled forward in an emergency." in shown
            assert emergency.get_absolute_url() in shown
        assert page(client, charlie, banner) == ""
        assert "Its review is overdue since" in page(client, carol, banner)
        client.post(
            reverse("promotions:emergency_approve", args=[emergency.pk]), {"reason": "It was."}
        )
        assert page(client, carol, banner) == ""


class TestTheReview:
    @pytest.fixture
    def emergency(self, promotion, pete):
        return declare(promotion, pete)

    def test_has_its_form_for_another_reviewer_alone(self, client, emergency, pete, carol):
        url = emergency.get_absolute_url()
        shown = page(client, carol, url)
        assert "It was justified" in shown and "It was not justified" in shown
        assert "Withdraw" not in shown and "Its policy asks for 1 approval" in shown
        rollout = Rollout.objects.get(promotion=emergency.promotion)
        where = reverse("promotions:rollout_detail", args=[rollout.pk])
        assert f'href="{where}">Waiting, 0 % of callers</a>' in shown
        shown = page(client, pete, url)
        assert "You declared this, so a reviewer decides." in shown
        assert "Withdraw" not in shown

    def test_that_objects_says_what_is_to_be_done(self, client, emergency, carol):
        client.force_login(carol)
        url = reverse("promotions:emergency_reject", args=[emergency.pk])
        assert client.post(url, {"reason": ""}).status_code == 422
        shown = joined(client.post(url, {"reason": "Nobody was harmed."}, follow=True).content)
        assert "Its review found that it was not justified." in shown
        assert "Nobody was harmed." in shown

    def test_stands_in_the_list_and_the_file(self, client, emergency, registered_model, carol):
        url = reverse("promotions:emergency_list")
        assert url in page(client, carol, reverse("promotions:promotion_list"))
        Emergency.objects.update(overdue_told_at=timezone.now())
        assert "Review overdue" in page(client, carol, url)
        client.post(
            reverse("promotions:emergency_approve", args=[emergency.pk]), {"reason": "It was."}
        )
        shown = page(client, carol, url)
        assert "Justified" in shown and "prior-auth-extract-v2" in shown
        file = client.get(url, {"format": "csv"})
        assert "UPHELD" in b"".join(file).decode()


class TestTheApi:
    def test_declares_and_reviews(self, client, promotion, pete, carol, monkeypatch):
        people = {"pete": (pete, "qm-platform"), "carol": (carol, "qm-reviewers")}

        def claims(token, audience):
            person, group = people[token]
            return {
                "iss": person.issuer, "sub": person.subject, "groups": [group], "name": token,
                "team": person.team.slug, "cost_center": person.team.cost_center.code,
                "auth_time": int(timezone.now().timestamp()),
            }  # fmt: skip

        monkeypatch.setattr("apps.accounts.oidc.verify", claims)

        def send(who, name, *args, **data):
            headers = {"Authorization": f"Bearer {who}"}
            url = reverse(f"api:{name}", args=args)
            return client.post(url, data, "application/json", headers=headers)

        made = send("pete", "emergency_declare", promotion.pk, statement=WHY)
        assert made.status_code == 201
        body = made.json()
        assert (body["version"], body["status"], body["requested_by"]) == (
            "prior-auth-extract-v2", "PENDING", "pete",
        )  # fmt: skip
        assert body["skipped"] == ["Its policy asks for 1 approval, and it has none."]
        again = send("pete", "emergency_declare", promotion.pk, statement=WHY)
        assert (again.status_code, again.json()["code"]) == (409, "already_decided")
        found = send("carol", "emergency_review", body["id"], "object", reason="It could wait.")
        assert (found.json()["status"], found.json()["decided_by"]) == ("OBJECTED", "carol")
        assert send("carol", "emergency_review", body["id"], "x", reason="Hm.").status_code == 404

"""The API of one's own webhooks."""

import pytest
from rest_framework.test import APIClient

from apps.accounts.models import Role
from apps.audit.models import Action
from apps.notices.models import Call, Webhook
from apps.notices.signing import key_from_settings, secret_of
from tests.factories import NOW
from tests.notices.samples import person, webhook
from tests.trail import trail

pytestmark = pytest.mark.django_db
PATH = "/api/v1/webhooks"


def as_(user):
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def alice():
    return person("alice", with_roles=[Role.MODEL_OWNER])


@pytest.fixture
def bob():
    return person("bob", with_roles=[Role.REVIEWER])


def test_are_added_with_a_secret_that_is_answered_once(alice, bob, settings):
    settings.WEBHOOK_HOSTS = ("hooks.meridian.test",)
    theirs = webhook(bob)
    body = {"url": "https://hooks.meridian.test/in", "kinds": ["GRANT", "WAITS"]}
    made = as_(alice).post(PATH, body, format="json")
    assert made.status_code == 201, made.json()
    row = Webhook.objects.get(user=alice)
    assert made.json()["secret"] == secret_of(row, 1, key_from_settings())
    (listed,) = as_(alice).get(PATH).json()
    assert (listed["id"], listed["secret"], listed["kinds"]) == (str(row.pk), None, row.kinds)
    assert [line[:2] for line in trail(row)] == [(Action.WEBHOOK_ADDED, "alice")]
    refused = as_(alice).post(PATH, body, format="json")
    assert (refused.status_code, refused.json()["code"]) == (409, "cannot_add_webhook")
    none = as_(alice).post(PATH, body | {"kinds": []}, format="json")
    assert none.status_code == 400
    assert as_(alice).get(f"{PATH}/{theirs.pk}").status_code == 404


def test_get_other_kinds_a_new_secret_and_go(alice, bob):
    mine, theirs = webhook(alice), webhook(bob)
    where, api = f"{PATH}/{mine.pk}", as_(alice)
    assert api.put(where, {"kinds": ["BUDGET"]}, format="json").json()["kinds"] == ["BUDGET"]
    renewed = api.post(f"{where}/secret").json()["secret"]
    mine.refresh_from_db()
    assert mine.secret_number == 2 and renewed == secret_of(mine, 2, key_from_settings())
    assert api.post(f"{where}/try").status_code == 200
    assert Call.objects.get().webhook == mine
    assert api.post(f"{where}/start").status_code == 409
    Webhook.objects.filter(pk=mine.pk).update(stopped_at=NOW, failures=9)
    assert api.post(f"{where}/start").json()["stopped_at"] is None
    assert api.delete(where).status_code == 200
    assert api.get(where).status_code == 404
    assert api.post(f"{PATH}/{theirs.pk}/secret").status_code == 404
    theirs.refresh_from_db()
    assert (theirs.secret_number, theirs.removed_at) == (1, None)

"""The page and the API of a model's retirement: who calls it, as far as one may see, and orders."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone

from apps.catalog.retirement.models import Retirement
from apps.common.periods import HOUR, hour_of
from tests.factories import RegisteredModelFactory
from tests.metering.test_retirement import used
from tests.pages import joined

pytestmark = pytest.mark.django_db
TAG = re.compile(r"<[^>]*>")
NOTE = "Move to the new model; the answers have the same fields."


@pytest.fixture
def soon():
    return timezone.now().date() + timedelta(days=30)


@pytest.fixture
def as_(client):
    def sign_in(user):
        client.force_login(user)
        return client

    return sign_in


@pytest.fixture
def called(registered_model):
    hour = hour_of(timezone.now()) - HOUR
    used(registered_model, "claims-review", hour, metered_calls=1234)
    used(registered_model, "prior-auth", hour, refused_calls=3)


def read(answer):
    """Return a page's words, as a person reads them."""
    return joined(TAG.sub(" ", answer.content.decode()))


def overdue(model, owner):
    now = timezone.now()
    return Retirement.objects.create(
        registered_model=model, last_day=now.date() - timedelta(days=1), note=NOTE,
        announced_by=owner, announced_at=now - timedelta(days=40),
    )  # fmt: skip


ADDRESS = "/catalog/prior-auth-extract/retirement/"


class TestPage:
    def test_shows_an_owner_every_caller(self, as_, alice, called):
        page = read(as_(alice).get(ADDRESS))
        assert "claims-review 1,234 0" in page and "prior-auth 0 3" in page
        assert "Tell callers that it goes" in page

    def test_shows_others_their_own_team(self, as_, charlie, called):
        page = read(as_(charlie).get(ADDRESS))
        assert "claims-review 1,234 0" in page and "prior-auth 0 3" not in page
        assert "Tell callers that it goes" not in page
        assert "Model owners of Ml Platform say when it goes." in page

    def test_keeps_the_callers_that_were_shown(self, as_, alice, called, soon):
        as_(alice).post(ADDRESS, {"last_day": soon.isoformat(), "note": NOTE})
        made = Retirement.objects.get()
        assert [(one["team"], one["answered"], one["others"]) for one in made.callers] == [
            ("claims-review", 1234, 0),
            ("prior-auth", 0, 3),
        ]

    def test_names_every_field_that_will_not_do(self, as_, alice, registered_model):
        answer = as_(alice).post(ADDRESS, {"last_day": "soon", "note": "Go", "successor": "9"})
        assert answer.status_code == 422
        assert set(answer.context["form"].errors) == {"last_day", "note", "successor"}

    def test_says_why_a_day_will_not_do_and_keeps_what_was_typed(
        self, as_, alice, registered_model
    ):
        answer = as_(alice).post(ADDRESS, {"last_day": "2020-01-01", "note": NOTE})
        page = read(answer)
        assert "Choose a last day from" in page and NOTE in page
        assert not Retirement.objects.exists()

    def test_offers_to_retire_now_once_the_day_is_over(self, as_, alice, registered_model, called):
        overdue(registered_model, alice)
        page = read(as_(alice).get(ADDRESS))
        assert "was to be called until" in page and "Retire it now" in page
        answer = as_(alice).post(f"{ADDRESS}override/", {"reason": "Its license ends."})
        assert answer.status_code == 302
        assert Retirement.objects.get().status == "RETIRED"

    def test_wants_a_reason(self, as_, alice, registered_model):
        overdue(registered_model, alice)
        assert as_(alice).post(f"{ADDRESS}override/", {"reason": ""}).status_code == 422
        assert Retirement.objects.get().status == "ANNOUNCED"

    def test_knows_no_other_order(self, as_, alice, registered_model):
        overdue(registered_model, alice)
        assert as_(alice).post(f"{ADDRESS}delete/", {"reason": "Gone."}).status_code == 404


class TestOtherPages:
    @pytest.mark.parametrize("tab", ["", "call/", "playground/"])
    def test_say_that_the_model_goes(self, as_, charlie, alice, registered_model, tab):
        other = RegisteredModelFactory(name="summary", owner_team=alice.team)
        found = overdue(registered_model, alice)
        page = read(as_(charlie).get(f"/catalog/prior-auth-extract/{tab}"))
        assert "was to be called until" in page and found.note in page
        assert "was to be called" not in read(as_(charlie).get(f"/catalog/{other}/{tab}"))

    def test_the_catalog_is_narrowed_by_it(self, as_, charlie, alice, registered_model):
        RegisteredModelFactory(name="summary", owner_team=alice.team)
        overdue(registered_model, alice)
        client = as_(charlie)
        goes = read(client.get("/catalog/", {"lifecycle": "goes", "view": "table"}))
        stays = read(client.get("/catalog/", {"lifecycle": "stays", "view": "table"}))
        assert "prior-auth-extract" in goes and "Retires" in goes and "summary" not in goes
        assert "summary" in stays and "prior-auth-extract" not in stays

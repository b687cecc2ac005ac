"""Asking for a new open-weight model, and deciding about it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from apps.accounts.models import Role
from apps.audit.models import Action, AuditEvent
from apps.catalog.actions import BadName
from apps.catalog.intake import actions, telling
from apps.catalog.intake.actions import CannotAsk
from apps.catalog.intake.models import ModelIntake
from apps.catalog.models import RegisteredModel
from apps.catalog.retirement.actions import announce_retirement, override_retirement
from apps.common.decisions import AlreadyDecided
from apps.common.errors import NotPermitted
from apps.common.sign_ins import JUST_NOW
from apps.notices.models import Notice
from tests.catalog import configs, intakes
from tests.catalog.intakes import LOAD, ask
from tests.factories import NOW, RegisteredModelFactory, TeamFactory, UserFactory

pytestmark = pytest.mark.django_db
YES = {"reason": "Licensed and needed.", "now": NOW}


def person(name, team, role, **more):
    found = UserFactory(username=name, team=team, with_roles=[role], **more)
    found.sign_in = JUST_NOW
    return found


@pytest.fixture
def team():
    return TeamFactory(slug="ml-platform", name="ML platform")


@pytest.fixture
def lead(team):
    return person("lena", TeamFactory(slug="claims"), Role.TEAM_LEAD)


@pytest.fixture
def owner(team):
    return person("olga", team, Role.MODEL_OWNER)


class TestRequestModel:
    def test_keeps_what_was_asked_and_tells_the_record(self, lead, team):
        made = ask(lead, team)
        assert (made.status, made.config, made.load) == ("PENDING", configs.LLAMA_8B, vars(LOAD))
        event = AuditEvent.objects.get(action=Action.MODEL_INTAKE_REQUESTED)
        assert (event.target_id, event.data["license"]) == (str(made.pk), "llama3.1")
        assert not RegisteredModel.objects.exists()

    def test_is_for_people_who_use_models(self, team):
        for role in (Role.FINANCE, Role.AUDITOR, Role.REVIEWER):
            with pytest.raises(NotPermitted):
                ask(person(f"p-{role}", team, role), team)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"config": {"model_type": "llama"}}, "names no architecture"),
            ({"config": configs.LLAMA_8B | {"num_hidden_layers": -1}}, "names no architecture"),
            ({"name": "taken"}, "registered already"),
        ],
    )
    def test_refuses_what_has_no_size_or_is_there(self, lead, team, change, words):
        RegisteredModelFactory(name="taken")
        with pytest.raises(CannotAsk, match=words):
            ask(lead, team, **change)

    def test_says_that_a_model_of_the_name_is_gone(self, lead, team, owner):
        gone = RegisteredModelFactory(name="taken", owner_team=owner.team)
        going = announce_retirement(
            model=gone, actor=owner, last_day=NOW.date() + timedelta(days=60), successor=None,
            note="Nobody needs it.", callers=[], now=NOW,
        )  # fmt: skip
        override_retirement(
            retirement=going, actor=owner, reason="All moved.", callers=[], now=going.ends_at
        )
        with pytest.raises(CannotAsk, match=r"taken was retired on .* a name of its own"):
            ask(lead, team, name="taken")

    def test_refuses_work_that_the_model_cannot_take(self, lead, team):
        with pytest.raises(CannotAsk, match="takes 131,072 tokens at most"):
            ask(lead, team, load=replace(LOAD, prompt=200_000))

    def test_refuses_a_name_that_no_model_can_have(self, lead, team):
        for name in ("Capital", "new-models", "a" * 37):
            with pytest.raises(BadName):
                ask(lead, team, name=name)

    def test_takes_one_request_for_a_name_at_a_time(self, lead, team, owner):
        ask(lead, team)
        with pytest.raises(CannotAsk, match="waits for a decision already"):
            ask(owner, team)
        assert ModelIntake.objects.count() == 1


class TestApproveModel:
    def test_registers_the_model_for_the_team_that_will_own_it(self, lead, team, owner):
        made, other = ask(lead, team), ask(lead, team, name="another")
        actions.approve_model(request=made, approver=owner, **YES)
        model = RegisteredModel.objects.get()
        assert (made.status, made.registered_model, made.decided_by) == ("APPROVED", model, owner)
        assert (model.name, model.owner_team, model.context_length) == (made.name, team, 131072)
        assert (model.parameter_count, model.license) == (8_030_261_248, "llama3.1")
        other.refresh_from_db()
        assert other.status == "PENDING"
        said = AuditEvent.objects.get(action=Action.MODEL_INTAKE_APPROVED).data
        assert said == {"reason": "Licensed and needed.", "model": made.name}
        assert AuditEvent.objects.filter(action=Action.MODEL_REGISTERED).count() == 1

    def test_is_never_ones_own(self, team, owner):
        engineer = person("pia", TeamFactory(slug="platform"), Role.PLATFORM_ENGINEER)
        for who, name in ((owner, "one"), (engineer, "two")):
            with pytest.raises(NotPermitted, match="Nobody decides on their own"):
                actions.approve_model(request=ask(who, team, name=name), approver=who, **YES)

    def test_is_for_owners_of_that_team_and_platform_engineers(self, lead, team):
        made = ask(lead, team)
        elsewhere = person("eve", TeamFactory(slug="other"), Role.MODEL_OWNER)
        for who in (elsewhere, person("rex", team, Role.REVIEWER)):
            with pytest.raises(NotPermitted):
                actions.approve_model(request=made, approver=who, **YES)
        engineer = person("pia", TeamFactory(slug="platform"), Role.PLATFORM_ENGINEER)
        actions.approve_model(request=made, approver=engineer, **YES)
        assert made.registered_model.owner_team == team

    def test_happens_once(self, lead, team, owner):
        made = ask(lead, team)
        actions.approve_model(request=made, approver=owner, **YES)
        for action in (actions.approve_model, actions.reject_model):
            with pytest.raises(AlreadyDecided):
                action(request=ModelIntake.objects.get(), approver=owner, **YES)
        assert RegisteredModel.objects.count() == 1

    def test_leaves_the_request_open_where_the_name_was_taken_meanwhile(self, lead, team, owner):
        made = ask(lead, team)
        RegisteredModelFactory(name=made.name)
        with pytest.raises(actions.DomainError, match="already registered"):
            actions.approve_model(request=made, approver=owner, **YES)
        assert ModelIntake.objects.get().status == "PENDING"


class TestRejectAndWithdraw:
    def test_end_a_request_without_a_model(self, lead, team, owner):
        rejected, withdrawn = ask(lead, team), ask(lead, team, name="another")
        actions.reject_model(request=rejected, approver=owner, **YES)
        actions.withdraw_model(request=withdrawn, actor=lead, now=NOW)
        assert (rejected.status, withdrawn.status) == ("REJECTED", "WITHDRAWN")
        assert not RegisteredModel.objects.exists()
        kinds = {Action.MODEL_INTAKE_REJECTED, Action.MODEL_INTAKE_WITHDRAWN}
        assert kinds <= set(AuditEvent.objects.values_list("action", flat=True))
        ask(lead, team)  # its name is free again

    def test_nobody_takes_back_what_another_asked_for(self, lead, team, owner):
        with pytest.raises(NotPermitted):
            actions.withdraw_model(request=ask(lead, team), actor=owner, now=NOW)


class TestTelling:
    def test_tells_who_decides_and_then_who_asked(self, lead, team, owner):
        elsewhere = person("eve", TeamFactory(slug="other"), Role.MODEL_OWNER)
        made = ask(lead, team)
        telling.tell(now=NOW)
        told = Notice.objects.filter(path=telling.path_of(made))
        assert {notice.user for notice in told} == {owner}
        actions.approve_model(request=made, approver=owner, **YES)
        telling.tell(now=NOW)
        assert Notice.objects.filter(user=lead, title__contains=made.name).exists()
        assert not Notice.objects.filter(user=elsewhere).exists()

    def test_waits_on_the_right_desks(self, lead, team, owner):
        made = ask(lead, team)
        own = ask(owner, team, name="of-the-owner")
        engineer = person("pia", TeamFactory(slug="platform"), Role.PLATFORM_ENGINEER)
        assert list(ModelIntake.objects.to_decide(owner)) == [made]
        assert set(ModelIntake.objects.to_decide(engineer)) == {made, own}
        assert list(ModelIntake.objects.to_decide(lead)) == []


def test_a_shape_is_what_the_configuration_and_the_stated_size_say():
    shape = actions.shape_of(intakes.WISH)
    assert (shape.weight_bytes, shape.layers, shape.kv_bytes(1)) == (16_060_522_496, 32, 131072)

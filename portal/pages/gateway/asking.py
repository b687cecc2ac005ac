"""What is asked of the gateway's rules: of a call that was made, by its request id, or of a caller,
a model and a moment; for the page and for the API alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.db.models import Q
from django.urls import reverse

from apps.accounts.models import CostCenter, Team, User
from apps.gateway.why import gather
from apps.gateway.why.checks import Answer
from apps.gateway.why.facts import Caller, PastCall
from apps.gateway.why.past import why_it_was
from apps.gateway.why.rules import why
from apps.metering import store
from portal.pages.gateway.whose import own_team, sees_all

TEAM, PERSON, COST_CENTER = "team", "person", "cost_center"
KINDS = ((TEAM, "Team"), (PERSON, "Person"), (COST_CENTER, "Cost center"))
NOBODY = "There is nobody of this name that you may ask about."
NO_CALL = (
    "There is no call with this id that you may see. A call appears seconds after it ends; old "
    "ones are in the archive alone."
)
SKEW = timedelta(minutes=1)  # a clock that is ahead does not ask about the future


class NotThere(Exception):
    """What is asked about is not there, or not this person's to ask about. field: which names it;
    its text says so to people.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class Asked:
    """What was asked, and what the rules say. call: where it is of one that was made."""

    caller: Caller
    model: str
    at: datetime
    answer: Answer
    call: PastCall | None = None


class CallForm(forms.Form):
    """Which call it is asked of."""

    request_id = forms.UUIDField(
        label="Request id",
        help_text="In the answer’s header x-request-id.",
        error_messages={"invalid": "This is not the id of a call."},
    )

    def ask(self, user: User, moment: datetime) -> Asked:
        """Return what became of the call. The form is valid. Raises NotThere."""
        return _of_call(user, self.cleaned_data["request_id"], moment)


class CallerForm(forms.Form):
    """Of whom and what it is asked."""

    kind = forms.ChoiceField(label="Who calls", choices=KINDS, required=False)
    caller = forms.CharField(label="Name", required=False, max_length=200)
    model = forms.CharField(label="Model", max_length=40, error_messages={
        "required": "Name a model, or give a request id.",
    })  # fmt: skip
    at = forms.DateTimeField(
        label="When, in UTC",
        required=False,
        help_text="Leave it empty to ask about now.",
        widget=forms.DateTimeInput({"type": "datetime-local"}),
    )

    def __init__(self, data: Mapping[str, Any] | None, *, user: User, moment: datetime) -> None:
        super().__init__(data)
        self.moment = moment
        if team := own_team(user):
            self.fields["caller"].help_text = f"Leave it empty to ask about your team, {team}."
        for name, options in (("caller", "why-teams"), ("model", "why-models")):
            self.fields[name].widget.attrs |= {"list": options, "autocomplete": "off"}

    def clean_at(self) -> datetime:
        """Return the moment, not later than now."""
        at: datetime | None = self.cleaned_data["at"]
        if at is not None and at > self.moment + SKEW:
            raise forms.ValidationError("Name a time that is not in the future.")
        return min(at or self.moment, self.moment)

    def ask(self, user: User, moment: datetime) -> Asked:
        """Return what the rules say. The form is valid. Raises NotThere."""
        values = self.cleaned_data
        caller = caller_for(user, values["kind"] or TEAM, values["caller"])
        if caller is None:
            raise NotThere("caller", NOBODY)
        name, at = values["model"].strip(), values["at"]
        return Asked(caller, name, at, why(gather.facts_of(caller, name, at, now=moment)))


def bound(query: Mapping[str, Any], user: User, moment: datetime) -> CallForm | CallerForm:
    """Return the form that an address fills: that of a call where it names one."""
    if query.get("request_id"):
        return CallForm(query)
    return CallerForm(query, user=user, moment=moment)


def address_of(team: str, model: str) -> str:
    """Return where it is explained why a team's calls of a model go on or not."""
    return f"{reverse('gateway:why')}?{urlencode({'caller': team, 'model': model})}"


# -- Who and which ---------------------------------------------------------------------------------
def caller_for(user: User, kind: str, name: str) -> Caller | None:
    """Return a caller whom a person may ask about, their own team where no name is given; None
    where there is none, or it is another team's.
    """
    name = name.strip() or (own_team(user) if kind == TEAM else "")
    if not name:
        return None
    if kind == COST_CENTER:
        return _cost_center(user, name)
    if kind == PERSON:
        return _person(user, name)
    team = Team.objects.select_related("cost_center").filter(slug=name).first()
    return gather.caller_team(team) if team and store.sees_calls_of(user, team.slug) else None


def _person(user: User, name: str) -> Caller | None:
    people = User.objects.filter(Q(username=name) | Q(email__iexact=name), team__isnull=False)
    person = people.select_related("team__cost_center").order_by("-last_login", "pk").first()
    if person is None or person.team is None or not store.sees_calls_of(user, person.team.slug):
        return None
    of_team = gather.caller_team(person.team)
    words = f"{person.name}, of team {of_team.team}"
    return Caller(of_team.team, of_team.cost_center, words)


def _cost_center(user: User, code: str) -> Caller | None:
    found = CostCenter.objects.filter(code=code).first()
    own = user.team.cost_center.code if user.team and user.roles else ""
    if found is None or not (sees_all(user) or found.code == own):
        return None
    teams = sorted(found.teams.values_list("slug", flat=True))
    if not sees_all(user):
        teams = [own_team(user)]
    return Caller("", found.code, f"cost center {found.code}", tuple(teams))


def call_for(user: User, call_id: UUID) -> PastCall:
    """Return a call that was made and that a person may see. Raises NotThere."""
    call = gather.call_made(call_id)
    if call is None or not _sees(user, call):
        raise NotThere("request_id", NO_CALL)
    return call


def _of_call(user: User, call_id: UUID, moment: datetime) -> Asked:
    call = call_for(user, call_id)
    caller, at, model = gather.caller_of(call), gather.moment_of(call), call.kept.model
    facts = gather.facts_of(caller, model, at, now=moment, call=call)
    return Asked(caller, model, at, why_it_was(facts), call)


def _sees(user: User, call: PastCall) -> bool:
    team = call.kept.team
    return sees_all(user) or bool(team and store.sees_calls_of(user, team))

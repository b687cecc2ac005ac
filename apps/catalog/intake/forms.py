"""What somebody says who asks for a new open-weight model."""

from typing import TYPE_CHECKING, Any

from django import forms
from django.db.models import QuerySet

from apps.accounts.models import Role, Team
from apps.accounts.people import holders
from apps.catalog.facts.documents import MAX_JSON, json_object
from apps.catalog.intake.actions import Wish
from apps.catalog.models import DataClass

GIB = 1024**3
LARGEST_GIB = 4096
LONG = {"rows": 3}


def owning_teams() -> QuerySet[Team]:
    """Return the teams that have a model owner, who can own a model; three queries."""
    teams = {one.team_id for one in holders(Role.MODEL_OWNER) if one.team_id}
    return Team.objects.filter(pk__in=teams).order_by("name")


if TYPE_CHECKING:
    TeamField = forms.ModelChoiceField[Team]
else:
    TeamField = forms.ModelChoiceField


class OwnerField(TeamField):
    """A choice of teams, by the names that people know."""

    def label_from_instance(self, team: Team) -> str:
        """Return a team's name."""
        return team.name


class IntakeForm(forms.Form):
    """The model, its license and source, and why."""

    name = forms.CharField(
        max_length=36,
        help_text="What callers will write: lower-case letters, digits, dashes. It never changes.",
    )
    title = forms.CharField(max_length=120)
    description = forms.CharField(
        widget=forms.Textarea(attrs=LONG),
        max_length=4000,
        help_text="What it is for, in one or two sentences.",
    )
    task = forms.CharField(max_length=60, help_text="For example “Summarization”.")
    family = forms.CharField(max_length=60, help_text="For example “Llama 3.1”.")
    license = forms.CharField(max_length=60, help_text="As its publisher names it.")
    source = forms.CharField(
        max_length=300, help_text="Where its weights are published: an address or a repository."
    )
    revision = forms.CharField(
        max_length=80, required=False, help_text="Which commit or release of it."
    )
    parameter_count = forms.IntegerField(min_value=1, max_value=10**14, label="Parameters")
    weight_gib = forms.FloatField(
        min_value=0.001,
        max_value=LARGEST_GIB,
        label="Size of its weights",
        help_text="In GiB: all .safetensors files together.",
    )
    config = forms.CharField(
        label="config.json",
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "class": "mono"}),
        max_length=MAX_JSON,
        help_text="As it is published beside the weights. Its size follows from it.",
    )
    data_class = forms.ChoiceField(
        choices=DataClass.choices, help_text="The most sensitive data that it would be given."
    )
    owner_team = OwnerField(
        Team.objects.none(), help_text="Its model owners decide, and look after it.", label="Owner"
    )
    justification = forms.CharField(
        label="Why",
        widget=forms.Textarea(attrs=LONG),
        min_length=10,
        max_length=2000,
        help_text="What it would do that no model in the catalog does.",
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["owner_team"].queryset = owning_teams()  # type: ignore[attr-defined]

    def clean_config(self) -> dict[str, Any]:
        """Return the configuration as JSON."""
        problems: list[str] = []
        found = json_object("config.json", self.cleaned_data["config"].encode(), problems)
        if problems:
            raise forms.ValidationError(problems[0])
        if not found:
            raise forms.ValidationError("It says nothing.")
        return found

    def wish(self) -> Wish:
        """Return what is asked for. The form is valid."""
        values = dict(self.cleaned_data)
        values.pop("owner_team")
        values["weight_bytes"] = round(values.pop("weight_gib") * GIB)
        return Wish(**values)

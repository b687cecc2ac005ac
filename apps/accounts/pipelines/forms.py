"""What a person types when proposing a pipeline's rule. Parsing only; what a rule may say is in
rules.py.
"""

from typing import Any

from django import forms
from django.conf import settings

from apps.accounts.models import Team, User
from apps.accounts.pipelines.rules import ABILITIES, EVENTS, Pusher, TrustRule, subjects_of
from apps.accounts.roles import ENDS_PIPELINES

LINES = {"rows": 3, "spellcheck": "false", "autocapitalize": "off"}
EVENT_WORDS = {
    "push": "A push",
    "release": "A release",
    "workflow_dispatch": "Somebody who starts it by hand",
}
ABILITY_WORDS = {
    "publish": "Publish versions",
    "evaluate": "Start evaluation runs",
    "propose": "Propose versions",
}


class RuleForm(forms.Form):
    """A rule of exact values. Lists are written one to a line."""

    name = forms.SlugField(
        label="Pipeline", help_text="As people will call it: extract-release.", max_length=40
    )
    team = forms.ModelChoiceField(
        label="Team", help_text="Whose models it acts on.", queryset=Team.objects.none()
    )
    repository = forms.CharField(label="Repository", help_text="As owner/name.", max_length=150)
    repository_id = forms.CharField(
        label="Repository's number",
        help_text="The id that GitHub's API gives: gh api repos/OWNER/NAME --jq .id",
        max_length=20,
    )
    owner_id = forms.CharField(
        label="Owner's number",
        help_text="gh api repos/OWNER/NAME --jq .owner.id",
        max_length=20,
    )
    ref = forms.CharField(
        label="Ref",
        help_text="In full: refs/heads/main.",
        max_length=220,
        initial="refs/heads/main",
    )
    environment = forms.CharField(
        label="Environment", help_text="Of the job; empty where it has none.", max_length=100,
        required=False,
    )  # fmt: skip
    workflow = forms.CharField(
        label="Workflow",
        help_text="Its file, as .github/workflows/release.yml, whose jobs stand in it and are not "
        "called from elsewhere; empty for any of the repository.",
        max_length=130,
        required=False,
    )
    subjects = forms.CharField(
        label="Subjects",
        help_text="One a line, exactly as in the token. Empty: both forms that this repository's "
        "tokens can have.",
        max_length=900,
        widget=forms.Textarea(attrs=LINES),
        required=False,
    )
    events = forms.MultipleChoiceField(
        label="Its runs are started by",
        choices=[(one, EVENT_WORDS[one]) for one in EVENTS],
        widget=forms.CheckboxSelectMultiple,
    )
    may = forms.MultipleChoiceField(
        label="It may",
        choices=[(one, ABILITY_WORDS[one]) for one in ABILITIES],
        widget=forms.CheckboxSelectMultiple,
    )
    models = forms.CharField(
        label="Models",
        help_text="One a line, by name.",
        max_length=2000,
        widget=forms.Textarea(attrs=LINES),
    )
    pushers = forms.CharField(
        label="Who pushes",
        help_text="One a line: login at GitHub, number of that account, user name here. Decisions "
        "about what they pushed leave them out.",
        max_length=4000,
        widget=forms.Textarea(attrs=LINES),
    )
    justification = forms.CharField(
        label="Why?",
        help_text="Whoever decides reads this, and it is kept in the record.",
        widget=forms.Textarea(attrs={"rows": 3}),
        min_length=10,
        max_length=2000,
    )

    def __init__(self, *args: Any, person: User, **more: Any) -> None:
        super().__init__(*args, **more)
        teams = Team.objects.order_by("slug")
        if not person.has_role(*ENDS_PIPELINES):
            teams = teams.filter(pk__in=[person.team_id] if person.team_id else [])
        self.fields["team"].queryset = teams  # type: ignore[attr-defined]

    def rule(self) -> TrustRule:
        """Return the rule. Call it after is_valid()."""
        typed = self.cleaned_data
        plain = {
            name: typed[name]
            for name in (
                "repository", "repository_id", "owner_id", "ref", "environment", "workflow",
            )
        }  # fmt: skip
        rule = TrustRule(
            issuer=settings.PIPELINE_ISSUER,
            audience=settings.PIPELINE_AUDIENCE,
            subjects=tuple(typed["subjects"].split()),
            events=tuple(typed["events"]),
            may=tuple(typed["may"]),
            models=tuple(typed["models"].split()),
            pushers=_pushers(typed["pushers"]),
            **plain,
        )
        if rule.subjects:
            return rule
        return TrustRule(**{**vars(rule), "subjects": subjects_of(rule)})

    @staticmethod
    def initial_of(name: str, team: Team, rule: TrustRule) -> dict[str, object]:
        """Return what the form shows for a rule as it is."""
        lines = [f"{one.login} {one.github_id} {one.username}" for one in rule.pushers]
        return vars(rule) | {
            "name": name,
            "team": team,
            "subjects": "\n".join(rule.subjects),
            "models": "\n".join(rule.models),
            "pushers": "\n".join(lines),
        }


def _pushers(text: str) -> tuple[Pusher, ...]:
    """Return the people of the form's lines; what a line lacks, the rule will tell."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    return tuple(Pusher(*[*words, "", "", ""][:3]) for words in lines)

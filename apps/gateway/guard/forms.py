"""What a person types when proposing guard rules. Parsing only; the rules are in rules.py."""

import json

from django import forms

from apps.gateway.guard.rules import BadRules, RuleSet

LONGEST = 60_000


class GuardrailForm(forms.Form):
    """The whole set as JSON, as the API takes it."""

    rules = forms.CharField(
        label="Rules",
        help_text="All of them, as JSON, in the order in which they are asked. The first that "
        "blocks ends the call.",
        widget=forms.Textarea(attrs={"rows": 28, "class": "mono", "spellcheck": "false"}),
        max_length=LONGEST,
    )
    justification = forms.CharField(
        label="Why?",
        help_text="Whoever decides reads this, and it is kept in the record.",
        widget=forms.Textarea(attrs={"rows": 3}),
        min_length=10,
        max_length=2000,
    )

    def clean_rules(self) -> RuleSet:
        """Return the set. Raises ValidationError for what no set says."""
        try:
            return RuleSet.of(json.loads(self.cleaned_data["rules"]))
        except BadRules as error:
            raise forms.ValidationError(str(error)) from None
        except json.JSONDecodeError as error:
            raise forms.ValidationError(
                f"This is not JSON: {error.msg}, line {error.lineno}, column {error.colno}."
            ) from None
        except RecursionError:
            raise forms.ValidationError("This is nested too deeply.") from None


class MarkForm(forms.Form):
    """Whether a find was one."""

    mark = forms.ChoiceField(choices=[("TRUE", "True"), ("FALSE", "False alarm")])

"""What a person types when proposing what is kept. Parsing only; the rules are in rules.py."""

from django import forms

from apps.prompts.rules.rules import LEAST_DAYS, MODE_WORDS, MOST_DAYS, BadRules, Mode, Rules

MODES = [(mode.value, words) for mode, words in MODE_WORDS.items()]


class RetentionForm(forms.Form):
    """Whether, how long, and which models differ."""

    mode = forms.ChoiceField(label="Prompts and answers", choices=MODES)
    kept_days = forms.IntegerField(
        label="Kept for (days)", min_value=LEAST_DAYS, max_value=MOST_DAYS,
        help_text="For calls from then on. What is kept already keeps its end.",
    )  # fmt: skip
    models = forms.CharField(
        label="Models that differ",
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        max_length=10_000,
        help_text="One a line: the model’s name, then REQUIRED (kept before the call goes on), "
        "BEST_EFFORT (kept where it can be) or OFF.",
    )
    justification = forms.CharField(
        label="Why?",
        help_text="Whoever decides reads this, and it is kept in the record.",
        widget=forms.Textarea(attrs={"rows": 3}),
        min_length=10,
        max_length=2000,
    )

    def clean_models(self) -> dict[str, str]:
        """Return name → mode."""
        found: dict[str, str] = {}
        for line in self.cleaned_data["models"].splitlines():
            if not line.strip():
                continue
            name, _, mode = line.strip().partition(" ")
            if mode.strip() not in tuple(Mode) or name in found:
                raise forms.ValidationError(
                    "Write each model once: its name, a blank, and REQUIRED, BEST_EFFORT or OFF."
                )
            found[name] = mode.strip()
        return found

    def rules(self) -> Rules | None:
        """Return the rules; None, with the error on the form, where no retention says that. Call it
        after is_valid().
        """
        values = self.cleaned_data
        try:
            return Rules(values["mode"], values["kept_days"], values["models"])
        except BadRules as error:
            self.add_error(None, str(error))
            return None

    @staticmethod
    def initial_of(rules: Rules) -> dict[str, object]:
        """Return what the form shows for rules as they are."""
        models = "\n".join(f"{name} {mode}" for name, mode in sorted(rules.models.items()))
        return {"mode": rules.mode, "kept_days": rules.kept_days, "models": models}

"""Forms of the catalog."""

from typing import TYPE_CHECKING, Any

from django import forms

from apps.catalog.models import DataClass, RegisteredModel

HELP = {
    "name": "What callers write as the model: lower-case letters, digits, dashes; at most 36. It "
    "never changes.",
    "description": "What it is for, in one or two sentences.",
    "parameter_count": "All weights, for example 135000000.",
    "context_length": "In tokens: prompt and answer together.",
    "data_class": "The most sensitive data that the model may be given.",
}


if TYPE_CHECKING:
    ModelForm = forms.ModelForm[RegisteredModel]
else:
    ModelForm = forms.ModelForm


class RegisterModelForm(ModelForm):
    """What a model owner says about a new model."""

    data_class = forms.ChoiceField(choices=DataClass.choices, help_text=HELP["data_class"])

    class Meta:
        model = RegisteredModel
        fields = (
            "name", "title", "description", "task", "family", "parameter_count", "context_length",
            "license",
            "data_class", "intended_use", "forbidden_use",
        )  # fmt: skip
        help_texts = HELP
        widgets = {
            name: forms.Textarea(attrs={"rows": 3})
            for name in ("description", "intended_use", "forbidden_use")
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["parameter_count"].widget.attrs["min"] = 1
        self.fields["context_length"].widget.attrs["min"] = 1

    def validate_unique(self) -> None:
        """Leave the name to the action, which says it better."""

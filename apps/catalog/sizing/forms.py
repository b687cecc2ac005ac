"""What people ask of sizing: the load, and the goals that it has to keep to."""

from typing import Any

from django import forms

from apps.catalog.sizing.fits import Load

LONGEST_CONTEXT = 10_000_000
MOST_CALLERS = 100_000
FIRST = {"context": 2200, "answer": 200, "callers": 8, "ttft_ms": 1000, "itl_ms": 50}


class LoadForm(forms.Form):
    """A load: one request's tokens, how many come, and how long an answer may take."""

    context = forms.IntegerField(
        label="Context",
        min_value=2,
        max_value=LONGEST_CONTEXT,
        help_text="Tokens of one request, prompt and answer together.",
    )
    answer = forms.IntegerField(
        label="Of it the answer", min_value=1, max_value=LONGEST_CONTEXT, help_text="In tokens."
    )
    callers = forms.IntegerField(
        label="Callers at once",
        min_value=1,
        max_value=MOST_CALLERS,
        required=False,
        help_text="Each asks again when it has its answer.",
    )
    rate = forms.FloatField(
        label="Or requests a second",
        min_value=0.001,
        max_value=100_000,
        required=False,
        help_text="Whenever they come.",
    )
    ttft_ms = forms.FloatField(
        label="First token within",
        min_value=1,
        max_value=3_600_000,
        required=False,
        help_text="Milliseconds, for 95 of 100 requests.",
    )
    itl_ms = forms.FloatField(
        label="Each further token within",
        min_value=0.1,
        max_value=60_000,
        required=False,
        help_text="Milliseconds, on average.",
    )

    def clean(self) -> dict[str, Any]:
        """Refuse an answer longer than the request, and a load that is none or two."""
        values = super().clean() or {}
        context, answer = values.get("context"), values.get("answer")
        if context and answer and answer >= context:
            self.add_error("answer", "The answer is part of the context: leave room for a prompt.")
        both = [values.get("callers"), values.get("rate")]
        if all(both) and not self.errors:
            self.add_error(
                "rate", "Say how many callers there are, or how many requests: not both."
            )
        if not any(both) and not self.errors:
            self.add_error("callers", "Say how many callers there are, or how many requests.")
        return values

    def load(self) -> Load:
        """Return the load. The form is valid."""
        values = self.cleaned_data
        return Load(
            prompt=values["context"] - values["answer"],
            answer=values["answer"],
            callers=values["callers"],
            rate=values["rate"],
            ttft_ms=values["ttft_ms"],
            itl_ms=values["itl_ms"],
        )


def asked(query: Any, longest: int | None) -> LoadForm:
    """Return the form of an address; where the address says nothing, a load that is usual, within
    what the model takes. longest: its context, None where it is not known.
    """
    if any(name in query for name in LoadForm.base_fields):
        return LoadForm(query)
    first = dict(FIRST)
    if longest and longest < first["context"]:
        first |= {"context": longest, "answer": max(1, longest // 10)}
    return LoadForm(first)

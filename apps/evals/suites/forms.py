"""The form that asks for a suite, or for the next revision of one."""

from typing import Any

from django import forms

from apps.evals.suites.documents import BadDocument
from apps.evals.suites.uploads import MOST_BYTES, MOST_PACKETS, Upload, read_upload

DECLARED = "No packet holds data of a member: every name, number and date in them is made up."


class SuiteForm(forms.Form):
    """A document, as a file or typed. After is_valid, `upload` is what it holds."""

    file = forms.FileField(
        label="File",
        required=False,
        help_text=f"JSON, or JSON Lines with the suite first and then one packet a line; up to "
        f"{MOST_BYTES // 1024**2} MB and {MOST_PACKETS:,} packets.",
    )
    document = forms.CharField(
        label="Or write it here",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 18, "class": "mono", "spellcheck": "false"}),
    )
    justification = forms.CharField(
        label="Why",
        min_length=10,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="The reviewer who decides reads it.",
    )
    declared = forms.BooleanField(label=DECLARED)

    upload: Upload

    def clean(self) -> dict[str, Any]:
        """Read the document; each of its problems is an error of the field it came from."""
        found = super().clean() or {}
        file, typed = found.get("file"), found.get("document", "")
        if not file and not typed.strip():
            self.add_error("file", "Choose a file, or write the suite below.")
            return found
        if file and file.size > MOST_BYTES:
            self.add_error("file", f"A suite may have {MOST_BYTES // 1024**2} MB at most.")
            return found
        try:
            self.upload = read_upload(file.read() if file else typed.encode(errors="replace"))
        except BadDocument as error:
            for problem in error.problems:
                self.add_error("file" if file else "document", str(problem))
        return found

"""Which values stood in a prompt, in whatever way they are written."""

import time

import pytest

from apps.gateway.guard.leaks import Known


class TestKnown:
    @pytest.mark.parametrize(
        ("prompt", "value"),
        [
            ("id 1EG4-TE5-MK73.", "1eg4te5mk73"),
            ("ID: \uff11EG4 TE5\u200bMK73", "1EG4-TE5-MK73"),
            ("phone 312-555-0134", "+1 312 555 0134"),
            ("phone 1-312-555-0134", "(312) 555-0134"),
            ("on 2 January 1960", "1960-01-02"),
            ("2nd of January, 1960", "1/2/60"),
            ("13.02.1960", "02/13/1960"),
            ("write to A.B@Example.org!", "a.b@example.org"),
            ("4111 1111 1111 1111", "4111-1111-1111-1111"),
            ("born 01/02/1960", "19600102"),
            ("DMG*D8*19600102*F", "January 2, 1960"),
            ("dob 01021960", "1960-01-02"),
            (r"{\"ssn\": \"a\n412-55-1098\"}", "412-55-1098"),
            ("412-55-1098", "412<b>-55-</b>1098"),
        ],
    )
    def test_has_what_stood_there(self, prompt, value):
        assert Known(["nothing", prompt]).has(value)

    @pytest.mark.parametrize(
        ("prompt", "value"),
        [
            ("", "412-55-1098"),
            ("412-55-1099", "412-55-1098"),
            ("1412-55-1098", "412-55-1098"),
            ("on 2 January 1960", "1961-01-02"),
            ("write to b@example.org", "a.b@example.org"),
            ("99/99/1960", "1960-09-09"),
        ],
    )
    def test_has_nothing_else(self, prompt, value):
        assert not Known([prompt]).has(value)

    def test_keeps_no_value(self):
        known = Known(["SSN 412-55-1098"])
        assert "412551098" not in repr(vars(known))
        assert Known(["SSN 412-55-1098"])._hashes != known._hashes

    def test_reads_a_long_prompt_in_little_time(self):
        prompt = (
            "Claim CLM-2026-0417 of 04/17/2026 for 12 units at 118.20 dollars; see page 4. " * 1_600
        )
        began = time.monotonic()
        assert Known([prompt]).has("clm20260417")
        assert time.monotonic() - began < 3

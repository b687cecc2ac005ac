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
            ("no. 41 25 51 09 81 12 of them", "412551098112"),  # six parts
            ("412" + "-" * 20 + "551098", "412-551098"),
            ("id abc 1def", "ABC-1DEF"),
            ("a1" * 512, "A1" * 512),
            ("pin a123", "a123"),
            ("13125550134", "312-555-0134"),
            ("on 12/31/1999", "31 December 1999"),
            ("on 1/1/01", "January 1st, 2001"),
            ("Dec. 31st, 1999", "19991231"),
            ("3rd of Sept 1984", "09/03/84"),
            ("12311999", "1999-12-31"),
            ("1984-09-03", "3/9/1984"),
            ("mail a.b@example.org.Then we wrote", "a.b@example.org"),
            ("mail a_b+c@mail.example.org", "A_B+C@mail.example.org"),
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
            ("no. 41 25 51 09 81 12 34 of them", "41255109811234"),  # seven parts
            ("412" + "-" * 21 + "551098", "412-551098"),
            ("a1" * 512 + "b", "A1" * 512 + "b"),
            ("pin a12", "a12"),
            ("a word without digits", "without"),
            ("23125550134", "312-555-0134"),
            ("113125550134", "13125550134"),
            ("on 13/13/1999", "1999-01-13"),
            ("on 12/32/1999", "1999-12-03"),
            ("on 0/1/1999", "1999-01-01"),
            ("on 1/0/1999", "1999-01-01"),
            ("on 31/11/199", "1999-11-31"),
            ("31121999", "1999-12-31"),
            ("19991331", "1999-12-31"),
            ("1999 January 2", "1999-01-02"),
            ("January 2 February", "1999-01-02"),
            ("1984-09-03", "9/4/1984"),
            ("2 Jan 1999 2 Mar", "1999-02-03"),
            ("mail a.b@example.org", "a.b@example.com"),
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

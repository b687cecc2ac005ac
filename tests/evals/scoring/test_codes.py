"""Codes out of free text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.evals.scoring.codes import mentions, normalized, parse_codes, system_of

codes = st.lists(
    st.sampled_from(["E11.9", "I10", "99213", "J1745", "M17.11", "27447"]), unique=True, max_size=5
)


class TestParseCodes:
    @pytest.mark.parametrize(
        ("answer", "found"),
        [
            (
                '{"diagnosis_codes": ["E11.9", "I10"], "procedure_codes": ["E2103"]}',
                ("E11.9", "I10", "E2103"),
            ),
            ('{"diagnosis_codes": ["E11.9", "E11.9"', ("E11.9",)),
            ("The codes are e11.9, 27447 and j1745.", ("E11.9", "27447", "J1745")),
            ("E119 and M1711", ("E11.9", "M1711")),
            ("M54.50", ("M54.50",)),
            ("C50.912, O24.410", ("C50.912", "O24.410")),
            ('{"diagnosis_codes": ["', ()),
            ("", ()),
            ("On 2026-08-14, SYN-204417, call 555-0142, NPI 1999999984", ()),
            ("U07.1", ()),
        ],
    )
    def test_reads_leniently(self, answer, found):
        assert parse_codes(answer) == found

    @given(st.text())
    def test_never_breaks_and_finds_each_code_once(self, answer):
        found = parse_codes(answer)
        assert len(set(found)) == len(found)
        assert all(normalized(code) == code for code in found)

    @given(codes)
    def test_finds_every_code_of_a_right_answer(self, expected):
        assert parse_codes(f"Codes: {', '.join(expected)}.") == tuple(expected)


class TestNormalized:
    @pytest.mark.parametrize(
        ("code", "same"),
        [
            (" e119 ", "E11.9"), ("I10", "I10"), ("e2103", "E2103"), ("J1745", "J1745"),
            ("99213", "99213"), ("M17.11", "M17.11"), ("A12345", "A12.345"), ("9921", ""),
            ("E1", ""), ("W1234", "W12.34"), ("E11.", ""), ("", ""),
        ],
    )  # fmt: skip
    def test_is_the_code_as_it_is_compared(self, code, same):
        assert normalized(code) == same

    @given(st.text(max_size=8))
    def test_is_stable(self, code):
        assert normalized(normalized(code)) == normalized(code)


def test_mentions_say_where_each_code_stands():
    text = "Dx e119; asks for 27447."
    found = list(mentions(text))
    assert [code for code, _, _ in found] == ["E11.9", "27447"]
    assert [text[start:end] for _, start, end in found] == ["e119", "27447"]


def test_each_code_has_its_system():
    systems = [system_of(code) for code in ("E11.9", "27447", "J1745", "I10")]
    assert systems == ["ICD-10-CM", "CPT", "HCPCS", "ICD-10-CM"]

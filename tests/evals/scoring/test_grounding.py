"""Whether a packet supports what an answer says: cases with known answers, written by hand."""

import pytest

from apps.evals.packets.packet import Distractor, GoldCode, Packet, Section, Span
from apps.evals.scoring.grounding import read_clauses, section_of, supported, supports_code

NOTE = """Re: Nessa Tolvane, SYN-300100.
The member has type 2 diabetes (E11.9) with an HbA1c of 8.4 %.
Hypertension was ruled out by home measurements.
Denies chest pain and shortness of breath.
Metformin 1000 mg twice a day since March; insulin was never given.
Physical therapy lasted 9 weeks, but the pain did not improve.
We ask for a continuous glucose monitor (E2103).
"""


class TestSupported:
    @pytest.mark.parametrize(
        "statement",
        [
            "The member has type 2 diabetes.",
            "Type 2 diabetes (E11.9).",
            "HbA1c is 8.4%.",
            "The HbA1c was 8.4 % in a member with diabetes.",
            "Hypertension was ruled out.",
            "No chest pain and no shortness of breath.",
            "Metformin 1000 mg is taken twice a day.",
            "Insulin was never given.",
            "Physical therapy lasted 9 weeks.",
            "Pain did not improve.",
            "A continuous glucose monitor (E2103) is requested.",
        ],
    )
    def test_by_what_stands_there(self, statement):
        assert supported(statement, read_clauses(NOTE))

    @pytest.mark.parametrize(
        "statement",
        [
            "The member has hypertension.",  # denied there
            "The member has chest pain.",
            "Insulin was given.",
            "Hypertension was not ruled out by home measurements, and diabetes was.",
            "The HbA1c is 7.4 %.",  # another number
            "Metformin 500 mg twice a day.",
            "Physical therapy lasted 12 weeks.",
            "Type 1 diabetes.",
            "Type 2 diabetes (E11.65).",  # another code
            "The member has no diabetes.",
            "The pain improved after physical therapy.",
            "The member lives alone.",  # nowhere
            "An insulin pump is requested for the member with diabetes.",
            "",
            "She has it.",  # no words of meaning
        ],
    )
    def test_not_by_what_does_not_or_says_otherwise(self, statement):
        assert not supported(statement, read_clauses(NOTE))

    def test_not_by_words_that_are_far_apart(self):
        far = "Severe asthma.\n" + "The weather was fine.\n" * 3 + "Yearly exacerbations."
        assert not supported("Severe asthma with yearly exacerbations.", read_clauses(far))
        near = "Severe asthma.\nYearly exacerbations."
        assert supported("Severe asthma with yearly exacerbations.", read_clauses(near))

    def test_not_by_an_empty_text(self):
        assert not supported("Anything at all.", read_clauses(""))


def packet(text, **known):
    return Packet("p", text, sections=(Section("all", 0, len(text)),), **known)


class TestSupportsCode:
    @pytest.mark.parametrize(
        ("text", "is_supported"),
        [
            ("Diabetes (E11.9).", True),
            ("dx: e119", True),
            ("Osteoarthritis (E11.9) that did not improve with therapy.", True),
            ("MRI without contrast (E11.9).", True),
            ("Diabetes (E11.9) was ruled out.", False),
            ("Ruled out: diabetes (E11.9).", False),
            ("No evidence of diabetes (E11.9).", False),
            ("Family history of diabetes (E11.9).", False),
            ("Mother with diabetes (E11.9).", False),
            ("The pump (E11.9) was considered and is not requested.", False),
            ("No evidence of asthma; diabetes (E11.9).", True),
            ("Diabetes (E11.9) was ruled out in May.\nIn June diabetes (E11.9) was found.", True),
            ("Diabetes.", False),
            ("", False),
        ],
    )
    def test_by_its_mentions_and_what_denies_them(self, text, is_supported):
        assert supports_code(packet(text), "E11.9") is is_supported

    def test_by_words_that_are_its_evidence(self):
        gold = GoldCode("E11.9", "ICD-10-CM", "all", (Span(0, 8),))
        assert supports_code(packet("Diabetes.", codes=(gold,)), "E11.9")
        unmarked = GoldCode("E11.9", "ICD-10-CM", "all")
        assert not supports_code(packet("Diabetes.", codes=(unmarked,)), "E11.9")

    def test_not_by_a_place_that_is_known_to_mislead(self):
        text = "Job 28125 of 28125."
        away = Distractor("28125", "not a code", (Span(4, 9),))
        assert supports_code(packet(text, distractors=(away,)), "28125")
        both = Distractor("28125", "not a code", (Span(4, 9), Span(13, 18)))
        assert not supports_code(packet(text, distractors=(both,)), "28125")


def test_a_code_belongs_to_the_section_of_the_right_answer_or_of_its_first_mention():
    text = "Family: I10. Plan: 27447."
    parts = (Section("family", 0, 13), Section("plan", 13, len(text)))
    gold = GoldCode("E11.9", "ICD-10-CM", "plan", (Span(13, 17),))
    found = Packet("p", text, sections=parts, codes=(gold,))
    assert [section_of(found, code) for code in ("E11.9", "I10", "27447", "J1745")] == [
        "plan", "family", "plan", "",
    ]  # fmt: skip

import pytest

from deploy.local.engine.stand_in.answers import LABEL, answer, packet_of
from deploy.local.engine.stand_in.reading import codes_in

ASK = "Extract the diagnosis and procedure codes as JSON."


class TestCodesIn:
    @pytest.mark.parametrize(
        ("text", "diagnoses", "procedures"),
        [
            ("Dx E11.9 and M54.50; also I10.", ["E11.9", "M54.50", "I10"], []),
            ("asthma (J45.909), requests 94010", ["J45.909"], ["94010"]),
            ("J1745 infusion for M06.9", ["M06.9"], ["J1745"]),
            ("vaccine 0001A is not one, 3044F is", [], ["3044F"]),
            ("E11.9, E11.9 and 99213, 99213", ["E11.9"], ["99213"]),
            ("Seattle, WA 98101. ZIP: 60601-1234", [], []),
            ("Member ID 48213, MRN: 55555, claim #77777, fax 555-12345", [], []),
            ("costs $12345 or 12,345.00 or 12345.67", [], []),
            ("S72.001A fracture, T36.0X5A effect", ["S72.001A", "T36.0X5A"], []),
            ("PT 97110 twice a week", [], ["97110"]),
            ("room B12 and vitamin B12 deficiency D51.9", ["B12", "D51.9"], []),
        ],
    )
    def test_finds_codes_by_their_shape(
        self, text: str, diagnoses: list[str], procedures: list[str]
    ) -> None:
        assert codes_in(text) == {"diagnosis_codes": diagnoses, "procedure_codes": procedures}


class TestPacketOf:
    @pytest.mark.parametrize(
        ("text", "packet"),
        [
            ("Do it. <packet>one</packet> thanks", "one"),
            ("Packet: a\nAnswer: x\n\nPacket:\nb E11.9\nAnswer:", "b E11.9"),
            ("Read.\nDocument:\nb", "b"),
            ("just text", "just text"),
            ("Packet (fax, 3 pages):\nb\nJSON:", "b"),
        ],
    )
    def test_leaves_instructions_and_examples_out(self, text: str, packet: str) -> None:
        assert packet_of(text) == packet


class TestAnswer:
    def test_gives_the_codes_of_the_last_packet_only(self) -> None:
        turns = [
            ("system", ASK),
            ("user", "Packet: I10"),
            ("assistant", "{}"),
            ("user", "Packet: E11.9 and 99213"),
        ]
        assert answer(turns) == '{"diagnosis_codes": ["E11.9"], "procedure_codes": ["99213"]}'

    def test_does_not_read_codes_in_the_instructions(self) -> None:
        assert (
            answer([("user", f"{ASK} For example Z00.00.\nPacket:\nM54.50")]).count("Z00.00") == 0
        )

    def test_reads_the_whole_message_where_no_packet_is_marked(self) -> None:
        assert "E11.9" in answer([("user", f"{ASK} The patient has E11.9.")])

    def test_says_that_no_model_is_loaded(self) -> None:
        assert answer([("user", "How are you?")]) == LABEL + "How are you?"

    def test_does_not_take_a_mention_of_a_diagnosis_for_a_request(self) -> None:
        assert (
            answer([("user", "Summarize.\nPacket:\nDiagnosis E11.9.")])
            == LABEL + "Diagnosis E11.9."
        )

    def test_shortens_a_long_text_at_a_sentence(self) -> None:
        text = "This sentence has exactly six words. " * 20
        assert answer([("user", text)]).endswith("six words.")

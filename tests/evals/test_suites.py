"""The suite that ships: fair, synthetic, complete."""

from apps.evals.scoring.codes import normalized, parse_codes
from apps.evals.scoring.grounding import supports_code
from apps.evals.suites import shipped
from apps.evals.suites.questions import Question


class TestPriorAuthorization:
    def test_has_enough_packets_with_ids_of_their_own(self):
        packets = shipped.load().packets
        assert len(packets) >= 24
        assert len({packet.id for packet in packets}) == len(packets)

    def test_every_gold_code_stands_in_its_packet(self):
        for packet in shipped.load().packets:
            systems = {gold.system for gold in packet.codes}
            assert "ICD-10-CM" in systems and len(systems) > 1, packet.id
            assert all(supports_code(packet, code) for code in packet.gold), packet.id
            assert all(normalized(code) == code for code in packet.gold), packet.id

    def test_a_few_packets_hold_a_code_that_is_not_gold(self):
        extra = [p.id for p in shipped.load().packets if set(parse_codes(p.text)) - set(p.gold)]
        assert 1 <= len(extra) <= 5

    def test_its_people_are_made_up(self):
        for packet in shipped.load().packets:
            assert "member ID" not in packet.text or "member ID SYN-" in packet.text

    def test_its_examples_are_no_packets_of_it(self):
        suite = shipped.load()
        texts = {packet.text for packet in suite.packets}
        assert not texts & {example["packet"] for example in suite.question["examples"]}

    def test_asks_with_two_worked_examples_and_without_the_gold_answer(self):
        suite = shipped.load()
        packet = suite.packets[3]
        turns = Question.of_json(suite.question).turns(packet)
        assert [turn["role"] for turn in turns] == [
            "system",
            "user",
            "assistant",
            "user",
            "assistant",
            "user",
        ]
        assert turns[-1]["content"].startswith(f"Packet:\n{packet.text}")
        assert "diagnosis_codes" in turns[2]["content"]

    def test_a_changed_suite_needs_a_new_revision(self):
        # When this fails because the file changed: raise its revision, then write its digest here.
        suite = shipped.load()
        assert (suite.revision, suite.digest) == (
            1,
            "sha256:5c481de1cb890d7b20ff1a82f4f4f1e28b70b457befc12a944e376319be3a8e1",
        )

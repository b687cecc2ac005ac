"""The packets of the suites that ship: made up, of many kinds, and the same each time."""

import re
import time
from collections import Counter

import pytest

from apps.evals.packets import program
from apps.evals.packets.people import FIRST, LAST
from apps.evals.scoring.codes import normalized, parse_codes, system_of
from apps.evals.scoring.grounding import supports_code
from apps.evals.suites import shipped

SEED = shipped.load("prior_auth_extraction").seed


@pytest.fixture(scope="module")
def packets():
    return shipped.load("prior_auth_extraction").packets


class TestPackets:
    def test_are_two_hundred_of_one_to_forty_pages(self, packets):
        assert len(packets) == len({packet.id for packet in packets}) == 208
        assert len({packet.text for packet in packets}) == 208
        pages = Counter(packet.pages for packet in packets)
        assert (min(pages), max(pages)) == (1, 40)
        assert sum(count for number, count in pages.items() if number >= 20) >= 20

    def test_of_a_cpu_are_short_and_of_many_kinds(self, packets):
        few = list(packets[:24])
        assert shipped.subset_of(packets) == {packet.id for packet in few}
        assert max(packet.pages for packet in few) == 2
        assert any(packet.planted for packet in few) and any(packet.refuse for packet in few)
        assert all(code in packet.text for packet in few for code in packet.gold)

    def test_are_the_same_alone_and_together_and_others_with_another_seed(self, packets):
        assert program.packet(SEED, 150) == packets[149]
        assert program.packet("another", 150) != packets[149]

    def test_are_made_quickly(self):
        begun = time.process_time()
        program.packets(SEED)
        assert time.process_time() - begun < 2

    def test_come_in_several_styles_with_all_that_makes_them_hard(self, packets):
        assert len({packet.style for packet in packets}) == 6
        assert {packet.refuse for packet in packets} == {
            "", program.TWO_MEMBERS, program.UNREADABLE, program.NO_REQUEST,
        }  # fmt: skip
        assert sum(bool(packet.refuse) for packet in packets) >= 12
        assert sum(packet.planted is not None for packet in packets) >= 15
        findings = Counter(each.finding for packet in packets for each in packet.criteria)
        assert min(findings["met"], findings["not met"], findings["unknown"]) >= 50
        whys = Counter(each.why for packet in packets for each in packet.distractors)
        assert set(whys) == {
            "ruled out", "not requested", "in the family", "no evidence of it", "not a code",
        }  # fmt: skip
        assert {gold.system for packet in packets for gold in packet.codes} == {
            "ICD-10-CM", "CPT", "HCPCS",
        }  # fmt: skip

    def test_state_some_codes_in_words_alone(self, packets):
        unspoken = [code for packet in packets for code in packet.gold if code not in packet.text]
        assert len(unspoken) >= 40

    def test_have_their_gold_where_the_spans_say(self, packets):
        for packet in packets:
            for gold in packet.codes:
                assert normalized(gold.code) == gold.code
                assert system_of(gold.code) == gold.system
                said = [packet.words(span) for span in gold.spans]
                assert said and all(gold.code in words or "(" not in words for words in said)
                assert packet.section_at(gold.spans[0].start) == gold.section != ""
                assert supports_code(packet, gold.code)
            for away in packet.distractors:
                assert all(away.code in packet.words(span) for span in away.spans)
                assert away.code not in packet.gold
                assert not supports_code(packet, away.code), (packet.id, away)

    def test_name_no_other_codes(self, packets):
        for packet in packets:
            if packet.refuse:
                continue
            known = {*packet.gold, *(away.code for away in packet.distractors)}
            planted = set(packet.planted.betrays) if packet.planted else set()
            assert set(parse_codes(packet.text)) <= known | planted, packet.id

    def test_support_their_claims_and_criteria(self, packets):
        for packet in packets:
            assert all(claim.spans for claim in packet.claims)
            for each in packet.criteria:
                assert bool(each.spans) == (each.finding != "unknown")
            if packet.planted:
                assert packet.words(packet.planted.span) in {text for text, _ in program.PLANTS}

    def test_ask_for_nothing_of_those_that_must_be_refused(self, packets):
        refused = [packet for packet in packets if packet.refuse]
        assert not any(packet.gold or packet.claims or packet.criteria for packet in refused)
        two = [packet for packet in refused if packet.refuse == program.TWO_MEMBERS]
        assert all(len(set(re.findall(r"SYN-\d{6}", packet.text))) == 2 for packet in two)

    def test_tell_of_nobody(self, packets):
        names = re.compile(rf"\b(?:{'|'.join(FIRST)}) (?:{'|'.join(LAST)})\b")
        for packet in packets:
            ids = re.findall(r"\bID:? (\S+)", packet.text)
            assert all(found.startswith("SYN-") for found in ids)
            assert len(set(names.findall(packet.text))) <= 4

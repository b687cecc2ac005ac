"""A team's own suite: what is taken, and every refusal with its line."""

import json
import time

import pytest

from apps.evals.packets.packet import Section, Span
from apps.evals.scoring.packets import score
from apps.evals.scoring.scores import Timing
from apps.evals.suites import member_data, shipped, uploads
from apps.evals.suites.documents import BadDocument
from apps.evals.suites.uploads import read_upload
from tests.evals.suites.samples import QUESTION, TEXT, document, lines, packet, suite


def problems(content: bytes) -> list[str]:
    with pytest.raises(BadDocument) as refused:
        read_upload(content)
    return [str(problem) for problem in refused.value.problems]


class TestReadUpload:
    def test_takes_a_suite_and_looks_up_its_evidence(self):
        found = read_upload(document(rule={"not_worse_by": {"f1": 0.1}}, about="Ours."))
        (only,) = found.packets
        assert (found.slug, found.judges, found.about) == ("claims-codes", ("extract",), "Ours.")
        assert (found.thresholds, found.question) == ({"f1": {"minimum": 0.7}}, QUESTION)
        assert (only.gold, only.pages) == (("E11.9", "M10.9", "E2103"), 1)
        assert [only.words(gold.spans[0]) for gold in only.codes] == [
            "type 2 diabetes", "M10.9", "E2103",
        ]  # fmt: skip
        assert [gold.section for gold in only.codes] == ["history", "history", "plan"]
        plan = TEXT.index("P:")
        assert only.sections == (Section("history", 0, plan), Section("plan", plan, len(TEXT)))
        assert only.claims[0].spans == (Span(TEXT.index("gout"), TEXT.index("gout") + 12),)

    def test_takes_json_lines_the_same(self):
        whole = read_upload(document(packets=[packet(), packet(id="p-2")]))
        assert read_upload(lines(packet(), packet(id="p-2"))) == whole
        assert read_upload(b"\xef\xbb\xbf" + lines(packet()) + b"\n\n").packets == whole.packets[:1]

    def test_takes_one_line_that_ends_as_lines_do(self):
        whole = json.dumps(suite()).encode()
        assert read_upload(whole + b"\n") == read_upload(whole)

    def test_gives_packets_that_can_be_scored(self):
        (only,) = read_upload(document()).packets
        answer = json.dumps({"diagnosis_codes": ["E11.9"], "procedure_codes": ["99213"]})
        found = score(only, answer, Timing())
        assert (found.hits, found.grounded, len(found.expected)) == (1, 1, 3)

    def test_takes_the_packets_of_another_suite(self):
        found = suite(packets_of="prior-auth-extraction")
        del found["packets"], found["question"]
        taken = read_upload(json.dumps(found).encode())
        assert (taken.packets, taken.packets_of) == ((), "prior-auth-extraction")
        assert (taken.question, taken.rule) == (None, None)


class TestRefuses:
    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"", "Line 1: Expecting value."),
            (b"{\n'a': 1}", "Line 2: Expecting property name enclosed in double quotes."),
            (b"[]", "Line 1: a suite is a JSON object."),
            (b'{"a": NaN}', "Line 1: NaN is no number."),
            (
                b'{"slug": "a",\n"x": {"b": 1,\n"b": 2}}',
                "Line 2: a name stands twice in one object.",
            ),
            (b'{"slug":\n "\xff"}', "Line 2: this is no UTF-8."),
            (b"[" * 100_000, "Line 1: this is nested too deeply."),
            (b'{"a": ' + b"9" * 5000 + b"}", "Line 1: a number is too long."),
            (b'{"packets": {}}', "Line 1: packets is a list."),
            (b"x" * (uploads.MOST_BYTES + 1), "Line 1: a suite may have 16 MB at most."),
        ],
        ids=range(10),
    )
    def test_what_is_no_document(self, content, words):
        assert problems(content) == [words]

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"slug": "A b"}, "slug has lower-case letters"),
            ({"title": ""}, "title is a text of 1 to 120"),
            ({"about": 7}, "about is a text"),
            ({"judges": "extract"}, "judges is a list of names"),
            ({"judges": ["*"]}, "judges is a list of names"),
            ({"thresholds": {}}, "at least one figure"),
            ({"thresholds": []}, "thresholds names figures"),
            ({"thresholds": {"speed": {"minimum": 1}}}, "no figure"),
            ({"thresholds": {"f1": {"minimum": 1, "maximum": 2}}}, "a minimum or a maximum"),
            ({"thresholds": {"f1": {"minimum": True}}}, "a minimum or a maximum"),
            ({"thresholds": {"f1": {"minimum": -1}}}, "a minimum or a maximum"),
            ({"rule": {"not_worse_by": {"f1": 7}}}, "rule: The margin of f1"),
            ({"question": QUESTION | {"form": "poem"}}, "question: A question's form"),
            ({"question": QUESTION | {"ask": "no place"}}, "holds {packet} once"),
            ({"question": QUESTION | {"max_tokens": 10**6}}, "max_tokens"),
            ({"packets_of": "other"}, "has packets of its own, or packets_of"),
            ({"packets": []}, "has packets of its own, or packets_of"),
            ({"surprise": 1}, "and no others"),
        ],
    )
    def test_a_header_that_says_something_else(self, change, words):
        found = problems(document(**change))
        assert any(words in each and each.startswith("Line 1: ") for each in found), found

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"id": "P 1"}, "id has lower-case letters"),
            ({"id": 7}, "id has lower-case letters"),
            ({"text": " "}, "text has 1 to 200,000 characters"),
            ({"text": "x" * 200_001}, "text has 1 to 200,000 characters"),
            ({"codes": ["nonsense"]}, "no ICD-10-CM, CPT or HCPCS code"),
            ({"codes": [{"code": "I10", "evidence": "not there"}]}, "does not stand in"),
            ({"codes": [{"code": "I10", "evidence": 3}]}, "evidence is a quote"),
            (
                {"text": TEXT + "gout " * 100, "codes": [{"code": "M10.9", "evidence": "gout"}]},
                "more than 100 times",
            ),
            ({"text": TEXT + "M10.9 " * 99, "codes": ["M10.9"] * 11}, "1,000 places at most"),
            ({"codes": {"code": "I10"}}, "codes is a list"),
            ({"codes": [["I10"]]}, "a code has the fields code, evidence"),
            ({"claims": [{"text": ""}]}, "a claim has a text"),
            ({"criteria": [{"id": "C1", "text": "x", "finding": "maybe"}]}, "finding is one of"),
            ({"criteria": [{"id": "C 1", "text": "x", "finding": "met"}]}, "criterion's id"),
            ({"sections": [{"name": "plan", "begins": "nowhere"}]}, "do not stand after"),
            ({"sections": [{"name": "Plan", "begins": "P:"}]}, "a section's name"),
            ({"planted": {"text": "not there", "betrays": ["x"]}}, "planted quotes"),
            ({"planted": {"text": "gout", "betrays": []}}, "betrays lists"),
            ({"pages": 0}, "pages is a number"),
            ({"refuse": 1}, "refuse is a text"),
            ({"grade": 1}, "and no others"),
        ],
    )
    def test_a_packet_with_its_line(self, change, words):
        (found,) = problems(lines(packet(id="p-0"), packet() | change))
        assert found.startswith("Line 3: packet 2: ")
        assert words in found

    def test_what_is_no_packet_and_an_id_that_stands_twice(self):
        assert problems(lines([], packet(), 7)) == [
            "Line 2: a packet is an object.",
            "Line 4: a packet is an object.",
        ]
        assert problems(lines(packet(), packet())) == [
            "Line 3: packet 2: its id stands in line 2 already.",
        ]

    def test_each_broken_line_of_json_lines(self):
        content = lines(packet()) + b'\n{"id":\n{"id": "p-9"} x'
        assert problems(content) == [
            "Line 3: Expecting value.", "Line 4: Extra data.",
        ]  # fmt: skip

    def test_a_line_of_a_whole_file_too(self):
        content = document(packets=[packet(), packet(id="p-2", codes=["?"])])
        (found,) = problems(content)
        line = int(found.split()[1].rstrip(":"))
        assert content.decode().splitlines()[line - 1].strip() == "{"
        assert '"p-2"' in content.decode().splitlines()[line]

    def test_too_many_packets_and_names_no_more_than_fifty_problems(self):
        found = problems(lines(*({"id": f"p-{n}"} for n in range(1001))))
        assert found == ["Line 1: a suite may have 1,000 packets at most."]
        found = problems(lines(*({"id": f"p-{n}"} for n in range(60))))
        assert (len(found), found[-1]) == (51, "Line 61: and 10 more problems.")

    def test_what_no_database_keeps(self):
        for bad in ("\\u0000", "\\ud800"):
            content = lines(packet()).replace(b"gout", b"gout" + bad.encode())
            assert any("cannot be stored" in each for each in problems(content))


class TestMemberData:
    @pytest.mark.parametrize(
        ("words", "kind"),
        [
            ("SSN 512-45-6789", "a Social Security number"),
            ("Medicare 1EG4-TE5-MK73", "a Medicare beneficiary identifier"),
            ("Medicare 1EG4TE5MK73", "a Medicare beneficiary identifier"),
            ("call (415) 555-0142", "a phone number"),
            ("call 415.555.0142", "a phone number"),
            ("call +1 415-555-0142", "a phone number"),
            ("DOB: 03/14/1961", "a date of birth"),
            ("born on March 14, 1961", "a date of birth"),
            ("Date of birth 1961-03-14", "a date of birth"),
            ("write to a.b@clinic.test", "an e-mail address"),
            ("MRN 0048213", "a medical record number"),
            ("member ID W12345678", "a member id"),
        ],
    )
    def test_is_refused_with_its_place_and_not_repeated(self, words, kind):
        content = lines(packet(), packet(id="p-2", text=f"{TEXT}Note: {words}."))
        found = problems(content)
        (only,) = found
        assert only.startswith("Line 3: packet 2, text, line 3, column ")
        assert only.endswith(f"this looks like {kind}.")
        assert not any(part in only for part in words.split() if any(c.isdigit() for c in part))

    @pytest.mark.parametrize(
        "words",
        [
            "member ID SYN-204417", "code 27447 and E11.9", "on March 14 at 10:30",
            "HbA1c 8.4 of 10", "born in another country", "blood pressure 128/84",
            "Job 28125-44", "2026-11-27 09:00",
        ],
    )  # fmt: skip
    def test_is_not_seen_in_what_is_made_up_or_medical(self, words):
        assert read_upload(lines(packet(text=f"{TEXT}{words}")))

    def test_is_looked_for_in_every_text(self):
        ssn = "512-45-6789"
        for change in (
            {"about": ssn}, {"title": ssn}, {"question": QUESTION | {"system": ssn}},
        ):  # fmt: skip
            (found,) = problems(document(**change))
            assert found.startswith("Line 1: ") and ssn not in found
        for change in ({"claims": [{"text": ssn}]}, {"style": ssn}, {"refuse": ssn}):
            (found,) = problems(lines(packet() | change))
            assert found.startswith("Line 2: packet 1, ") and ssn not in found

    def test_is_not_in_the_suites_that_ship(self):
        for each in shipped.load("prior_auth_extraction").packets:
            assert not list(member_data.find(each.text)), each.id


@pytest.mark.parametrize(
    "text",
    ["a" * 199_000, " " * 199_000 + "x", "MRN" + " " * 199_000, "no " * 66_000, "9" * 199_000,
     "born " * 39_000, "(415) " * 33_000, "a.b-c+" * 33_000],
    ids=range(8),
)  # fmt: skip
def test_hostile_texts_cost_little_time(text):
    begun = time.process_time()
    (only,) = read_upload(lines(packet(text=TEXT + text))).packets
    answer = json.dumps({"diagnosis_codes": ["M10.9", "I10"], "procedure_codes": []})
    score(only, answer, Timing())
    assert time.process_time() - begun < 2

"""Identifiers and secrets: what is one, what only looks like one, and what it takes to tell."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.gateway.gate.calls import Text
from apps.gateway.guard.detectors.hits import without_overlaps
from apps.gateway.guard.detectors.member_data import canonical, luhn, member_data
from apps.gateway.guard.detectors.secrets import KNOWN as SECRETS
from apps.gateway.guard.detectors.secrets import secrets


def found(text, detector=None):
    """Return (detector, what stands there) of each hit."""
    every = (detector or member_data()).detect([Text("messages[0].content", "user", text)])
    hits = without_overlaps(every)
    assert all(hit.where == "messages[0].content" for hit in hits)
    return [(hit.detector, text[hit.start : hit.end]) for hit in hits]


class TestMemberData:
    @pytest.mark.parametrize(
        ("text", "entity", "part"),
        [
            ("SSN: 219-45-6789.", "US_SSN", "219-45-6789"),
            ("her social security number is 219456789", "US_SSN", "219456789"),
            ("MBI 1EG4-TE5-MK73", "US_MBI", "1EG4-TE5-MK73"),
            ("mbi 1eg4te5mk73", "US_MBI", "1eg4te5mk73"),
            ("rendering provider 1234567893", "US_NPI", "1234567893"),
            ('{"member_id": "MHP-1234567"}', "MEMBER_ID", "MHP-1234567"),
            ("Subscriber's ID is XYZ123456789", "MEMBER_ID", "XYZ123456789"),
            ("Policy number: H123456789", "MEMBER_ID", "H123456789"),
            ("claim number 2026-00912345", "CLAIM_ID", "2026-00912345"),
            ("Prior auth # PA-2231987", "CLAIM_ID", "PA-2231987"),
            ("MRN: 00912345", "MEDICAL_RECORD_NUMBER", "00912345"),
            ("DOB 01/02/1960", "DATE_OF_BIRTH", "01/02/1960"),
            ("born March 3, 1961", "DATE_OF_BIRTH", "March 3, 1961"),
            ("3 March 1961 (DOB)", "DATE_OF_BIRTH", "3 March 1961"),
            ("birth_date=1961-03-03", "DATE_OF_BIRTH", "1961-03-03"),
            ("call (312) 555-0199", "PHONE_NUMBER", "(312) 555-0199"),
            ("mobile 3125550199", "PHONE_NUMBER", "3125550199"),
            ("to jane.doe+x@mail.example.org.", "EMAIL_ADDRESS", "jane.doe+x@mail.example.org"),
            ("card 4111 1111 1111 1111", "CREDIT_CARD", "4111 1111 1111 1111"),
            ("MBI 1EG4 TE5 MK73", "US_MBI", "1EG4 TE5 MK73"),
            ("SSN 219 - 45 - 6789", "US_SSN", "219 - 45 - 6789"),
            ("ssn219456789", "US_SSN", "219456789"),
            ('{"patient_ssn": "219456789"}', "US_SSN", "219456789"),
            ('{"memberSsn": "219456789"}', "US_SSN", "219456789"),
            ("patient_dob,01/02/1960", "DATE_OF_BIRTH", "01/02/1960"),
            ("patientDob: 1960/1/2", "DATE_OF_BIRTH", "1960/1/2"),
            ("dob=19600102", "DATE_OF_BIRTH", "19600102"),
            ("DOB 01021960", "DATE_OF_BIRTH", "01021960"),
            ("plan_member_id: W1234567", "MEMBER_ID", "W1234567"),
            ('"planMemberId": "W1234567"', "MEMBER_ID", "W1234567"),
            ("patient_mrn=00912345", "MEDICAL_RECORD_NUMBER", "00912345"),
            ("patientMrn: 00912345", "MEDICAL_RECORD_NUMBER", "00912345"),
            ("medical record no. 91234", "MEDICAL_RECORD_NUMBER", "91234"),
            ("parentClaimId: 20269912345", "CLAIM_ID", "20269912345"),
            ("Re: claim 202600912345", "CLAIM_ID", "202600912345"),
            ("NM1*IL*1*DOE*JANE****MI*W123456789~", "MEMBER_ID", "W123456789"),
            ("REF*SY*219456789~", "US_SSN", "219456789"),
            ("DMG*D8*19600102*F~", "DATE_OF_BIRTH", "19600102"),
            ("REF*G1*PA2231987~", "CLAIM_ID", "PA2231987"),
            ("CLM*ACCT0091234*150***11:B:1~", "CLAIM_ID", "ACCT0091234"),
        ],
    )
    def test_finds_it_where_it_stands(self, text, entity, part):
        assert found(text) == [(entity, part)]

    @pytest.mark.parametrize(
        "text",
        [
            "seen on 10/02/2026",  # a date of service
            "SSN 000-45-6789",  # no area of this number
            "SSN 666-45-6789",
            "SSN 900-45-6789",
            "SSN 219-00-6789",
            "SSN 219-45-0000",
            "NPI 1234567890",  # its check digit does not fit
            "call 1-800-555-0199",  # the plan's own
            "CPT 72148, ICD M54.50, 20 mg, 90 days",
            "DOB 13/32/1960",
            "card 4111 1111 1111 1112",
            "order 219456789",  # nine digits without a word
            "claim 2026-10-02",  # a date of service
            "Claim: CPT 99213",
            "prior authorization 72148",  # a procedure
            "Authorization: total 125000",
            "in case 10000 units are needed",
            "medical records 10-02-2026",
            "DOB 20261399",
            "dob: order 12345678",  # no day
        ],
    )
    def test_leaves_what_only_looks_like_it(self, text):
        assert found(text) == []

    def test_takes_the_nearest_date_for_the_birth(self):
        text = "Seen 10/02/2026. DOB: 01/02/1960, surgery 11/05/2026"
        assert found(text) == [("DATE_OF_BIRTH", "01/02/1960")]

    def test_wants_the_word_within_sixty_characters(self):
        near, far = "social security" + " " * 40, "social security" + " " * 80
        assert found(f"{near}219456789") == [("US_SSN", "219456789")]
        assert found(f"{far}219456789") == []

    def test_sees_through_what_no_reader_sees(self):
        hidden = "SSN 2\u200b19-45-6789"
        assert found(hidden) == [("US_SSN", "2\u200b19-45-6789")]
        wide = "SSN ２１９‐４５‐６７８９"
        assert found(wide) == [("US_SSN", "２１９‐４５‐６７８９")]
        behind = "\U000e0041 Müller, SSN 219-45-6789"
        assert found(behind) == [("US_SSN", "219-45-6789")]

    @pytest.mark.parametrize(
        ("text", "part"),
        [
            (r'{"csv": "name,ssn\nDoe,\n219-45-6789\t1"}', "219-45-6789"),
            (r'"{\"ssn\": \"219456789\"}"', "219456789"),
            ("<tr><td>SSN</td><td class='figure wide'>219456789</td></tr>", "219456789"),
            ("SSN 219<b>-45-</b>6789", "219<b>-45-</b>6789"),
            ("ssn=219%2D45%2D678%39", "219%2D45%2D678%39"),
            ("SSN 219&#45;45&#45;6789", "219&#45;45&#45;6789"),
        ],
    )
    def test_sees_through_escapes_and_tags(self, text, part):
        assert found(text) == [("US_SSN", part)]

    def test_reads_a_field_of_a_page(self):
        text = "<b>Member ID:</b> <i>W123456789</i>"
        (hit,) = member_data().detect([Text("a", "tool", text)])
        assert hit.detector == "MEMBER_ID"
        assert text[hit.start : hit.end].startswith("W123456789")

    def test_keeps_the_places_of_several_texts_apart(self):
        texts = [Text("messages[0].content", "system", "SSN 219-45-6789"),
                 Text("messages[1].content", "user", "MRN 00912345")]  # fmt: skip
        hits = member_data().detect(texts)
        assert [(hit.where, hit.detector) for hit in hits] == [
            ("messages[0].content", "US_SSN"), ("messages[1].content", "MEDICAL_RECORD_NUMBER"),
        ]  # fmt: skip

    def test_counts_only_what_is_sure_enough(self):
        text = "number 219-45-6789"  # no word that names it
        assert found(text) == [("US_SSN", "219-45-6789")]
        assert found(text, member_data(threshold=0.7)) == []

    def test_says_of_one_number_all_that_it_can_be(self):
        text = "provider, member ID: 1234567893"
        hits = member_data().detect([Text("a", "user", text)])
        assert {hit.detector for hit in hits} == {"US_NPI", "MEMBER_ID"}
        assert len({(hit.start, hit.end) for hit in hits}) == 1

    def test_has_the_same_form_for_the_same_identifier(self):
        assert canonical("219-45-6789") == canonical("219 45 6789")
        assert canonical("MHP-12") != canonical("MHP-13")

    def test_knows_the_check_digit(self):
        assert luhn("808401234567893")
        assert not luhn("808401234567890")


class TestSecrets:
    @pytest.mark.parametrize(
        ("text", "entity", "part"),
        [
            ("-----BEGIN RSA PRIVATE KEY-----", "PRIVATE_KEY", "-----BEGIN RSA PRIVATE KEY-----"),
            ("key AKIAIOSFODNN7ABCDEFG", "AWS_ACCESS_KEY", "AKIAIOSFODNN7ABCDEFG"),
            ("ghp_" + "a1B2" * 9, "GITHUB_TOKEN", "ghp_" + "a1B2" * 9),
            ("postgres://app:s3cretpw@db:5432/x", "PASSWORD_IN_URL", "s3cretpw"),
            ("password: Tr0ub4dor&3", "PASSWORD", "Tr0ub4dor&3"),
            ("DB_PASSWORD=hunter2Hunter", "PASSWORD", "hunter2Hunter"),
            ("hvs." + "Ab1_" * 8, "API_KEY", "hvs." + "Ab1_" * 8),
            ("Authorization: Bearer aB3" + "x9" * 12, "BEARER_TOKEN", "aB3" + "x9" * 12),
        ],
    )
    def test_finds_it(self, text, entity, part):
        assert found(text, secrets()) == [(entity, part)]

    def test_finds_it_behind_an_escaped_line_s_end(self):
        key = "AKIAIOSFODNN7ABCDEFG"
        assert found(rf'{{"env": "a=1\n{key}\n"}}', secrets()) == [("AWS_ACCESS_KEY", key)]

    def test_finds_a_token_of_three_parts(self):
        token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0." + "Ab3_" * 10
        assert found(f"Bearer {token}", secrets()) == [("JWT", token)]

    @pytest.mark.parametrize(
        "text",
        [
            "password: your_password_here",
            "The password policy requires twelve characters",
            "secret: ********",
            "https://example.org/a:b",
            "api key: <your key>",
            "password: <password>\nUsername: Admin1234",
        ],
    )
    def test_leaves_what_is_none(self, text):
        assert found(text, secrets()) == []


SLOW = (
    "1", "1-", "a@", "a.", "123-45-6789 ", "member id ", "jan 1 ", "aws secret key=", "Ａ",
    "password", "eyJ", "eyJaaaaaaaaaaa.", "+2 22", "(212", "ab_", "x://a:", "dob 1/1/",
)  # fmt: skip


@pytest.mark.parametrize("part", SLOW)
@pytest.mark.parametrize("detector", [member_data(), secrets()], ids=["member data", "secrets"])
def test_takes_four_times_as_long_for_four_times_the_text(part, detector):
    def seconds(length):
        text = Text("a", "user", (part * length)[:length])
        begun = time.process_time()
        detector.detect([text])
        return time.process_time() - begun

    seconds(1_000)  # compiles and fills the tables
    short, long = min(seconds(30_000) for _ in range(3)), min(seconds(120_000) for _ in range(3))
    assert long < 8 * short + 0.02, "its time grows faster than the text"


def test_takes_little_time_for_a_page():
    page = Text("a", "user", ("the patient was seen on 10/02/2026 for back pain " * 90)[:4_000])
    detector = member_data()
    detector.detect([page])
    begun = time.process_time()
    for _ in range(20):
        detector.detect([page])
    assert (time.process_time() - begun) / 20 < 0.010  # measured: 0.001; this machine is shared


@pytest.mark.parametrize("known", SECRETS, ids=lambda known: known.entity)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_secret_holds_the_mark_without_which_nobody_looks_for_it(known, data):
    text = data.draw(st.from_regex(known.pattern.replace(r"[^\s", r"[^\s\x80-\U0010ffff")))
    assert secrets().may_hold(text)
    assert secrets().may_hold(f"{text} and more", len(text))


def test_words_without_a_mark_are_not_looked_at():
    assert not secrets().may_hold("The member asks for the requested service again.")

"""Whose record a call is: names are hashed, and found again however they are written."""

import pytest

from apps.prompts.subjects import BadName, Subject, SubjectKind, named_subject, subject_of


class TestSubjectOf:
    def test_is_the_member_where_both_are_named(self):
        found = subject_of({"x-member-key": "M1", "x-case-key": "C1"})
        assert found == named_subject(SubjectKind.MEMBER, "M1")
        assert subject_of({"x-case-key": "C1"}) == named_subject(SubjectKind.CASE, "C1")
        assert subject_of({"x-other": "M1"}) is None

    @pytest.mark.parametrize("bad", ["", "   ", "x" * 201, "a\x00b", "a\nb"])
    def test_refuses_what_names_nobody_without_repeating_it(self, bad):
        with pytest.raises(BadName, match=r"^x-member-key: It must be 1 to 200") as refused:
            subject_of({"x-member-key": bad})
        assert "a\x00b" not in str(refused.value)


class TestNamedSubject:
    def test_holds_nothing_of_the_name(self):
        found = named_subject(SubjectKind.MEMBER, "M-100-42")
        assert len(found.token) == 64 and "100" not in found.token[:8]
        assert found != named_subject(SubjectKind.MEMBER, "M-100-43")
        assert found.token != named_subject(SubjectKind.CASE, "M-100-42").token

    @pytest.mark.parametrize("written", ["m-100-42", " M-100-42 ", "Ｍ-100-42"])
    def test_finds_a_name_however_it_is_written(self, written):
        assert (
            named_subject(SubjectKind.MEMBER, written).token
            == named_subject(SubjectKind.MEMBER, "M-100-42").token
        )

    def test_is_another_token_with_another_secret_and_says_so(self, settings):
        before = named_subject(SubjectKind.MEMBER, "M1")
        settings.PROMPT_SUBJECT_KEY = "another"
        after = named_subject(SubjectKind.MEMBER, "M1")
        assert before.token != after.token and before.secret != after.secret
        assert isinstance(after, Subject)

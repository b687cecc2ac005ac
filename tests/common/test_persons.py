"""The ids that stand for persons."""

import re

from apps.common.persons import opaque_id


class TestOpaqueId:
    def test_is_the_same_for_one_person_and_another_for_each_other(self):
        found = {opaque_id(f"user-{number}@payer.example") for number in range(500)}
        assert len(found) == 500
        assert opaque_id("user-7@payer.example") in found
        assert all(re.fullmatch("p-[a-z2-7]{16}", each) for each in found)

    def test_says_nothing_without_the_key(self, settings):
        before = opaque_id("alice")
        settings.PERSON_ID_KEY = "another key"
        mine = opaque_id("alice")
        settings.SECRET_KEY = "rotated"
        assert before != mine == opaque_id("alice")

    def test_changes_with_the_secret_key_where_it_has_no_key_of_its_own(self, settings):
        before = opaque_id("alice")
        settings.SECRET_KEY = "rotated"
        assert opaque_id("alice") != before

    def test_of_nobody_is_nothing(self):
        assert opaque_id("") == ""

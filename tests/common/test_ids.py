"""Ids that sort by when they were made."""

from datetime import UTC, datetime
from uuid import RFC_4122

from apps.common.ids import ordered_id


class TestOrderedId:
    def test_sorts_by_when_it_was_made(self):
        made = []
        for _ in range(200):
            made.append(ordered_id())
            datetime.now(tz=UTC).isoformat()  # what a row's insert takes is longer
        assert [one.hex[:15] for one in made] == sorted(one.hex[:15] for one in made)
        assert len(set(made)) == 200

    def test_is_a_uuid_of_version_7_that_tells_its_time(self):
        made = ordered_id()
        assert (made.version, made.variant) == (7, RFC_4122)
        assert abs((made.int >> 80) / 1000 - datetime.now(tz=UTC).timestamp()) < 5

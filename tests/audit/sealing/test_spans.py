"""What a night reads of the record, and since when all of it was read."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

from apps.audit.sealing.spans import NIGHTS, WHOLE, Plan, plan, read_since
from tests.factories import NOW


@dataclass
class Read:
    """An earlier reading."""

    first: int = 0
    again_first: int = 0
    again_end: int = 0
    size: int = 100
    anchored_size: int = 100
    found: int = 0
    night: int = 0

    @property
    def verified_at(self):
        return NOW + timedelta(days=self.night)


SIZES = list(range(10, 101, 10))


class TestPlan:
    @pytest.mark.parametrize(
        "last",
        [
            None,  # nothing was read yet
            Read(first=90, again_first=30, again_end=50, found=1),  # something is wrong
            Read(anchored_size=95),  # S3 has no such checkpoint
            Read(again_end=35),  # nor this one
            Read(anchored_size=0),  # nothing was anchored then
        ],
    )
    def test_is_all_of_it(self, last):
        assert plan(last=last, sizes=SIZES) == WHOLE

    def test_goes_on_after_the_last_reading_and_begins_with_what_is_oldest(self):
        assert plan(last=Read(), sizes=SIZES) == Plan(100, 0, 20)

    def test_comes_to_every_entry_while_the_record_grows(self):
        last, seen = Read(size=1000, anchored_size=1000), set()
        for night in range(1, NIGHTS + 2):
            sizes = [1, *range(7, 1000 + night * 50 + 1, 7), 1000 + night * 50]
            chosen = plan(last=last, sizes=[*sizes, last.anchored_size])
            assert chosen.first == last.anchored_size
            assert 0 < chosen.again_end - chosen.again_first < 1000 / NIGHTS * 1.5
            seen |= set(range(chosen.again_first, chosen.again_end))
            seen |= set(range(chosen.first, 1000 + night * 50))
            last = Read(
                chosen.first, chosen.again_first, chosen.again_end,
                size=1000 + night * 50, anchored_size=1000 + night * 50, night=night,
            )  # fmt: skip
        assert seen >= set(range(1000 + night * 50))

    def test_has_no_beginning_that_needs_no_checkpoint(self):
        assert WHOLE.beginnings == []
        assert Plan(100, 0, 20).beginnings == [100]
        assert Plan(100, 20, 40).beginnings == [20, 100]
        assert Plan(100, 40, 40).beginnings == [100]


class TestReadSince:
    def test_is_the_time_of_one_reading_of_all(self):
        newest = Read(night=3)
        assert read_since([newest, Read(night=1)], 100) == newest.verified_at

    def test_is_that_of_the_oldest_part_that_it_takes(self):
        parts = [
            Read(first=90, again_first=60, again_end=90, night=4),
            Read(first=80, again_first=30, again_end=60, size=90, night=3),
            Read(first=80, again_first=30, again_end=60, size=80, night=2),
            Read(first=70, again_first=0, again_end=30, size=80, night=1),
            Read(night=0),
        ]
        assert read_since(parts, 100) == parts[3].verified_at

    def test_is_unknown_where_some_were_not_read(self):
        assert read_since([], 5) is None
        assert read_since([Read(first=50)], 100) is None
        assert read_since([Read(first=50, again_end=49)], 100) is None

    def test_of_nothing_is_the_last_reading(self):
        assert read_since([Read(size=0)], 0) == NOW

"""Machine time shared out: by hand for small days, and the sums for any day."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.chargeback.allocation import (
    TICKS_PER_SECOND,
    Origin,
    Stretch,
    allocate,
    room_of,
)
from apps.chargeback.method import Basis, Kind
from apps.chargeback.speeds import DEFAULT, H100, Weights, weights_of
from apps.fleet.holdings import Holding
from apps.metering.queries import HourOfWork

DAY = datetime(2026, 11, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
# A GPU does 1,000 output tokens or 10,000 fresh ones a second: an hour holds 3,600,000 output ones.
FAST = Weights(fresh=10**8, cached=10**7, output=10**9, is_measured=True)
SLOW = Weights(fresh=4 * 10**8, cached=10**7, output=2 * 10**9, is_measured=True)
UNKNOWN = Weights(fresh=10**8, cached=10**7, output=10**9, is_measured=False)


def at(hours, minutes=0):
    return DAY + timedelta(hours=hours, minutes=minutes)


def stretch(claim=1, begin=0, end=1, price="8", **more):
    values = {
        "instance_type": "p5.48xlarge",
        "capacity_type": "spot",
        "gpu_name": "h100",
        "gpus": 8,
        "on_demand_usd_per_hour": Decimal(16),
        "is_observed": True,
    }
    usd = None if price is None else Decimal(price)
    return Stretch(claim=claim, from_at=at(begin), to_at=at(end), usd_per_hour=usd, **values | more)


def holding(claim=1, begin=0, end=1, version="m-v1", gpus=1, ready=0, **more):
    return Holding(
        claim=claim,
        namespace=more.get("namespace", "models"),
        model=version.rpartition("-")[0],
        version=version,
        gpus=Fraction(gpus),
        from_at=at(begin),
        ready_at=None if ready is None else at(ready),
        to_at=at(end),
    )


def work(hour=0, version="m-v1", team="a", **tokens):
    counts = dict.fromkeys(
        ("input_tokens", "cached_input_tokens", "output_tokens", "untold_calls"), 0
    )
    counts |= tokens
    return HourOfWork(hour=at(hour), version=version, team=team, cost_center=f"CC-{team}", **counts)


def day(stretches, holdings=(), worked=(), weigh=None):
    return allocate(
        stretches=stretches,
        holdings=holdings,
        work=worked,
        weigh=weigh or (lambda model, card, gpus: FAST),
        evaluations="evals",
    )


def told(found):
    """Return (kind, basis, version, team) → (GPU-hours, USD)."""
    return {
        (row.share.kind, row.share.basis, row.share.version, row.share.team): (
            row.gpu_hours,
            row.cost_usd,
        )
        for row in found.rows
    }


class TestAllocate:
    def test_divides_a_ready_hour_by_work_at_the_measured_speed(self):
        # 900,000 output tokens are a quarter of the hour; b's fresh ones take another eighth
        found = day(
            [stretch()],
            [holding(gpus=8)],
            [
                work(output_tokens=900_000),
                work(team="b", input_tokens=4_500_000),
            ],
        )
        assert told(found) == {
            # an eighth of the hour of one GPU takes 1/32 and 1/64 of eight of them
            (Kind.WORK, Basis.MEASURED, "m-v1", "a"): (Decimal("0.25"), Decimal("0.25")),
            (Kind.WORK, Basis.MEASURED, "m-v1", "b"): (Decimal("0.125"), Decimal("0.125")),
            (Kind.IDLE, Basis.MEASURED, "m-v1", ""): (Decimal("7.625"), Decimal("7.625")),
        }
        assert [row.ratio for row in found.rows] == [
            Decimal("0.953125"),
            Decimal("0.03125"),
            Decimal("0.015625"),
        ]
        assert found.rows[0].on_demand_usd == Decimal("15.25")

    def test_weighs_cached_tokens_apart_from_fresh_ones(self):
        found = day(
            [stretch(gpus=1, price="1")],
            [holding()],
            [
                work(input_tokens=1_000_000, cached_input_tokens=900_000),
                work(team="b", input_tokens=190_000),
            ],
        )
        a, b = (told(found)[Kind.WORK, Basis.MEASURED, "m-v1", team][1] for team in "ab")
        assert a == b > 0

    def test_never_uses_more_than_the_hour(self):
        found = day([stretch(gpus=1, price="1")], [holding()], [work(output_tokens=9_000_000)])
        assert told(found) == {(Kind.WORK, Basis.MEASURED, "m-v1", "a"): (Decimal(1), Decimal(1))}

    def test_tells_starting_from_being_ready_and_from_gpus_that_nobody_holds(self):
        found = day(
            [stretch(end=2)],
            [
                holding(end=2, gpus=2, ready=0.5),
                holding(begin=1, end=2, version="n-v2", ready=None),
            ],
        )
        assert told(found) == {
            (Kind.START, Basis.NONE, "m-v1", ""): (Decimal(1), Decimal(1)),
            (Kind.IDLE, Basis.NO_CALLS, "m-v1", ""): (Decimal(3), Decimal(3)),
            (Kind.START, Basis.NONE, "n-v2", ""): (Decimal(1), Decimal(1)),
            (Kind.UNALLOCATED, Basis.NONE, "", ""): (Decimal(11), Decimal(11)),
        }

    def test_splits_each_hour_by_its_own_work_at_its_own_price(self):
        found = day(
            [stretch(gpus=1, price="1"), stretch(gpus=1, begin=1, end=2, price="3")],
            [holding(end=2)],
            [work(output_tokens=3_600_000), work(hour=1, team="b", output_tokens=1_200_000)],
        )
        assert told(found) == {
            (Kind.WORK, Basis.MEASURED, "m-v1", "a"): (Decimal(1), Decimal(1)),
            (Kind.WORK, Basis.MEASURED, "m-v1", "b"): (Decimal("0.333333333333"), Decimal(1)),
            (Kind.IDLE, Basis.MEASURED, "m-v1", ""): (Decimal("0.666666666667"), Decimal(2)),
        }

    def test_says_nothing_of_idling_in_an_hour_of_work_whose_speed_nobody_measured(self):
        found = day(
            [stretch(gpus=1, end=2, price="1")],
            [holding(end=2)],
            [work(output_tokens=1), work(team="b", input_tokens=30)],
            weigh=lambda model, card, gpus: UNKNOWN,
        )
        assert told(found) == {
            (Kind.WORK, Basis.NOT_SPLIT, "m-v1", "a"): (Decimal("0.25"), Decimal("0.25")),
            (Kind.WORK, Basis.NOT_SPLIT, "m-v1", "b"): (Decimal("0.75"), Decimal("0.75")),
            (Kind.IDLE, Basis.NO_CALLS, "m-v1", ""): (Decimal(1), Decimal(1)),
        }

    def test_shares_an_hour_of_calls_that_nobody_told_by_their_number(self):
        found = day(
            [stretch(gpus=1, price="1")],
            [holding()],
            [work(untold_calls=3), work(team="b", untold_calls=1)],
        )
        assert told(found) == {
            (Kind.WORK, Basis.CALLS, "m-v1", "a"): (Decimal("0.75"), Decimal("0.75")),
            (Kind.WORK, Basis.CALLS, "m-v1", "b"): (Decimal("0.25"), Decimal("0.25")),
        }

    def test_weighs_calls_that_nobody_told_as_nothing_beside_others(self):
        found = day(
            [stretch(gpus=1, price="1")],
            [holding()],
            [work(output_tokens=3_600_000), work(team="b", untold_calls=9)],
        )
        assert told(found) == {(Kind.WORK, Basis.MEASURED, "m-v1", "a"): (Decimal(1), Decimal(1))}

    def test_keeps_versions_and_machines_apart(self):
        found = day(
            [stretch(1), stretch(2, instance_type="g6.xlarge", gpu_name="l4", gpus=1, price="0.8")],
            [holding(1, gpus=8), holding(2, version="n-v1")],
            [work(output_tokens=28_800_000), work(version="n-v1", team="b", output_tokens=5)],
            weigh=lambda model, card, gpus: FAST if card == "h100" else UNKNOWN,
        )
        assert {
            (row.share.origin.instance_type, row.share.team): row.cost_usd for row in found.rows
        } == {
            ("g6.xlarge", "b"): Decimal("0.8"),
            ("p5.48xlarge", "a"): Decimal(8),
        }

    def test_takes_every_machine_of_a_version_to_be_equally_busy(self):
        # An hour of the fast GPU and two of the slow one hold 3.6 + 2 × 1.8 million output tokens.
        found = day(
            [
                stretch(1, gpus=1, price="4"),
                stretch(2, gpus=2, gpu_name="l40s", instance_type="g6e.12xlarge", price="2"),
            ],
            [holding(1), holding(2, gpus=2)],
            [work(output_tokens=1_800_000)],
            weigh=lambda model, card, gpus: FAST if card == "h100" else SLOW,
        )
        assert {
            (row.share.origin.gpu_name, row.share.kind): row.cost_usd for row in found.rows
        } == {
            ("h100", Kind.WORK): Decimal(1),
            ("h100", Kind.IDLE): Decimal(3),
            ("l40s", Kind.WORK): Decimal("0.5"),
            ("l40s", Kind.IDLE): Decimal("1.5"),
        }

    def test_counts_tokens_by_machine_as_much_as_each_could_do(self):
        found = day(
            [
                stretch(1, gpus=1),
                stretch(2, gpus=2, gpu_name="l40s", instance_type="g6e.12xlarge"),
            ],
            [holding(1), holding(2, gpus=2)],
            [work(output_tokens=900, input_tokens=9), work(team="b", output_tokens=90)],
            weigh=lambda model, card, gpus: (
                FAST if card == "h100" else replace(FAST, output=4 * 10**9, fresh=4 * 10**8)
            ),
        )
        tokens = {
            (row.share.origin.gpu_name, row.share.team): (row.input_tokens, row.output_tokens)
            for row in found.rows
        }
        assert tokens == {
            ("h100", ""): (0, 0),
            ("l40s", ""): (0, 0),
            ("h100", "a"): (6, 600),
            ("h100", "b"): (0, 60),
            ("l40s", "a"): (3, 300),
            ("l40s", "b"): (0, 30),
        }

    def test_gives_evaluations_their_whole_time(self):
        found = day([stretch(gpus=1, price="1")], [holding(namespace="evals")], [])
        assert told(found) == {(Kind.WORK, Basis.EVALUATION, "m-v1", ""): (Decimal(1), Decimal(1))}

    def test_divides_a_card_in_sevenths(self):
        found = day(
            [stretch(gpus=1, price="7")],
            [
                holding(gpus=Fraction(3, 7), ready=None),
                holding(gpus=Fraction(2, 7), version="n-v1", ready=None),
            ],
        )
        assert {row.share.version: row.cost_usd for row in found.rows} == {
            "": Decimal(2),
            "m-v1": Decimal(3),
            "n-v1": Decimal(2),
        }

    def test_cuts_pods_that_hold_more_than_there_is_in_proportion(self):
        found = day(
            [stretch(gpus=1, price="3")],
            [holding(gpus=2, ready=None), holding(version="n-v1", ready=None)],
        )
        assert {row.share.version: row.cost_usd for row in found.rows} == {
            "m-v1": Decimal(2),
            "n-v1": Decimal(1),
        }

    def test_counts_machines_without_a_price_and_never_at_zero(self):
        found = day([stretch(price=None), stretch(2, price="8")], [holding(ready=None)])
        assert (found.total_usd, found.unpriced_seconds) == (Decimal(8), Decimal(3600))
        unpriced = [row for row in found.rows if not row.share.origin.is_priced]
        assert [(row.cost_usd, row.gpu_hours, row.ratio) for row in unpriced] == [
            (None, Decimal(1), Decimal("0.125")),
            (None, Decimal(7), Decimal("0.875")),
        ]

    def test_tells_machines_without_gpus_and_time_that_nobody_saw(self):
        found = day(
            [
                stretch(1, gpus=0, gpu_name="", instance_type="m7i.large", price="0.1"),
                stretch(2, is_observed=False, price="1"),
            ],
            [holding(2)],
        )
        assert told(found) == {
            (Kind.PLATFORM, Basis.NONE, "", ""): (Decimal(0), Decimal("0.1")),
            (Kind.RESIDUAL, Basis.UNOBSERVED, "", ""): (Decimal(8), Decimal(1)),
        }
        assert (found.priced_seconds, found.unpriced_seconds, found.unobserved_seconds) == (
            Decimal(7200),
            Decimal(0),
            Decimal(3600),
        )

    def test_counts_tokens_of_versions_that_nobody_saw_ready(self):
        found = day(
            [stretch(end=2)],
            [holding(end=2, ready=1)],
            [
                work(0, input_tokens=5, output_tokens=2),
                work(1, input_tokens=100),
                work(1, version="n-v1", output_tokens=20),
            ],
        )
        assert found.unplaced_tokens == 27

    def test_of_a_day_without_machines_is_empty(self):
        found = day([], [], [work(output_tokens=7)])
        assert (found.rows, found.total_usd, found.unplaced_tokens) == ([], Decimal(0), 7)

    def test_divides_free_machines_by_time(self):
        found = day([stretch(price="0", end=3)], [holding(gpus=2, end=3, ready=None)])
        assert [(row.cost_usd, row.ratio) for row in found.rows] == [
            (Decimal(0), Decimal("0.25")),
            (Decimal(0), Decimal("0.75")),
        ]

    def test_knows_no_price_on_demand_where_one_is_not_listed(self):
        found = day([stretch(on_demand_usd_per_hour=None)])
        assert [row.on_demand_usd for row in found.rows] == [None]


class TestRoomOf:
    def test_is_the_inverse_of_utilization(self):
        assert room_of({FAST: 3600 * TICKS_PER_SECOND}, [work(output_tokens=900_000)]) == 4

    def test_is_at_least_one_and_unknown_without_work_or_a_measured_speed(self):
        assert room_of({FAST: TICKS_PER_SECOND}, [work(output_tokens=900_000)]) == 1
        assert room_of({FAST: TICKS_PER_SECOND}, []) is None
        assert room_of({FAST: TICKS_PER_SECOND, UNKNOWN: 1}, [work(output_tokens=1)]) is None


class TestWeightsOf:
    SIZES = {"llama-8b": 8_030_000_000, "nearly": 8_500_000_000, "small": 135_000_000}

    def test_are_measured_for_the_shape_and_card_that_were_measured(self):
        for model in ("llama-8b", "nearly"):
            assert weights_of(model, "h100", Fraction(1), self.SIZES) == H100.weights

    def test_are_a_marked_default_for_everything_else(self):
        for model, card, gpus in (
            ("small", "h100", Fraction(1)),
            ("llama-8b", "l4", Fraction(1)),
            ("llama-8b", "h100", Fraction(2)),
            ("llama-8b", "h100", Fraction(1, 7)),
            ("strange", "h100", Fraction(1)),
        ):
            assert weights_of(model, card, gpus, self.SIZES) is DEFAULT

    def test_say_what_was_measured(self):
        tokens = {"input_tokens": 2000, "cached_input_tokens": 0, "output_tokens": 0}
        assert H100.weights.work(**tokens) == 55 * 10**9  # 0.055 s
        tokens = {"input_tokens": 0, "cached_input_tokens": 0, "output_tokens": 128}
        assert H100.weights.work(**tokens) == 19 * 10**9  # 19.0 ms

    def test_never_make_work_negative(self):
        tokens = {"input_tokens": 10, "cached_input_tokens": 99, "output_tokens": 0}
        assert FAST.work(**tokens) == 10 * 10**7


moments = st.integers(0, 24 * 3600 * 10**6).map(lambda us: DAY + timedelta(microseconds=us))
prices = st.none() | st.decimals("0", "200", places=10)


@st.composite
def stretches(draw):
    found = []
    for claim in range(draw(st.integers(0, 4))):
        cuts = sorted(draw(st.lists(moments, min_size=2, max_size=4)))
        kind = draw(
            st.sampled_from(
                [("p5.48xlarge", "h100", 8), ("g6.xlarge", "l4", 1), ("m7i.large", "", 0)]
            )
        )
        for begin, end in zip(cuts, cuts[1:], strict=False):
            found.append(
                Stretch(
                    claim=claim,
                    instance_type=kind[0],
                    capacity_type=draw(st.sampled_from(["spot", "on-demand"])),
                    gpu_name=kind[1],
                    gpus=kind[2],
                    from_at=begin,
                    to_at=end,
                    usd_per_hour=draw(prices),
                    on_demand_usd_per_hour=draw(prices),
                    is_observed=draw(st.booleans()),
                )
            )
    return found


@st.composite
def holdings(draw):
    begin, end = sorted(draw(st.tuples(moments, moments)))
    version = draw(st.sampled_from(["m-v1", "m-v2", "n-v1"]))
    return Holding(
        claim=draw(st.integers(0, 4)),
        namespace=draw(st.sampled_from(["models", "models", "evals"])),
        model=version[0],
        version=version,
        gpus=draw(st.sampled_from([Fraction(1, 7), Fraction(3, 7), Fraction(1), Fraction(4)])),
        from_at=begin,
        ready_at=draw(st.none() | moments),
        to_at=end,
    )


works = st.builds(
    HourOfWork,
    hour=st.integers(0, 23).map(at),
    version=st.sampled_from(["m-v1", "m-v2", "n-v1"]),
    team=st.sampled_from(["a", "b"]),
    cost_center=st.just("CC"),
    input_tokens=st.integers(0, 10**8),
    cached_input_tokens=st.integers(0, 10**7),
    output_tokens=st.integers(0, 10**7),
    untold_calls=st.integers(0, 3),
)


class TestSums:
    """Whatever the day: nothing is lost, nothing is there twice, nothing is below zero."""

    @settings(max_examples=150)
    @given(
        stretches(),
        st.lists(holdings(), max_size=8),
        st.lists(works, max_size=12),
        st.sampled_from([FAST, UNKNOWN]),
    )
    def test_of_the_parts_are_the_whole(self, spans, held, worked, weights):
        found = day(
            spans, held, worked, weigh=lambda model, card, gpus: weights if card == "h100" else SLOW
        )
        costs, gpu_time, ratios = Fraction(0), Fraction(0), {}
        for span in spans:
            seconds = Fraction((span.to_at - span.from_at) // timedelta(microseconds=1), 10**6)
            costs += Fraction(span.usd_per_hour or 0) * seconds / 3600
            gpu_time += span.gpus * seconds / 3600
        rows = found.rows
        assert found.total_usd == sum(row.cost_usd for row in rows if row.cost_usd is not None)
        assert Fraction(found.total_usd) == Fraction(round(costs * 10**12), 10**12)
        assert Fraction(sum(row.gpu_hours for row in rows)) == Fraction(
            round(gpu_time * 10**12), 10**12
        )
        for row in rows:
            origin: Origin = row.share.origin
            ratios[origin] = ratios.get(origin, 0) + row.ratio
            assert (row.cost_usd is None) is not origin.is_priced
            assert row.gpu_hours >= 0 and row.ratio >= 0 and (row.cost_usd or 0) >= 0
        assert set(ratios.values()) <= {Decimal(1)}
        assert len({row.share for row in rows}) == len(rows)
        assert found.unplaced_tokens + sum(
            row.input_tokens + row.output_tokens for row in rows
        ) == sum(item.input_tokens + item.output_tokens for item in worked)
        assert found.priced_seconds + found.unpriced_seconds == sum(
            Decimal((span.to_at - span.from_at) // timedelta(microseconds=1)).scaleb(-6)
            for span in spans
        )

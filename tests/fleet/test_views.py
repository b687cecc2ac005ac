"""The pages and the API of the fleet."""

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from apps.accounts.models import Role
from apps.fleet import actions, pages, queries, sightings
from apps.fleet.actions import Sight
from apps.fleet.metrics.models import ScrapeTarget
from apps.fleet.models import Node, NodeClaim, NodePool, Replica, ReplicaPhase
from apps.fleet.pricing.book import region_of
from apps.fleet.pricing.models import PriceOverride
from tests.database import as_owner
from tests.factories import UserFactory
from tests.fleet.measures import gpu, replica_minute, target
from tests.fleet.objects import LABELS, at, claim, event, node, pod, pool
from tests.pages import joined

pytestmark = pytest.mark.django_db
PAGES = ("node_list", "claim_list", "replica_list")


@pytest.fixture
def pete(client):
    """A platform engineer, signed in."""
    person = UserFactory(username="pete", with_roles=[Role.PLATFORM_ENGINEER])
    client.force_login(person)
    return client


@pytest.fixture
def fleet():
    """Two nodes, one of them idle; a replica that is ready and its node's claim; a pool."""
    actions.record_events(
        events=[
            sightings.event(
                event(
                    "Nominated",
                    "Pod",
                    "m-v1-predictor-pod-1",
                    2,
                    "Pod should schedule on: nodeclaim/gpu-abc",
                )
            )
        ],
        now=at(3),
    )
    rows = (
        (NodePool, sightings.node_pool(pool())),
        (NodeClaim, sightings.node_claim(claim(launched=4, registered=9, initialized=12))),
        (Node, sightings.node(node())),
        (Node, sightings.node(node(name="node-2", uid="node-uid-2"))),
        (
            Replica,
            sightings.replica(pod(node="node-1", scheduled=13, loaded=20, started=21, ready=30)),
        ),
    )
    for model, seen in rows:
        actions.record_seen(model=model, seen=[seen], now=at(40))
    sight = Sight(datetime.now(UTC))
    actions.record_observations(sights={"nodes": sight, "nodeclaims": sight})


def page(visitor, view, query="", **headers):
    answer = visitor.get(reverse(f"fleet:{view}") + query, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


class TestAccess:
    @pytest.mark.parametrize("role", [Role.PLATFORM_ENGINEER, Role.AUDITOR, Role.FINANCE])
    def test_is_open_to_those_who_look_after_capacity_or_money(self, client, role):
        client.force_login(UserFactory(with_roles=[role]))
        for view in PAGES:
            assert "Fleet" in page(client, view)

    @pytest.mark.parametrize("view", PAGES)
    def test_is_not_there_for_others(self, client, charlie, alice, view):
        for person in (charlie, alice):
            client.force_login(person)
            assert client.get(reverse(f"fleet:{view}")).status_code == 404
            assert "/fleet/" not in client.get("/").content.decode()

    def test_reads_only(self, pete):
        assert pete.post(reverse("fleet:node_list")).status_code == 405


@pytest.mark.usefixtures("fleet")
class TestNodeList:
    def test_says_what_idle_gpus_cost_and_that_the_price_is_simulated(self, pete):
        found = page(pete, "node_list")
        assert "1 of 2 GPUs idle now" in found
        assert "$9.66" in found  # 0.4025 × 24
        assert "prices simulated" in found
        assert "Spot · us-east-1" in found
        assert "simulated price" in found
        assert "simulated-spot" not in found
        assert "1 of 64" in found

    def test_searches(self, pete):
        assert "node-2" not in page(pete, "node_list", "?q=node-1").split('id="live"')[1]
        assert "No node fits these filters" in page(pete, "node_list", "?q=nothing")

    def test_answers_htmx_with_the_live_part_and_the_figures_for_their_place(self, pete):
        found = page(pete, "node_list", **{"HX-Request": "true"})
        assert found.count('id="live"') == found.count('id="figures" hx-swap-oob="true"') == 1
        assert "<html" not in found

    def test_asks_faster_while_something_moves(self, pete):
        assert "every 30s" in page(pete, "node_list")
        starting = claim(
            name="new", uid="new", second=(datetime.now(UTC) - at(0)).total_seconds() - 5
        )
        actions.record_seen(
            model=NodeClaim, seen=[sightings.node_claim(starting)], now=datetime.now(UTC)
        )
        assert "every 3s" in page(pete, "node_list")


class TestFreshness:
    def test_says_that_nothing_was_seen_yet(self, pete):
        found = page(pete, "node_list")
        assert "has not seen the cluster yet" in found
        assert "not known until the nodes have been seen" in found
        assert "No GPU node seen yet" in found
        assert "$0.00" not in found, "nobody knows yet that nothing is paid"

    @pytest.mark.usefixtures("fleet")
    def test_says_since_when_the_figures_are_stale(self, pete):
        assert "last saw the cluster" not in page(pete, "node_list")
        sight = Sight(datetime.now(UTC) - timedelta(minutes=10), "The cluster cannot be reached.")
        actions.record_observations(sights={"nodes": sight})
        found = page(pete, "node_list")
        assert "last saw the cluster at" in found
        assert "The cluster cannot be reached." in found


@pytest.mark.usefixtures("fleet")
class TestClaimList:
    def test_shows_why_it_was_launched_and_what_it_costs(self, pete):
        found = page(pete, "claim_list")
        assert "Pod models/m-v1-predictor-pod-1 waited for a GPU" in found
        assert "Spot · us-east-1" in found
        assert "data-chart" in found

    def test_shows_why_it_ended_and_time_that_nobody_saw(self, pete):
        actions.record_listed(model=NodeClaim, seen=[], scope={}, seen_until=at(100), now=at(3700))
        terminated = event(
            "DisruptionTerminating", "NodeClaim", "gpu-abc", 90, "Disrupting NodeClaim: Empty"
        )
        actions.record_events(events=[sightings.event(terminated)], now=at(3701))
        found = page(pete, "claim_list")
        assert "Karpenter removed it: Empty" in found
        assert "unobserved" in found
        assert "$0.4132" in found  # 0.4025 per hour × 3,696 s

    def test_draws_claims_of_the_past_until_the_last_one_ended(self, pete):
        actions.record_listed(model=NodeClaim, seen=[], scope={}, seen_until=at(100), now=at(100))
        chart = pages.claim_chart(NodeClaim.objects.all(), datetime.now(UTC))
        ended = NodeClaim.objects.get()
        assert (chart.from_at, chart.to_at) == (ended.created_at, ended.ended_at)
        assert (chart.spans[0].row, chart.spans[0].words) == ("gpu-abc", "Spot")
        assert chart.spans[-1].to_at == ended.ended_at

    def test_leaves_out_of_the_time_line_what_ended_before_it(self, pete):
        actions.record_listed(model=NodeClaim, seen=[], scope={}, seen_until=at(100), now=at(100))
        later = claim(name="new", uid="new", second=3 * 86_400, launched=3 * 86_400 + 4)
        actions.record_seen(
            model=NodeClaim, seen=[sightings.node_claim(later)], now=at(3 * 86_400 + 5)
        )
        chart = pages.claim_chart(NodeClaim.objects.all(), at(3 * 86_400 + 60))
        assert chart.rows == ["new"]
        found = page(pete, "claim_list")
        assert "gpu-abc" in found, "the table has it still"

    def test_narrows_sorts_and_exports_what_is_shown(self, pete):
        actions.record_listed(model=NodeClaim, seen=[], scope={}, seen_until=at(100), now=at(100))
        second = sightings.node_claim(claim(name="zz", uid="zz", second=200, launched=201))
        actions.record_seen(model=NodeClaim, seen=[second], now=at(202))
        address = reverse("fleet:claim_list")
        alone = {"HX-Request": "true", "HX-Target": "table-claims"}
        found = pete.get(address, {"state": "ended"}, headers=alone).content.decode()
        assert "gpu-abc" in found and ">zz<" not in found and 'id="live"' not in found
        file = pete.get(address, {"format": "csv", "sort": "-claim", "columns": "claim,node"})
        rows = list(csv.DictReader(io.StringIO(b"".join(file.streaming_content).decode())))
        assert [row["Claim"] for row in rows] == ["zz", "gpu-abc"]


@pytest.mark.usefixtures("fleet")
class TestReplicaList:
    def test_shows_the_phases_of_a_cold_start(self, pete):
        found = page(pete, "replica_list")
        for words in (
            "Node claimed +1 s",
            "Machine launched +2 s",
            "Weights loaded and verified +7 s",
            "Ready +9 s",
        ):
            assert words in found
        assert "29 s" in found

    def test_keeps_the_order_of_phases_that_were_told_for_the_same_second(self, pete):
        phases = ReplicaPhase.objects.filter(phase__in=["IMAGE", "WEIGHTS", "ENGINE"])
        with as_owner():
            phases.filter(phase="IMAGE").delete()
        replica = Replica.objects.get()
        ReplicaPhase.objects.create(
            replica=replica, phase="IMAGE", occurred_at=at(20), learned_at=at(40)
        )
        with as_owner():
            phases.update(occurred_at=at(20))
        found = page(pete, "replica_list")
        assert (
            found.index("Image pulled +")
            < found.index("Weights loaded and verified +")
            < found.index("Engine started +")
        )

    def test_shows_what_each_does_and_as_of_when(self, pete):
        replica, moment = Replica.objects.get(), datetime.now(UTC)
        replica_minute(
            replica,
            moment,
            running=2.5,
            running_max=4,
            waiting=1.5,
            kv_use=0.31,
            ttft_p95=0.412,
            generation_tokens=6000,
        )
        found = page(pete, "replica_list")
        for words in (
            "Saturated",
            "1.5 requests wait",
            "2.5, 1.5",
            "31 %",
            "0.41 s",
            "100",
            "minute from",
        ):
            assert words in found

    def test_says_why_one_is_not_measured(self, pete):
        target(Replica.objects.get(), datetime.now(UTC), error="The endpoint cannot be reached.")
        found = page(pete, "replica_list")
        assert "Unobserved" in found
        assert "The endpoint cannot be reached." in found

    def test_shows_ended_ones_when_asked(self, pete):
        actions.record_listed(model=Replica, seen=[], scope={}, seen_until=at(100), now=at(100))
        assert "No replica now" in page(pete, "replica_list")
        assert "m-v1-predictor-pod-1" in page(pete, "replica_list", "?state=all")


@pytest.mark.usefixtures("fleet")
class TestGpuMap:
    def test_fills_a_cell_by_kv_use_and_says_it_in_words(self, pete):
        replica, moment = Replica.objects.get(), datetime.now(UTC)
        replica_minute(
            replica, moment, running=2, running_max=3, waiting_max=2, kv_use=0.42, kv_use_max=0.5
        )
        gpu("node-1", moment, pod=replica.name, sample={"power_watts": 40})
        found = page(pete, "node_list")
        assert (
            'aria-label="GPU 0 of node-1, working, held by m-v1, KV cache 42 %, up to 2 waiting, '
            'simulated"' in found
        )
        assert 'class="gpu-cell gpu-working"' in found
        assert 'height="42.0"' in found
        cells = found.partition('class="gpu-legend')[0]
        assert cells.count('class="gpu-queue"') == 1
        assert 'aria-label="GPU 0 of node-2, empty"' in found
        assert "21 %" in found  # of two GPUs, one empty

    def test_finds_the_holder_where_the_exporter_names_no_pod(self, pete):
        gpu("node-1", datetime.now(UTC))
        assert 'aria-label="GPU 0 of node-1, unobserved, held by m-v1' in page(pete, "node_list")

    def test_shows_a_gpu_that_nobody_measured_as_unobserved(self, pete):
        found = page(pete, "node_list")
        assert 'aria-label="GPU 0 of node-1, unobserved, held by m-v1' in found
        assert "1 not measured now" in joined(found)
        assert "0 %" in found

    def test_shows_what_is_behind_a_cell(self, pete):
        replica, moment = Replica.objects.get(), datetime.now(UTC)
        figures = {
            "generation_tokens": 1200,
            "prompt_tokens": 6000,
            "ttft_p50": 0.2,
            "ttft_p95": 0.34,
        }
        replica_minute(replica, moment, running_max=3, **figures)
        sample = {
            "power_watts": 40,
            "temperature_c": 51,
            "memory_used_mib": 20480,
            "memory_total_mib": 22528,
            "active": 0.5,
            "active_source": "GPU_UTIL",
            "xid": 79,
        }
        device = gpu("node-1", moment, pod=replica.name, sample=sample, is_simulated=True)
        found = page(pete, "node_list", f"?gpu=d{device.pk}")
        for words in (
            f"models/{replica.name}", "20 out and 100 in per second", "p50 0.20 s, p95 0.34 s",
            "20.0 of 22.0 GiB",
            "40 W of 72 W", "51 °C", "GPU_UTIL: some kernel ran",
            "$0.4025 per GPU and hour, simulated",
            ">figures simulated", "79", reverse("fleet:replica_detail", args=[replica.pk]),
        ):  # fmt: skip
            assert words in found
        assert '<span class="tag">' not in page(pete, "node_list", "?gpu=d0")

    def test_says_what_is_not_measured_and_why(self, pete):
        assert "the scraper is not running" in page(pete, "node_list")
        replica, moment = Replica.objects.get(), datetime.now(UTC)
        target(replica, moment)
        assert "Not everything is measured" not in page(pete, "node_list")
        ScrapeTarget.objects.update(error="The endpoint cannot be reached.")
        ScrapeTarget.objects.create(
            kind="GPU", name="DCGM exporter", tried_at=moment, error="It is away."
        )
        found = page(pete, "node_list")
        assert "1 engine does not answer: see the replicas." in found
        assert "DCGM exporter: It is away." in found

    def test_keeps_mig_instances_apart(self, pete):
        replica, moment = Replica.objects.get(), datetime.now(UTC)
        for instance, holder in (("1", replica.name), ("2", "")):
            gpu("node-1", moment, pod=holder, uuid="GPU-x", instance_id=instance, profile="3g.40gb")
        found = page(pete, "node_list")
        assert "GPU 0, MIG 3g.40gb instance 1 of node-1, unobserved, held by m-v1" in found
        assert "GPU 0, MIG 3g.40gb instance 2 of node-1, empty" in found


@pytest.mark.usefixtures("fleet")
class TestIdle:
    def test_says_why_an_empty_node_is_still_there(self, pete):
        NodePool.objects.update(
            disruption={"consolidateAfter": "2m", "consolidationPolicy": "WhenEmpty"}
        )
        found = page(pete, "node_list")
        assert "Karpenter removes an empty node 2 min after its last pod left" in found
        idle = joined(found).split('id="table-idle-gpus"')[1].split("</table>")[0]
        assert idle.count("no replica") == 1

    def test_counts_a_replica_that_nobody_calls(self, pete):
        replica, moment = Replica.objects.get(), datetime.now(UTC)
        target(replica, moment, active_at=moment - timedelta(minutes=40))
        found = page(pete, "node_list")
        assert "2 of 2 GPUs idle now: 1 empty, 1 held but not called for 15 min" in joined(found)
        assert "$19.32" in found
        assert "nobody calls it" in found
        assert "See who uses m and its rollout" in found

    def idle(self, visitor, **asked):
        """Return the list of idle GPUs as one address asks for it."""
        return visitor.get(reverse("fleet:node_list"), asked).context["idle"]

    @pytest.fixture
    def more(self):
        """A large machine that nobody uses, and one without a price."""
        Node.objects.filter(name="node-2").update(price_usd_per_hour=Decimal("0.50"))
        for name, gpus, price in (("large", 4, "8.00"), ("unpriced", 2, None)):
            seen = sightings.node(node(name=name, uid=name))
            actions.record_seen(model=Node, seen=[seen], now=at(4))
            Node.objects.filter(name=name).update(gpu_count=gpus, price_usd_per_hour=price)

    def test_is_sorted_summed_and_exported(self, pete, more):
        page = self.idle(pete)
        assert [(line.row.node.name, line.row.usd_per_day) for line in page.lines] == [
            ("large", 192), ("node-2", 12), ("unpriced", None),
        ]  # fmt: skip
        sums = {cell.column.key: cell for cell in page.sums if hasattr(cell, "column")}
        assert (sums["cost"].value, sums["cost"].unknown) == (204, 1)
        by_gpus = self.idle(pete, **{"idle-sort": "gpus", "sort": "node"})
        assert [line.row.gpus for line in by_gpus.lines] == [1, 2, 4]
        file = pete.get(reverse("fleet:node_list"), {"idle-format": "csv"})
        rows = list(csv.DictReader(io.StringIO(b"".join(file).decode())))
        assert [row["Cost (a day)"] for row in rows] == ["192", "12", ""]
        assert {row["Safe action"] for row in rows} == {"See what its claim says"}

    def test_gives_htmx_the_list_alone(self, pete):
        alone = {"HX-Request": "true", "HX-Target": "table-idle-gpus"}
        found = pete.get(reverse("fleet:node_list"), headers=alone).content.decode()
        assert "node-2" in found
        assert 'id="live"' not in found and 'id="table-nodes"' not in found

    def test_leads_to_what_can_be_done(self, pete):
        NodePool.objects.update(disruption={"consolidateAfter": "Never"})
        [line] = self.idle(pete).lines
        assert (line.cells[-1].value, line.cells[-1].url) == (
            "Change the rule of the pool", reverse("capacity:pool_list"),
        )  # fmt: skip
        Node.objects.filter(name="node-2").update(node_pool="")
        [line] = self.idle(pete).lines
        assert (line.cells[-1].value, line.cells[-1].url) == ("Remove it where it was created", "")

    def test_sorts_the_nodes_by_idle_money_and_by_state(self, pete, more):
        Node.objects.filter(name="large").update(is_unschedulable=True)
        for sort, names in {
            "-idle": ["large", "node-2", "node-1", "unpriced"],
            "idle": ["node-1", "node-2", "large", "unpriced"],
            "state": ["large"],
        }.items():
            page = pete.get(reverse("fleet:node_list"), {"sort": sort}).context["table"]
            assert [line.row.node.name for line in page.lines][: len(names)] == names
        spot = pete.get(reverse("fleet:node_list"), {"kind": "spot", "q": "node-1"})
        [line] = spot.context["table"].lines
        assert (line.row.node.name, line.row.idle_usd_per_day) == ("node-1", 0)
        kind = pete.get(reverse("fleet:node_list"), {"kind": "on-demand"}).context["table"]
        assert kind.lines == []


@pytest.mark.usefixtures("fleet")
class TestReplicaDetail:
    def show(self, visitor, query="", **headers):
        replica = Replica.objects.get()
        answer = visitor.get(
            reverse("fleet:replica_detail", args=[replica.pk]) + query, headers=headers
        )
        assert answer.status_code == 200
        return answer.content.decode()

    def charts(self, visitor, query):
        address = reverse("fleet:replica_detail", args=[Replica.objects.get().pk])
        return visitor.get(address + query).context["charts"]

    def test_draws_the_signs_and_lists_the_same_minutes(self, pete):
        replica, moment = Replica.objects.get(), datetime.now(UTC)
        for ago, waiting in ((5, 0), (4, 3), (1, 0)):
            replica_minute(
                replica, moment, ago=ago, waiting=waiting, requests={"stop": 2, "abort": 1}
            )
        found = self.show(pete)
        assert found.count("<figure") == 6  # its start, and five signs
        assert "simulated" in found
        assert found.count("1 abort, 2 stop") == 3
        assert "nobody measured" in found.lower()

    def test_shows_no_time_in_which_it_was_not_there(self, pete):
        replica, moment = Replica.objects.get(), datetime.now(UTC)
        with as_owner():
            Replica.objects.update(created_at=moment - timedelta(minutes=2))
        for ago in range(3):
            replica_minute(replica, moment, ago=ago)
        assert [len(each.at) for each in self.charts(pete, "?hours=24")] == [3] * 5

    def test_shows_the_last_hours_of_one_that_ended(self, pete):
        replica, moment = Replica.objects.get(), datetime.now(UTC)
        end = moment - timedelta(hours=30)
        with as_owner():
            Replica.objects.update(created_at=end - timedelta(hours=2), ended_at=end)
        replica_minute(replica, end, ago=1)
        found = self.show(pete, "?hours=1")
        assert "Minutes, newest first" in found
        assert {len(each.at) for each in self.charts(pete, "?hours=1")} == {60}

    def test_says_that_nothing_was_measured(self, pete):
        assert "No minute was measured in this time" in self.show(pete, "?hours=24")
        assert "No minute was measured in this time" in self.show(pete, "?hours=-1")

    def test_says_what_saturates_it(self, pete):
        replica_minute(
            Replica.objects.get(), datetime.now(UTC), waiting=4, waiting_max=6, running_max=8
        )
        assert "4 requests wait" in self.show(pete)

    def test_answers_htmx_with_the_live_part(self, pete):
        found = self.show(pete, **{"HX-Request": "true"})
        assert "<html" not in found and 'id="live"' in found

    def test_is_not_there_for_others_nor_without_a_replica(self, pete, client, charlie):
        assert pete.get(reverse("fleet:replica_detail", args=[0])).status_code == 404
        client.force_login(charlie)
        address = reverse("fleet:replica_detail", args=[Replica.objects.get().pk])
        assert client.get(address).status_code == 404

    def test_asks_as_few_queries_for_a_day_as_for_a_minute(self, pete, django_assert_num_queries):
        replica, moment = Replica.objects.get(), datetime.now(UTC)
        gpu("node-1", moment, pod=replica.name, sample={"power_watts": 40})
        for ago in range(100):
            replica_minute(replica, moment, ago=ago)
        self.show(pete)
        # this test's own look · session, person, roles · replica, phases, minutes, GPU, its
        # minutes · what it does 4
        with django_assert_num_queries(13):
            self.show(pete, "?hours=24")


@pytest.mark.usefixtures("fleet")
class TestQueries:
    @pytest.mark.parametrize("view", PAGES)
    def test_are_as_many_for_many_rows_as_for_one(self, pete, view, django_assert_num_queries):
        for number in range(60):
            name = f"many-{number}"
            actions.record_seen(
                model=Node, seen=[sightings.node(node(name=name, uid=name))], now=at(40)
            )
            actions.record_seen(
                model=NodeClaim,
                seen=[sightings.node_claim(claim(name, name, launched=4))],
                now=at(40),
            )
            seen = sightings.replica(pod(uid=name, node=name, scheduled=13, ready=30))
            actions.record_seen(model=Replica, seen=[seen], now=at(40))
        for replica in Replica.objects.all():
            target(replica, datetime.now(UTC), error="away")
            replica_minute(replica, datetime.now(UTC), running_max=3)
            gpu(
                replica.node_name,
                datetime.now(UTC),
                number=replica.uid,
                pod=replica.name,
                sample={"power_watts": 9},
            )
        page(pete, view)
        # session, person, roles · nodes, replicas, what they do 4, freshness, what is made up,
        # moving 2 · rows, which nodes carry all with them; else their count and what hangs on them;
        # on the first page since when nodes are empty, and what fails; prices 3 each of the nodes
        # behind the figures, of those in the table, and of claims
        with django_assert_num_queries(
            {"node_list": 24, "claim_list": 22, "replica_list": 19}[view]
        ):
            found = page(pete, view)
        assert "Page 1 of 2" in found

    def test_idle_money_leaves_out_what_has_no_price_and_says_so(self):
        bare = node(name="bare", uid="bare")
        bare["metadata"]["labels"] = {
            key: value for key, value in LABELS.items() if "price" not in key
        }
        actions.record_seen(model=Node, seen=[sightings.node(bare)], now=at(40))
        found = queries.figures(queries.snapshot(at(40)))
        assert (found.gpus, found.idle, found.unpriced_idle) == (3, 2, 1)
        assert found.idle_usd_per_day == Decimal("9.66")


@pytest.mark.usefixtures("fleet")
class TestApi:
    def test_answers_the_nodes(self):
        api = APIClient()
        api.force_authenticate(UserFactory(with_roles=[Role.FINANCE]))
        body = api.get("/api/v1/fleet/nodes").json()
        nodes = {row["name"]: row["busy_gpus"] for row in body["results"]}
        assert nodes == {"node-1": 1, "node-2": 0}
        assert body["stale"] is False

    def test_is_404_for_others(self, charlie):
        api = APIClient()
        api.force_authenticate(charlie)
        assert api.get("/api/v1/fleet/nodes").status_code == 404

    def test_tells_the_price_that_a_contract_says_rather_than_the_label(self, fleet):
        kind = Node.objects.present().with_gpus().first()
        PriceOverride.objects.create(
            instance_type=kind.instance_type, capacity_type=kind.capacity_type,
            region=region_of(kind.zone), usd_per_hour=Decimal("0.25"),
            active_from=timezone.now() - timedelta(days=1), reason="Agreement.",
            set_by=UserFactory(), set_at=timezone.now(),
        )  # fmt: skip
        api = APIClient()
        api.force_authenticate(UserFactory(with_roles=[Role.FINANCE]))
        told = {one["name"]: one for one in api.get("/api/v1/fleet/nodes").json()["results"]}
        found = told[kind.name]
        assert (Decimal(found["price_usd_per_hour"]), found["price_basis"]) == (
            Decimal("0.25"), "contract",
        )  # fmt: skip

"""Pools and node classes: against the real definitions, the shipped files, and the traps of
each.
"""

from copy import deepcopy
from dataclasses import replace
from datetime import time, timedelta
from pathlib import Path

import jsonschema
import pytest
import yaml

from apps.manifests import capacity, durations
from apps.manifests.capacity import BadCapacity, Budget, NodeClassRef, NodePool
from apps.manifests.schedules import Weekly, is_schedule, kept, weekly, words
from apps.manifests.text import to_yaml

ROOT = Path(__file__).resolve().parents[2]
CRDS = ROOT.parent / "shared" / "crds" / "karpenter"
EC2_REF = NodeClassRef("karpenter.k8s.aws", "EC2NodeClass", "gpu-bottlerocket")
KWOK_REF = NodeClassRef("karpenter.kwok.sh", "KWOKNodeClass", "gpu-local")
POOL = NodePool(
    name="gpu-inference",
    node_class=EC2_REF,
    families=("g6", "g6e", "p5"),
    gpus=64,
    cpu=1000,
    memory_gib=4000,
    budgets=(
        Budget("100%", ("Empty",)),
        Budget("0", ("Underutilized", "Drifted"), "0 12 * * mon-fri", "12h"),
    ),
    weight=10,
)
BARE = NodePool("spot", KWOK_REF, ("g6",), 0, capacity_types=("spot",))
EC2 = capacity.EC2NodeClass(
    name="gpu-bottlerocket",
    role="KarpenterNodeRole-inference",
    discovery="inference",
    ami_alias="bottlerocket@v1.40.0",
)
OBJECTS = [
    capacity.node_pool(POOL),
    capacity.node_pool(BARE),
    capacity.ec2_node_class(EC2),
    capacity.kwok_node_class(capacity.KwokNodeClass("gpu-local")),
]
SCHEMAS = {
    "NodePool": "karpenter.sh_nodepools.yaml",
    "EC2NodeClass": "karpenter.k8s.aws_ec2nodeclasses.yaml",
    "KWOKNodeClass": "karpenter.kwok.sh_kwoknodeclasses.yaml",
}


def closed(schema):
    """Return the schema with unknown fields forbidden, as `fieldValidation=Strict` has it; CEL is
    for the server.
    """
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if isinstance(found.get("properties"), dict) and found.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


def schema_of(kind):
    # safe, faster
    document = yaml.load((CRDS / SCHEMAS[kind]).read_text(), Loader=yaml.CSafeLoader)  # noqa: S506
    version = next(entry for entry in document["spec"]["versions"] if entry["storage"])
    return closed(version["schema"]["openAPIV3Schema"]["properties"]["spec"])


@pytest.mark.skipif(
    not CRDS.is_dir(), reason="the folder ../shared/crds with the real CRDs is not here"
)
@pytest.mark.parametrize(
    "manifest", OBJECTS, ids=lambda manifest: manifest["metadata"]["name"] + manifest["kind"]
)
class TestAgainstTheRealCrds:
    def test_fits_without_an_unknown_field(self, manifest):
        jsonschema.Draft202012Validator(schema_of(manifest["kind"])).validate(manifest["spec"])

    def test_an_unknown_field_would_be_noticed(self, manifest):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.Draft202012Validator(schema_of(manifest["kind"])).validate(
                manifest["spec"] | {"surprise": 1}
            )


class TestShippedFiles:
    """deploy/ may not import the renderers, nor they deploy/: what both say is held together
    here.
    """

    def shipped(self, name):
        return yaml.safe_load((ROOT / "deploy" / "karpenter" / name).read_text())

    def test_the_shipped_pool_is_one_that_the_portal_renders(self):
        found = self.shipped("nodepool.yaml")
        assert capacity.node_pool(capacity.read_node_pool(found)) == found

    def test_the_shipped_classes_are_what_the_portal_renders(self):
        assert capacity.ec2_node_class(EC2) == self.shipped("ec2nodeclass.yaml")
        local = capacity.kwok_node_class(capacity.KwokNodeClass("gpu-local"))
        assert local == self.shipped("local/kwoknodeclass.yaml")


class TestNodePool:
    def test_keeps_the_traps(self):
        spec = capacity.node_pool(POOL)["spec"]
        template = spec["template"]["spec"]
        assert template["nodeClassRef"] == {
            "group": EC2_REF.group,
            "kind": EC2_REF.kind,
            "name": EC2_REF.name,
        }
        assert template["taints"] == [
            {"key": "nvidia.com/gpu", "value": "true", "effect": "NoSchedule"}
        ]
        assert "nvidia.com/gpu" not in {item["key"] for item in template["requirements"]}
        assert spec["limits"] == {"nvidia.com/gpu": "64", "cpu": "1000", "memory": "4000Gi"}
        assert spec["disruption"]["consolidateAfter"] == "2m"
        assert spec["disruption"]["budgets"][1] == {
            "nodes": "0",
            "reasons": ["Underutilized", "Drifted"],
            "schedule": "0 12 * * mon-fri",
            "duration": "12h",
        }
        assert spec["weight"] == 10
        assert "weight" not in capacity.node_pool(BARE)["spec"]

    def test_spot_share_is_a_choice_of_capacity_types(self):
        values = {
            item["key"]: item["values"]
            for item in capacity.node_pool(BARE)["spec"]["template"]["spec"]["requirements"]
        }
        assert values["karpenter.sh/capacity-type"] == ["spot"]

    def test_gives_the_same_bytes_each_time(self):
        assert to_yaml([capacity.node_pool(POOL)]) == to_yaml([capacity.node_pool(replace(POOL))])

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"name": "Upper"}, "cannot name"),
            ({"name": "a" * 64}, "at most 63"),
            ({"name": "gpu\n"}, "cannot name"),
            ({"families": ("g6\n",)}, "at least one instance family"),
            ({"budgets": (Budget("10%\n"),)}, "not a number of nodes"),
            ({"budgets": (Budget("1", (), "0 12 * * *", "8h\n"),)}, "length of a window"),
            ({"families": ()}, "at least one instance family"),
            ({"families": ("g6 or so",)}, "at least one instance family"),
            ({"capacity_types": ()}, "Spot machines, on-demand machines, or both"),
            ({"capacity_types": ("reserved",)}, "Spot machines"),
            ({"gpus": -1}, "0 or more"),
            ({"memory_gib": -1}, "0 or more"),
            ({"consolidation_policy": "WhenUnderutilized"}, "policy is one of"),
            ({"consolidate_after": "2 minutes"}, "duration such as 2m"),
            ({"expire_after": ""}, "or Never"),
            ({"termination_grace_period": "Never"}, "such as 30m"),
            ({"weight": 101}, "1 to 100"),
            ({"budgets": ()}, "1 to 50"),
            ({"budgets": (Budget("10%"),) * 51}, "1 to 50"),
            ({"budgets": (Budget("101%"),)}, "not a number of nodes"),
            ({"budgets": (Budget("a few"),)}, "not a number of nodes"),
            ({"budgets": (Budget("1", ("Boredom",)),)}, "reasons are among"),
            ({"budgets": (Budget("1", (), "0 12 * * *"),)}, "come together"),
            ({"budgets": (Budget("1", (), "", "8h"),)}, "come together"),
            ({"budgets": (Budget("1", (), "every day", "8h"),)}, "five cron fields"),
            ({"budgets": (Budget("1", (), "0 25 * * *", "8h"),)}, "five cron fields"),
            ({"budgets": (Budget("1", (), "0 12 * * *", "8 hours"),)}, "length of a window"),
            ({"budgets": (Budget("1", (), "0 12 * * *", "30s"),)}, "length of a window"),
        ],
    )
    def test_refuses_in_words(self, change, words):
        with pytest.raises(BadCapacity, match=words):
            capacity.node_pool(replace(POOL, **change))

    @pytest.mark.parametrize(
        "change",
        [
            {"name": "a" * 63},
            {"gpus": 0, "cpu": 0, "memory_gib": 0},
            {"weight": 1},
            {"weight": 100},
            {"budgets": (Budget("10%"),) * 50},
            {"budgets": (Budget("0"), Budget("100%"), Budget("12"))},
            {"budgets": (Budget("1", ("Empty", "Underutilized", "Drifted")),)},
            {"budgets": (Budget("1", (), "0 12 * * *", "1h30m"),)},
            {"budgets": (Budget("1", (), "0 12 * * *", "90m"),)},
            {"consolidate_after": "Never", "expire_after": "Never"},
            {"capacity_types": ("on-demand",)},
        ],
    )
    def test_takes_all_that_karpenter_takes(self, change):
        pool = replace(POOL, **change)
        assert capacity.read_node_pool(capacity.node_pool(pool)) == pool

    @pytest.mark.parametrize("limit", ["gpus", "cpu", "memory_gib"])
    def test_refuses_each_limit_below_nothing(self, limit):
        with pytest.raises(BadCapacity, match="0 or more"):
            capacity.node_pool(replace(POOL, **{limit: -1}))

    def test_refuses_no_weight_and_machines_with_a_part_of_a_gpu(self):
        with pytest.raises(BadCapacity, match="1 to 100"):
            capacity.node_pool(replace(POOL, weight=0))
        for family in ("g6f", "gr6f"):
            with pytest.raises(BadCapacity, match=f"{family} has a part of a GPU"):
                capacity.node_pool(replace(POOL, families=("g6", family)))


class TestReadNodePool:
    def test_reads_karpenters_own_defaults(self):
        found = deepcopy(capacity.node_pool(replace(POOL, weight=None)))
        del found["spec"]["template"]["spec"]["expireAfter"]
        del found["spec"]["template"]["spec"]["terminationGracePeriod"]
        del found["spec"]["disruption"]["budgets"]
        del found["spec"]["disruption"]["consolidationPolicy"]
        pool = capacity.read_node_pool(found)
        assert (pool.expire_after, pool.termination_grace_period) == ("720h", "30m")
        assert (pool.budgets, pool.weight) == ((Budget("10%"),), None)
        assert pool.consolidation_policy == "WhenEmptyOrUnderutilized"

    @pytest.mark.parametrize(
        ("place", "value", "path"),
        [
            (("taints", 0, "effect"), "NoExecute", r"spec.template.spec.taints\[0\].effect"),
            (("taints", 0, "more"), "x", r"spec.template.spec.taints\[0\].more"),
            (("requirements", 2, "values"), ["arm64"], r"requirements\[2\].values\[0\]"),
            (("requirements", 1, "operator"), "NotIn", "Spot machines, on-demand machines"),
        ],
    )
    def test_names_the_place_of_what_it_would_change(self, place, value, path):
        found = deepcopy(capacity.node_pool(POOL))
        field, index, key = place
        found["spec"]["template"]["spec"][field][index][key] = value
        with pytest.raises(BadCapacity, match=path):
            capacity.read_node_pool(found)

    @pytest.mark.parametrize("pool", [POOL, BARE])
    def test_reads_what_was_rendered(self, pool):
        text = to_yaml([capacity.node_pool(pool)])
        assert capacity.read_node_pool(yaml.safe_load(text)) == pool

    def test_takes_a_number_for_a_quantity(self):
        found = capacity.node_pool(POOL)
        found["spec"]["limits"]["nvidia.com/gpu"] = 64
        assert capacity.read_node_pool(found) == POOL

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("spec.limits.nodes", "7"),
            ("spec.replicas", 3),
            ("spec.template.spec.startupTaints", [{"key": "a", "effect": "NoSchedule"}]),
            ("spec.template.metadata.annotations", {"a": "b"}),
            ("metadata.annotations", {"a": "b"}),
        ],
    )
    def test_refuses_what_it_would_drop(self, path, value):
        found = deepcopy(capacity.node_pool(POOL))
        *parents, last = path.split(".")
        place = found
        for name in parents:
            place = place[name]
        place[last] = value
        with pytest.raises(BadCapacity, match=f"{path}.*by hand"):
            capacity.read_node_pool(found)

    def test_refuses_another_requirement_than_it_renders(self):
        found = deepcopy(capacity.node_pool(POOL))
        found["spec"]["template"]["spec"]["requirements"].append(
            {"key": "zone", "operator": "In", "values": ["a"]}
        )
        with pytest.raises(BadCapacity, match="requirements"):
            capacity.read_node_pool(found)

    @pytest.mark.parametrize(
        "manifest", [{}, {"kind": "NodePool"}, OBJECTS[2], {**OBJECTS[0], "spec": None}]
    )
    def test_refuses_what_is_no_pool(self, manifest):
        with pytest.raises(BadCapacity):
            capacity.read_node_pool(manifest)

    def test_refuses_a_pool_without_a_gpu_limit(self):
        found = deepcopy(capacity.node_pool(POOL))
        del found["spec"]["limits"]
        with pytest.raises(BadCapacity, match="without limit"):
            capacity.read_node_pool(found)


class TestCarries:
    def test_ignores_what_the_server_filled_in_and_nothing_else(self):
        wanted = capacity.node_pool(POOL)
        found = deepcopy(wanted)
        found["spec"]["template"]["spec"]["startupTaints"] = []
        found["status"] = {"nodes": 3}
        assert capacity.carries(found, wanted)
        found["spec"]["limits"]["nvidia.com/gpu"] = "65"
        assert not capacity.carries(found, wanted)
        fewer = deepcopy(wanted)
        fewer["spec"]["disruption"]["budgets"].pop()
        assert not capacity.carries(fewer, wanted)
        assert not capacity.carries({}, wanted)

    @pytest.mark.parametrize("budgets", [None, "all", [], [{"nodes": "10%"}, {"nodes": "1"}]])
    def test_compares_each_of_a_list(self, budgets):
        wanted = capacity.node_pool(BARE)
        found = deepcopy(wanted)
        found["spec"]["disruption"]["budgets"] = budgets
        assert not capacity.carries(found, wanted)

    def test_takes_a_number_for_a_quantity(self):
        wanted = capacity.node_pool(POOL)
        found = deepcopy(wanted)
        found["spec"]["limits"]["nvidia.com/gpu"] = 64
        assert capacity.carries(found, wanted)


class TestSchedules:
    @pytest.mark.parametrize(
        "text",
        [
            "0 12 * * mon-fri",
            "*/15 0-6,20 1 JAN-mar 0",
            "59 23 31 12 6",
            "0 0 1 1 0",
            "5-5 */1 1-31/2 dec sun-sat",
            "5/15 * * feb sat",
        ],
    )
    def test_takes(self, text):
        assert is_schedule(text)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "@daily",
            "* * * *",
            "60 * * * *",
            "* * 0 * *",
            "* * * * 7",
            "*/0 * * * *",
            "5-1 * * * *",
            "x * * * *",
            "* 24 * * *",
            "* * 32 * *",
            "* * * 0 *",
            "* * * 13 *",
            "*/x * * * *",
            "5/ * * * *",
            "1-2-3 * * * *",
            "1, * * * *",
            "٣ * * * *",
            "mon * * * *",
            "* * * mon *",
            "* * * * jan",
            "* * * * * *",
        ],
    )
    def test_refuses(self, text):
        assert not is_schedule(text)


class TestNodeClasses:
    def test_the_second_disk_holds_image_and_weights(self):
        disks = capacity.ec2_node_class(EC2)["spec"]["blockDeviceMappings"]
        assert disks[1]["deviceName"] == "/dev/xvdb"
        assert disks[1]["ebs"]["volumeSize"] == "300Gi"
        with pytest.raises(BadCapacity, match="at least 660 GiB"):
            capacity.ec2_node_class(replace(EC2, weights_gib=600))
        with pytest.raises(BadCapacity, match="A disk of 259 GiB .* at least 260 GiB"):
            capacity.ec2_node_class(replace(EC2, volume_gib=259))
        assert capacity.ec2_node_class(replace(EC2, volume_gib=260))

    @pytest.mark.parametrize(
        "alias", ["bottlerocket@latest", "bottlerocket", "bottlerocket-nvidia@v1.40.0"]
    )
    def test_the_machine_image_is_pinned(self, alias):
        with pytest.raises(BadCapacity, match="pinned"):
            capacity.ec2_node_class(replace(EC2, ami_alias=alias))

    def test_refuses_names_and_delays_that_cannot_be(self):
        with pytest.raises(BadCapacity):
            capacity.ec2_node_class(replace(EC2, name="A"))
        with pytest.raises(BadCapacity):
            capacity.kwok_node_class(capacity.KwokNodeClass("gpu-local", "soon"))


class TestWords:
    @pytest.mark.parametrize(
        ("schedule", "said"),
        [
            ("0 12 * * mon-fri", "Mon–Fri from 12:00"),
            ("5 7 * * 1,3-5", "Mon, Wed–Fri from 07:05"),
            ("0 0 * * */6", "Sat, Sun from 00:00"),
            ("30 7 * * *", "every day from 07:30"),
            ("30 7 * * mon,tue", "Mon, Tue from 07:30"),
            ("30 7 * * mon,tue,wed", "Mon–Wed from 07:30"),
            ("30 7 * * 0,5,6", "Fri–Sun from 07:30"),
            ("30 7 * * 1-5/2", "Mon, Wed, Fri from 07:30"),
            ("30 7 * 6 *", "from 30 7 * 6 *"),
            ("30 7-8 * * *", "from 30 7-8 * * *"),
            ("0 12 1 * *", "from 0 12 1 * *"),
            ("*/5 12 * * *", "from */5 12 * * *"),
        ],
    )
    def test_says_a_plain_time_as_people_do(self, schedule, said):
        assert words(schedule) == said


class TestWeekly:
    @pytest.mark.parametrize(
        ("schedule", "days", "at"),
        [
            ("0 12 * * mon-fri", {1, 2, 3, 4, 5}, time(12)),
            ("30 7 * * *", set(range(7)), time(7, 30)),
            ("0 1 * * sun,2,4-6/2", {0, 2, 4, 6}, time(1)),
            ("0 1 * * 3/2", {3, 5}, time(1)),
            ("0 1 * * */3", {0, 3, 6}, time(1)),
            ("0 1 * * Sat", {6}, time(1)),
            ("0 1 * * 2,4-5", {2, 4, 5}, time(1)),
        ],
    )
    def test_reads_a_time_on_days_of_the_week(self, schedule, days, at):
        assert weekly(schedule) == Weekly(frozenset(days), at)

    @pytest.mark.parametrize("other", ["0 12 1 * *", "*/5 12 * * *", "0 12 * 6 *", "@daily", ""])
    def test_is_none_for_any_other_schedule(self, other):
        assert weekly(other) is None

    @pytest.mark.parametrize(
        "text",
        ["0 12 * * mon-fri", "5 0 * * *", "59 23 * * sun,tue,thu-sat", "1 2 * * sun,fri,sat"],
    )
    def test_writes_what_it_read(self, text):
        assert weekly(text).text == text

    def test_moves_to_another_clock_and_its_days_with_it(self):
        late = Weekly(frozenset({6}), time(22))
        assert late.moved(timedelta(hours=5)) == Weekly(frozenset({0}), time(3))
        early = Weekly(frozenset({0, 3}), time(1, 30))
        assert early.moved(-timedelta(hours=2)) == Weekly(frozenset({6, 2}), time(23, 30))
        assert late.moved(timedelta(0)) == late
        assert late.moved(timedelta(hours=1, minutes=59)) == Weekly(late.days, time(23, 59))
        assert late.moved(timedelta(hours=2)) == Weekly(frozenset({0}), time(0))
        assert early.moved(-timedelta(minutes=90)) == Weekly(early.days, time(0))

    def test_keeps_the_spelling_of_the_same_schedule(self):
        assert kept("0 12 * * 1-5", "0 12 * * mon-fri") == "0 12 * * 1-5"
        assert kept("0 12 * * 1-4", "0 12 * * mon-fri") == "0 12 * * mon-fri"
        assert kept("", "0 12 * * *") == "0 12 * * *"


class TestDurations:
    @pytest.mark.parametrize(
        ("text", "said", "unit"),
        [
            ("2m", "2 min", (2, "m")), ("1h30m", "1 h 30 min", (90, "m")),
            ("90s", "1 min 30 s", (90, "s")), ("720h", "720 h", (720, "h")),
            ("3600s", "1 h", (1, "h")), ("60s", "1 min", (1, "m")), ("1s", "1 s", (1, "s")),
            ("1h1m1s", "1 h 1 min 1 s", (3661, "s")), ("59m60s", "1 h", (1, "h")),
            ("0s", "0 s", (0, "m")),
        ],
    )  # fmt: skip
    def test_are_said_and_taken_apart(self, text, said, unit):
        assert durations.words(text) == said
        assert durations.in_one_unit(text) == unit

    def test_what_is_none_is_said_as_it_is(self):
        assert durations.words("Never") == "never"
        assert durations.words("soon") == "soon"
        with pytest.raises(ValueError, match="soon"):
            durations.in_one_unit("soon")
        for text in ("", "1d", "1h 2m", "h", "1.5h", "Never"):
            assert not durations.is_duration(text)
            assert text == "Never" or durations.words(text) == text

    def test_are_times(self):
        assert durations.length("1h30m5s") == timedelta(hours=1, minutes=30, seconds=5)
        assert durations.length("Never") == timedelta(0)

    def test_keep_the_spelling_of_the_same_length(self):
        assert durations.kept("1h30m", "90m") == "1h30m"
        assert durations.kept("1h", "90m") == "90m"
        assert durations.kept("Never", "2m") == "2m"

"""What Karpenter 1.14 and AWS accept and then do something else with, or refuse only in the
cluster: one test per trap.

Pools and classes as the portal renders them and as deploy/ ships them. What a schema or a CEL rule
refuses by itself is in test_dry_run.py, on the real API server; what the portal refuses in words is
in test_capacity.py.
"""

import json
import re
from copy import deepcopy
from dataclasses import replace

import pytest
import yaml

from apps.fleet import prices
from apps.manifests import capacity, serving
from apps.manifests.capacity import BadCapacity
from apps.manifests.serving_settings import USUAL
from deploy.local.cluster import instance_types
from tests.manifests.objects import CRDS, SLEEPER, VERSION, named, shipped
from tests.manifests.schemas import LOADER
from tests.manifests.test_capacity import BARE, EC2, POOL

RENDERED = [capacity.node_pool(POOL), capacity.node_pool(BARE)]
SHIPPED = [item for item in shipped() if item["kind"] == "NodePool"]
POOLS = RENDERED + SHIPPED
CLASSES = [
    capacity.ec2_node_class(EC2),
    *(item for item in shipped() if item["kind"] == "EC2NodeClass"),
]
DURATION = re.compile(r"^([0-9]+(s|m|h))+$")
# what pods may use of a g6.xlarge on EKS, of 4 vCPUs and 16 GiB
SMALLEST_LEFT = {"cpu": 3.92, "memory_mib": 14162}
# labels of Kubernetes itself, on no list of Karpenter's
ALWAYS_THERE = ("kubernetes.io/arch", "kubernetes.io/os")


def template_of(pool):
    return pool["spec"]["template"]["spec"]


def keys_of(pool):
    return [item["key"] for item in template_of(pool)["requirements"]]


def replicas():
    """Return a warm replica's spec, a sleeper's and a candidate's."""
    versions = (VERSION, SLEEPER, replace(VERSION, namespace="evals"))
    return [serving.inference_service(version)["spec"]["predictor"] for version in versions]


@pytest.mark.parametrize("pool", POOLS, ids=named)
class TestNodePool:
    def test_names_its_class_by_group_kind_and_name(self, pool):
        """`{name}` alone is refused, and group and kind can never change."""
        assert set(template_of(pool)["nodeClassRef"]) == {"group", "kind", "name"}
        assert all(template_of(pool)["nodeClassRef"].values())

    def test_says_what_a_node_is_in_the_template_and_what_a_pool_is_outside(self, pool):
        """In the wrong place they are unknown fields, which an API server drops without a word."""
        assert set(pool["spec"]) <= {"template", "limits", "disruption", "weight"}
        assert set(template_of(pool)) == {
            "nodeClassRef", "requirements", "taints", "expireAfter", "terminationGracePeriod",
        }  # fmt: skip

    def test_has_no_fixed_number_of_nodes(self, pool):
        """`replicas` makes the pool static for good: weight is refused then, and consolidation
        ignored.
        """
        assert "replicas" not in pool["spec"]

    def test_takes_gpus_by_taint_and_never_by_requirement(self, pool):
        """nvidia.com/gpu is a resource, not a label: as a requirement no machine would fit."""
        assert [taint["key"] for taint in template_of(pool)["taints"]] == [capacity.GPU]
        assert capacity.GPU not in keys_of(pool)

    def test_asks_by_no_label_that_karpenter_sets_itself(self, pool):
        assert not {"karpenter.sh/nodepool", "kubernetes.io/hostname"} & set(keys_of(pool))
        assert not any("karpenter" in key for key in pool["spec"]["template"]["metadata"]["labels"])

    def test_asks_for_one_of_some_values(self, pool):
        """An empty In is refused; Gt and its like take one number; minValues, an alpha, can leave a
        pool unusable.
        """
        for item in template_of(pool)["requirements"]:
            assert set(item) == {"key", "operator", "values"}
            assert item["operator"] == "In" and item["values"]
        assert len(keys_of(pool)) == len(set(keys_of(pool)))

    def test_says_which_machines_it_may_buy_and_how(self, pool):
        """Without a family it would buy machines without a GPU; without a capacity type the
        provider decides.
        """
        assert {capacity.FAMILY, capacity.CAPACITY_TYPE} <= set(keys_of(pool))

    @pytest.mark.skipif(
        not CRDS.is_dir(), reason="the folder ../shared/crds with the real CRDs is not here"
    )
    def test_asks_only_by_labels_that_karpenter_allows(self, pool):
        """Under karpenter.sh and karpenter.k8s.aws any other key is refused by the AWS copy of the
        definition.
        """
        assert set(keys_of(pool)) - set(ALWAYS_THERE) <= allowed_keys()

    def test_has_a_limit_of_gpus_which_is_the_pools_own(self, pool):
        """Without one a pool buys without end."""
        assert int(pool["spec"]["limits"][capacity.GPU]) >= 0
        assert set(pool["spec"]["limits"]) <= {capacity.GPU, "cpu", "memory"}

    def test_says_when_consolidation_starts(self, pool):
        """consolidateAfter is required with `disruption`; without either it is 0 s: a GPU gone
        between two calls.
        """
        disruption = pool["spec"]["disruption"]
        assert set(disruption) == {"consolidationPolicy", "consolidateAfter", "budgets"}
        assert DURATION.match(disruption["consolidateAfter"])

    def test_uses_the_present_words(self, pool):
        """v1beta1 had WhenUnderutilized, and expireAfter under disruption: refused, or dropped
        without a word.
        """
        assert pool["apiVersion"] == "karpenter.sh/v1"
        assert pool["spec"]["disruption"]["consolidationPolicy"] in (
            "WhenEmpty",
            "WhenEmptyOrUnderutilized",
        )
        assert "expireAfter" not in pool["spec"]["disruption"]

    def test_writes_its_budgets(self, pool):
        """Left out they are 10 % for any reason at any time."""
        budgets = pool["spec"]["disruption"]["budgets"]
        assert budgets
        assert all(("schedule" in budget) == ("duration" in budget) for budget in budgets)

    def test_says_how_old_a_node_grows_and_how_long_its_end_may_take(self, pool):
        """By default 720 h, and no limit at all: a pod that may not be disrupted would then hold a
        drifted node.
        """
        template = template_of(pool)
        assert template["expireAfter"] == "Never" or DURATION.match(template["expireAfter"])
        assert DURATION.match(template["terminationGracePeriod"])


class TestLivePods:
    @pytest.mark.parametrize("pool", SHIPPED, ids=named)
    def test_are_moved_one_node_at_a_time_and_not_in_office_hours(self, pool):
        """WhenEmptyOrUnderutilized after 2 min moves live GPU pods, and a model's only replica is
        away for a start.
        """
        assert pool["spec"]["disruption"]["consolidationPolicy"] == "WhenEmptyOrUnderutilized"
        budgets = [
            item
            for item in pool["spec"]["disruption"]["budgets"]
            if "Underutilized" in item["reasons"]
        ]
        assert {item["nodes"] for item in budgets if "schedule" not in item} == {"1"}
        assert [item["nodes"] for item in budgets if "schedule" in item] == ["0"]

    @pytest.mark.parametrize("pool", SHIPPED, ids=named)
    def test_never_keep_an_empty_node(self, pool):
        """The tightest budget decides, so one without reasons would hold empty nodes back too."""
        budgets = pool["spec"]["disruption"]["budgets"]
        assert [item["nodes"] for item in budgets if "Empty" in item.get("reasons", ["Empty"])] == [
            "100%"
        ]

    def test_may_be_disrupted(self):
        """do-not-disrupt stops consolidation and drift, but neither interruption nor expiry:
        budgets do instead.
        """
        for version in (VERSION, SLEEPER):
            assert (
                "karpenter.sh/do-not-disrupt"
                not in serving.inference_service(version)["metadata"]["annotations"]
            )

    @pytest.mark.parametrize("pool", POOLS, ids=named)
    def test_tolerate_the_taint_of_the_pool(self, pool):
        for predictor in replicas():
            (toleration,) = predictor["tolerations"]
            (taint,) = template_of(pool)["taints"]
            assert (toleration["key"], toleration["effect"]) == (taint["key"], taint["effect"])
            assert toleration["operator"] == "Exists"  # whatever the taint's value is

    def test_ask_for_machines_by_labels_that_the_pools_have(self):
        """A label that no pool defines would leave the pod waiting, but for NotIn."""
        for predictor in replicas():
            asked = set(
                re.findall(
                    r"'key': '([^']+/[^']+)', 'operator': "
                    r"'(?:In|NotIn)'",
                    str(predictor["affinity"]),
                )
            )
            assert asked == {capacity.CAPACITY_TYPE}
            assert all(asked <= set(keys_of(pool)) for pool in POOLS)

    def test_fit_the_smallest_machine_as_it_is_left_to_them(self):
        """A g6.xlarge is sold with 16 GiB and leaves about 14; 24 GiB would need a machine twice
        the price.
        """
        asked = USUAL
        assert int(asked.cpu) <= SMALLEST_LEFT["cpu"]
        assert int(asked.memory.removesuffix("Gi")) * 1024 <= SMALLEST_LEFT["memory_mib"]


class TestReadNodePool:
    @pytest.mark.parametrize(
        ("key", "value"),
        [
            ("minValues", 2),
            ("operator", "NotIn"),
            ("operator", "Exists"),
        ],
    )
    def test_drops_no_requirement_that_somebody_wrote_by_hand(self, key, value):
        found = deepcopy(RENDERED[0])
        template_of(found)["requirements"][0][key] = value
        with pytest.raises(BadCapacity):
            capacity.read_node_pool(found)


@pytest.mark.parametrize("node_class", CLASSES, ids=named)
class TestEC2NodeClass:
    def test_says_all_that_is_required(self, node_class):
        """Exactly one of role and instanceProfile; no selector may be empty."""
        spec = node_class["spec"]
        assert spec["role"] and "instanceProfile" not in spec
        for terms in ("subnetSelectorTerms", "securityGroupSelectorTerms"):
            assert all(value for term in spec[terms] for value in term["tags"].values())

    def test_takes_one_pinned_image_for_machines_with_and_without_a_gpu(self, node_class):
        """One alias covers both, and excludes every other term; @latest lets each new image drift
        every node.
        """
        (term,) = node_class["spec"]["amiSelectorTerms"]
        family, _, version = term["alias"].partition("@")
        assert set(term) == {"alias"} and family == "bottlerocket"
        assert re.match(r"^v\d+\.\d+\.\d+$", version)
        assert "amiFamily" not in node_class["spec"]

    def test_has_a_second_disk_that_holds_image_and_weights(self, node_class):
        """Bottlerocket keeps images and emptyDirs on /dev/xvdb: 20 GiB by default."""
        disks = {
            item["deviceName"]: item["ebs"] for item in node_class["spec"]["blockDeviceMappings"]
        }
        assert int(disks["/dev/xvdb"]["volumeSize"].removesuffix("Gi")) >= 260

    def test_has_disks_that_are_fast_and_encrypted(self, node_class):
        """Without figures gp3 has 125 MiB/s: minutes for the weights."""
        disks = [item["ebs"] for item in node_class["spec"]["blockDeviceMappings"]]
        assert all(disk["volumeType"] == "gp3" and disk["encrypted"] for disk in disks)
        assert disks[1]["throughput"] > 125 and disks[1]["iops"] > 3000

    def test_sets_local_disks_up_once(self, node_class):
        """instanceStorePolicy and userData that formats the same disks exclude each other."""
        assert node_class["spec"]["instanceStorePolicy"] == "RAID0"
        assert "userData" not in node_class["spec"]

    def test_gives_pods_no_role_of_the_node(self, node_class):
        """A hop limit of 2 would let any pod take the node's role from the metadata service."""
        options = node_class["spec"]["metadataOptions"]
        assert (options["httpTokens"], options["httpPutResponseHopLimit"]) == ("required", 1)


class TestInstanceTypes:
    @pytest.mark.parametrize("family", ["g6f", "gr6f"])
    def test_a_part_of_a_gpu_is_not_for_sale(self, family):
        """Such a machine has no nvidia.com/gpu: no replica fits it, and its count of GPUs is 0."""
        assert family not in prices.families()
        assert family not in {machine.family for machine in instance_types.load()}
        with pytest.raises(BadCapacity, match="part of a GPU"):
            capacity.node_pool(replace(POOL, families=("g6", family)))

    @pytest.mark.parametrize("pool", SHIPPED, ids=named)
    def test_every_family_of_the_shipped_pool_can_be_bought_here(self, pool):
        (families,) = [
            item["values"]
            for item in template_of(pool)["requirements"]
            if item["key"] == capacity.FAMILY
        ]
        assert set(families) <= {machine.family for machine in instance_types.load()}

    def test_local_machines_carry_every_label_that_a_pool_asks_by(self):
        """Karpenter's kwok provider knows a label only where each offering has it."""
        asked = {key for pool in POOLS for key in keys_of(pool)} - set(ALWAYS_THERE)
        for entry in json.loads(instance_types.render(instance_types.load())):
            assert entry["architecture"] == "amd64" and "linux" in entry["operatingSystems"]
            for offering in entry["offerings"]:
                assert asked <= {item["key"] for item in offering["Requirements"]}, entry["name"]


def allowed_keys():
    """Return the keys under Karpenter's domains that the real NodePool's CEL rules let through."""
    text = (CRDS / "karpenter/karpenter.sh_nodepools.yaml").read_text()
    document = yaml.load(text, Loader=LOADER)  # noqa: S506
    version = next(item for item in document["spec"]["versions"] if item["storage"])
    schema = version["schema"]["openAPIV3Schema"]
    for name in ("spec", "template", "spec"):
        schema = schema["properties"][name]
    rules = schema["properties"]["requirements"]["items"]["properties"]["key"][
        "x-kubernetes-validations"
    ]
    found = {
        key
        for rule in rules
        if " in [" in rule["rule"]
        for key in re.findall(r'"([^"]+/[^"]+)"', rule["rule"])
    }
    assert len(found) > 10
    return found - {"karpenter.sh/nodepool"}

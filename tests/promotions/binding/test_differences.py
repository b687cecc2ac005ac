"""What is told of a change between what was bound and what is true now."""

import copy

import pytest

from apps.common.canonical import digest_of
from apps.promotions.binding.bound import Binding, files_of, image_of, percents_of
from apps.promotions.binding.differences import differences, in_words
from apps.promotions.binding.pages import shown

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64
SERVING = {"cpu": "3", "gpus": 1, "engine_args": {"--seed": "1"}, "instance_types": []}
BINDING = Binding(
    model="m",
    number=7,
    registry="s3://registry/m/v7/",
    manifest=A,
    signature=A,
    run="run-1",
    report=A,
    suite=A,
    thresholds=A,
    policy=f"1 ({A})",
    baseline="m-v6",
    baseline_manifest=A,
    image="vllm:1",
    settings={"max_model_len": 2048, "serving": SERVING},
    steps={
        "SERVE": {"serving/models/m/v7.yaml": A},
        "SHIFT_10": {"serving/models/m/route.yaml": A},
        "SHIFT": {"serving/models/m/route.yaml": B},
        "RETIRE": {"serving/models/m/v6.yaml": None},
    },
)
BOUND = BINDING.as_json()


def changed(path, value):
    """Return the document with one value of it changed."""
    found = copy.deepcopy(BOUND)
    *parents, last = path
    inner = found
    for name in parents:
        inner = inner[name]
    inner[last] = value
    return found


class TestBinding:
    def test_has_the_digest_of_its_document(self):
        assert BINDING.digest == digest_of(BOUND)
        assert digest_of(changed(("image",), "vllm:2")) != BINDING.digest

    def test_is_read_by_what_rests_on_it(self):
        assert (image_of(BOUND), percents_of(BOUND)) == ("vllm:1", [10, 100])
        assert files_of(BOUND, "RETIRE") == {"serving/models/m/v6.yaml": None}
        assert files_of(BOUND, "RETURN") is None
        assert (image_of({}), percents_of({}), files_of({}, "SERVE")) == ("", [], None)


class TestDifferences:
    def test_are_none_where_nothing_changed(self):
        assert differences(BOUND, copy.deepcopy(BOUND)) == []

    @pytest.mark.parametrize(
        ("path", "value", "group", "words"),
        [
            (
                ("version", "registry"),
                "s3://other/m/v7/",
                "Same files",
                "Place in the registry: was s3://registry/m/v7/, is s3://other/m/v7/.",
            ),
            (
                ("version", "manifest"),
                B,
                "Same files",
                f"Manifest: was {'a' * 12}, is {'b' * 12}.",
            ),
            (
                ("version", "signature"),
                "",
                "Same files",
                f"Signature: was {'a' * 12}, is nothing.",
            ),
            (
                ("evaluation", "report"),
                B,
                "Same run",
                f"Evaluation report: was {'a' * 12}, is {'b' * 12}.",
            ),
            (
                ("rule", "thresholds"),
                B,
                "Same thresholds",
                f"Thresholds: was {'a' * 12}, is {'b' * 12}.",
            ),
            (
                ("rule", "policy"),
                f"2 ({B})",
                "Same policy",
                f"Promotion policy: was 1 ({'a' * 12}), is 2 ({'b' * 12}).",
            ),
            (
                ("baseline", "version"),
                "m-v5",
                "Same baseline",
                "Version that serves: was m-v6, is m-v5.",
            ),
            (("image",), "vllm:2", "Same image", "Engine image: was vllm:1, is vllm:2."),
            (
                ("settings", "serving", "gpus"),
                2,
                "Same settings",
                "GPUs a replica: was 1, is 2.",
            ),
            (
                ("settings", "serving", "engine_args", "--seed"),
                "2",
                "Same settings",
                "Engine arguments --seed: was 1, is 2.",
            ),
            (
                ("settings", "serving", "instance_types"),
                ["g6.xlarge", "g5.xlarge"],
                "Same settings",
                "Instance types: was nothing, is g6.xlarge, g5.xlarge.",
            ),
            (
                ("steps", "SERVE", "serving/models/m/v7.yaml"),
                B,
                "Same commits",
                f"serving/models/m/v7.yaml in step SERVE: was {'a' * 12}, is {'b' * 12}.",
            ),
            (
                ("steps", "RETIRE", "serving/models/m/v6.yaml"),
                A,
                "Same commits",
                f"serving/models/m/v6.yaml in step RETIRE: was nothing, is {'a' * 12}.",
            ),
        ],
    )
    def test_name_what_was_and_what_is(self, path, value, group, words):
        (found,) = differences(BOUND, changed(path, value))
        assert (found.group, found.words) == (group, words)

    def test_see_what_came_and_what_went(self):
        more = changed(("steps", "SERVE", "serving/models/m/extra.yaml"), None)
        (came,), (went,) = differences(BOUND, more), differences(more, BOUND)
        assert came.what == went.what == "serving/models/m/extra.yaml in step SERVE"

    def test_are_told_by_their_cause(self):
        both = changed(("image",), "vllm:2")
        both["steps"]["SERVE"]["serving/models/m/v7.yaml"] = B
        found = differences(BOUND, both)
        assert [each.group for each in found] == ["Same image", "Same commits"]
        assert in_words(found) == "Engine image: was vllm:1, is vllm:2."
        assert in_words(found[1:]) == found[1].words


class TestShown:
    def test_says_what_an_approval_is_over_in_the_order_of_its_steps(self):
        found = shown(BOUND, BINDING.digest)
        facts = dict(found.facts)
        assert facts["Baseline"] == f"m-v6, {'a' * 12}"
        assert facts["Engine image"]["text"] == "vllm:1"
        assert [step for step, _ in found.steps] == [
            "Start the version",
            "Move 10 % of the callers to it",
            "Move all callers to it",
            "Stop the baseline",
        ]
        assert found.steps[-1][1] == [("serving/models/m/v6.yaml", "removed")]

    def test_says_nothing_of_what_was_not_bound(self):
        assert shown({}, "") is None

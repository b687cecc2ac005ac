from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deploy.local.kubelet import status
from deploy.local.kubelet.status import Record

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
LATER = NOW + timedelta(seconds=20)
FRESH = Record("storage-initializer", "init:1", {"waiting": {"reason": status.INITIALIZING}})
ENGINE = Record("kserve-container", "vllm:1", {"waiting": {"reason": status.INITIALIZING}})
LOADING = status.running(FRESH, "process://1", NOW, again=False)
LOADED = status.terminated(LOADING, 0, "Completed", "", NOW)
REFUSED = status.terminated(LOADING, 1, "Error", "model.safetensors: SHA-256 is 1", NOW)
STARTED = status.running(ENGINE, "process://2", NOW, again=False)
READY = Record(**{**STARTED.__dict__, "ready": True, "started": True})
REFUSED_START = status.terminated(STARTED, 2, "Error", "", NOW)


def report(
    init: Record, main: Record, previous: dict[str, Any] | None = None, now: datetime = NOW
) -> dict[str, Any]:
    return status.pod_status(
        previous=previous or {},
        generation=1,
        pod_ip="10.231.0.1",
        inits=[init],
        mains=[main],
        now=now,
    )


def conditions(document: dict[str, Any]) -> dict[str, str]:
    return {entry["type"]: entry["status"] for entry in document["conditions"]}


class TestPodStatus:
    @pytest.mark.parametrize(
        ("init", "main", "phase", "initialized", "ready"),
        [
            (FRESH, ENGINE, "Pending", "False", "False"),
            (LOADING, ENGINE, "Pending", "False", "False"),
            (REFUSED, ENGINE, "Pending", "False", "False"),
            (LOADED, ENGINE, "Pending", "True", "False"),
            (LOADED, STARTED, "Running", "True", "False"),
            (LOADED, READY, "Running", "True", "True"),
            (LOADED, status.terminated(READY, 1, "Error", "", NOW), "Running", "True", "False"),
            (LOADED, status.waiting(REFUSED_START, status.CRASH_LOOP), "Running", "True", "False"),
        ],
    )  # fmt: skip
    def test_follows_from_the_containers(
        self, init: Record, main: Record, phase: str, initialized: str, ready: str
    ) -> None:
        document = report(init, main)
        assert document["phase"] == phase
        assert conditions(document) == {
            "PodReadyToStartContainers": "True", "Initialized": initialized, "Ready": ready,
            "ContainersReady": ready,
        }  # fmt: skip

    def test_names_what_is_not_ready(self) -> None:
        entries = {entry["type"]: entry for entry in report(LOADING, ENGINE)["conditions"]}
        assert (
            entries["Initialized"]["message"]
            == "containers with incomplete status: [storage-initializer]"
        )
        assert entries["Ready"]["reason"] == "ContainersNotReady"

    def test_moves_a_transition_time_only_when_the_value_changes(self) -> None:
        first = report(LOADED, STARTED)
        second = report(LOADED, READY, first, LATER)
        times = {entry["type"]: entry["lastTransitionTime"] for entry in second["conditions"]}
        assert times["Initialized"] == "2026-03-04T05:06:07Z"
        assert times["Ready"] == "2026-03-04T05:06:27Z"
        assert second["startTime"] == first["startTime"]

    def test_has_no_address_before_its_network(self) -> None:
        document = status.pod_status(
            previous={}, generation=1, pod_ip="", inits=[], mains=[ENGINE], now=NOW
        )
        assert "podIP" not in document
        assert conditions(document)["PodReadyToStartContainers"] == "False"


class TestContainerStatus:
    def test_keeps_the_run_before_as_the_last_state(self) -> None:
        waits = status.waiting(REFUSED, status.CRASH_LOOP, "back-off 10s")
        again = status.running(waits, "process://3", LATER, again=True)
        entry = status.container_status(again, init=True)
        assert entry["restartCount"] == 1
        assert entry["lastState"]["terminated"]["message"] == "model.safetensors: SHA-256 is 1"
        assert entry["state"] == {"running": {"startedAt": "2026-03-04T05:06:27Z"}}

    def test_is_ready_for_an_init_container_that_succeeded(self) -> None:
        assert status.container_status(LOADED, init=True)["ready"]
        assert not status.container_status(REFUSED, init=True)["ready"]

    def test_comes_back_from_what_was_reported(self) -> None:
        entry = status.container_status(READY, init=False)
        assert status.from_reported(entry, READY.image) == READY

    def test_says_when_nobody_saw_the_end(self) -> None:
        entry = status.container_status(status.lost(READY, LATER), init=False)
        assert entry["state"]["terminated"]["reason"] == "ContainerStatusUnknown"
        assert entry["state"]["terminated"]["startedAt"] == "2026-03-04T05:06:07Z"


class TestBackOffMessage:
    @pytest.mark.parametrize(("seconds", "span"), [(10, "10s"), (160, "2m40s"), (300, "5m0s")])
    def test_writes_durations_as_go_does(self, seconds: float, span: str) -> None:
        message = status.back_off_message(seconds, "kserve-container", "p_models(1)")
        assert (
            message
            == f"back-off {span} restarting failed container=kserve-container pod=p_models(1)"
        )

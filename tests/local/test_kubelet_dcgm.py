"""The GPUs' simulated figures: real names and labels, and nothing that does not follow from the
engines.
"""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.kubelet import dcgm
from deploy.local.kubelet.dcgm import Cards, Exporter, Holder

H100 = Cards(2, "NVIDIA H100 80GB HBM3", 81920, 700)
Series = dict[tuple[str, str], tuple[float, dict[str, str]]]


class Engine(BaseHTTPRequestHandler):
    """An engine with 32 requests."""

    def do_GET(self) -> None:
        body = (
            b'vllm:num_requests_running{engine="0"} 30.0\nvllm:num_requests_running{engine="1"} '
            b"2.0\n"
        )
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Engine) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def holder(uid: str = "uid-1", port: int | None = None, gpus: int = 1) -> Holder:
    return Holder(uid, "models", f"pod-{uid}", "kserve-container", "node-1", gpus, port)


def render(*rounds: list[Holder]) -> Series:
    """Return the last round's series by (metric, GPU's number)."""

    async def played() -> str:
        exporter, text = Exporter(), ""
        for holders in rounds:
            text = await exporter.render({"node-1": H100}, holders)
        await exporter.close()
        return text

    text = asyncio.run(played())
    return {
        (sample.name, sample.labels["gpu"]): (sample.value, dict(sample.labels))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class TestExporter:
    def test_names_and_labels_are_the_real_exporters_and_say_simulated(self, port: int) -> None:
        found = render([holder(port=port)])
        assert {name for name, _ in found} == {name for name, _ in dcgm.FIELDS}
        _, labels = found["DCGM_FI_DEV_GPU_UTIL", "0"]
        assert labels["UUID"].startswith("GPU-")
        assert labels == labels | {
            "gpu": "0", "device": "nvidia0", "modelName": "NVIDIA H100 80GB HBM3",
            "Hostname": "node-1",
            "namespace": "models", "pod": "pod-uid-1", "container": "kserve-container",
            "simulated": "true",
        }  # fmt: skip
        assert "pod" not in found["DCGM_FI_DEV_GPU_UTIL", "1"][1]
        assert labels["UUID"] != found["DCGM_FI_DEV_GPU_UTIL", "1"][1]["UUID"]

    def test_follows_what_the_engine_does(self, port: int) -> None:
        found = {key: value for key, (value, _) in render([holder(port=port)]).items()}
        # as measured at 32 requests
        assert found["DCGM_FI_DEV_POWER_USAGE", "0"] == pytest.approx(626, abs=1)
        assert (found["DCGM_FI_DEV_GPU_UTIL", "0"], found["DCGM_FI_DEV_GPU_UTIL", "1"]) == (100, 0)
        assert found["DCGM_FI_DEV_POWER_USAGE", "1"] == 70
        assert (found["DCGM_FI_DEV_FB_USED", "1"], found["DCGM_FI_DEV_FB_FREE", "1"]) == (0, 81920)
        assert found["DCGM_FI_DEV_FB_USED", "0"] + found["DCGM_FI_DEV_FB_FREE", "0"] == 81920

    def test_shows_a_card_whose_engine_does_not_answer_as_taken_and_quiet(self) -> None:
        found = {key: value for key, (value, _) in render([holder(port=9)]).items()}
        assert found["DCGM_FI_DEV_GPU_UTIL", "0"] == 0
        assert found["DCGM_FI_DEV_FB_USED", "0"] > 70000

    def test_lets_each_pod_keep_its_cards_while_it_is_there(self) -> None:
        first, second, third = holder("a"), holder("b"), holder("c")
        found = render([first, second], [second], [third, second])
        pods = {
            number: labels.get("pod")
            for (name, number), (_, labels) in found.items()
            if name.endswith("TEMP")
        }
        assert pods == {"0": "pod-c", "1": "pod-b"}

    def test_gives_a_pod_as_many_cards_as_it_asked_for(self) -> None:
        found = render([holder("a", gpus=2)])
        assert {labels["pod"] for _, labels in found.values()} == {"pod-a"}


class TestReadCards:
    def test_reads_a_node_of_the_local_karpenter(self) -> None:
        labels = {
            "karpenter.k8s.aws/instance-gpu-name": "l4",
            "karpenter.k8s.aws/instance-gpu-memory": "22888",
        }
        node = {"metadata": {"labels": labels}, "status": {"capacity": {"nvidia.com/gpu": "4"}}}
        assert dcgm.read_cards(node) == Cards(4, "NVIDIA L4", 22888, 72)

    def test_is_none_for_a_node_without_gpus(self) -> None:
        assert dcgm.read_cards({"metadata": {}, "status": {}}) is None


class TestPowerShare:
    @pytest.mark.parametrize(
        ("running", "share"), [(0, 0.1), (1, 0.64), (8, 0.749), (128, 0.983), (500, 0.983)]
    )
    def test_goes_through_the_measured_points(self, running: float, share: float) -> None:
        assert dcgm.power_share(running) == pytest.approx(share)

"""What the tasks of evaluations work with, as the settings name it."""

from worker.tasks import evals


class TestEngine:
    def test_is_shown_the_key_as_it_is_now(self, settings, tmp_path):
        settings.CLUSTER_HTTP_PROXY, settings.ENGINE_KEY_FILE = "", str(tmp_path / "key")
        for key in ("first", "second"):
            (tmp_path / "key").write_text(f"{key}\n")
            with evals.surroundings().engine("http://candidate") as client:
                assert client._http.headers["authorization"] == f"Bearer {key}"

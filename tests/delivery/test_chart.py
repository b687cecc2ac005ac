"""The portal's chart with Helm itself: it renders what is kept, and a wrong value is named."""

import json

import pytest
import yaml

from deploy.portal import variables
from tests.delivery import chart
from tests.delivery.chart import HelmRefused, of_kind, render

pytestmark = [
    pytest.mark.delivery,
    pytest.mark.skipif(
        chart.helm() is None,
        reason="helm is not built: python -m deploy.local.platform build --delivery",
    ),
]


@pytest.fixture
def without(tmp_path):
    """Write the example's values without some names, and return the file."""

    def write(*names):
        path = tmp_path / "values.yaml"
        path.write_text(yaml.safe_dump(chart.example_without(*names)))
        return path

    return write


def rendered(*arguments, **how):
    return [one for one in yaml.safe_load_all(render(*arguments, **how)) if one]


class TestChart:
    def test_is_free_of_faults_that_helm_knows(self):
        found = chart.run(
            "lint", "--strict", str(chart.CHART), "-n", chart.NAMESPACE, "-f", str(chart.EXAMPLE)
        )
        assert "0 chart(s) failed" in found

    def test_renders_what_is_kept(self):
        assert chart.RENDERED.read_text() == chart.written()

    def test_renders_the_same_again(self):
        assert render() == render()

    def test_is_packed_without_its_examples(self, tmp_path):
        said = chart.run("package", str(chart.CHART), "-d", str(tmp_path))
        packed = said.strip().rpartition(" ")[2]
        assert "quartermaster-1.0.0.tgz" in packed
        values = chart.run("show", "values", packed)
        assert yaml.safe_load(values)["web"]["replicas"]["least"] == 2


class TestWrongValues:
    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--set", "variables.ROLLOUT_HOLD_SECOND=5"], "ROLLOUT_HOLD_SECOND"),
            (["--set", "variables.STEP_UP_SECONDS=5"], "STEP_UP_SECONDS"),
            (["--set", "variables.NOTICE_DAYS=lots"], "NOTICE_DAYS.*integer"),
            (["--set", "variables.SIGNER=paper"], "SIGNER"),
            (["--set", "variables.SERVING_IMAGE=vllm:latest"], "SERVING_IMAGE"),
            (["--set", "variables.AWS_PRICES=maybe"], "AWS_PRICES.*boolean"),
            (["--set", "variables.PORTAL_URL=portal.example.com"], "PORTAL_URL"),
            (["--set", "variables.OIDC_ISSUER=null"], "OIDC_ISSUER"),
            (["--set", "variables.KUBECONFIG=/root/.kube/config"], "KUBECONFIG"),
            (["--set", "variables.SECRET_KEY=hush"], "SECRET_KEY"),
            (["--set", "variables.GITOPS_REMOTE=https://u:hush@git.example/r"], "GITOPS_REMOTE"),
            (["--set", "secrets.SECRET_KEY=hush"], "SECRET_KEY.*object"),
            (["--set", "secrets.SECRET_KEY.file=/x"], "SECRET_KEY"),
            (["--set", "secrets.SECRET_KEYS.file=/x"], "SECRET_KEYS"),
            (["--set", "secrets.OIDC_CLIENT_SECRET=null"], "OIDC_CLIENT_SECRET"),
            (["--set", "variables.REDIS_URL=rediss://cache.example:6379/0"], "REDIS_URL is in var"),
            (["--set", "image.digest=latest"], "digest"),
            (["--set", "image.tag=v1"], "tag"),
            (["--set", "web.replicas=3"], "/web/replicas.*object"),
            (["--set", "web.replicas.least=9"], "web.replicas: most .6. is less than least .9."),
            (["--set", "web.resources.limits.memory=much"], "memory"),
            (["--set", "roles.webserver=arn:aws:iam::111122223333:role/x"], "webserver"),
            (["--set", "roles.web=admin"], "/roles/web"),
            (["--set", "network.people.cidrs={10.20.0.0}"], "cidrs"),
            (["--set", "network.database.ports={0}"], "ports"),
            (["--set", "volumes[0].name=x,volumes[0].secret.secretName=y"], "secret"),
            (["--set", "variables.USAGE_LOG_FILE=/var/log/envoy/access.log"], "follower.volume"),
            (["--set", "vault.adress=x"], "adress"),
            (["--set", "web.image=other"], "image"),
        ],
    )
    def test_is_named_before_anything_is_applied(self, arguments, words):
        with pytest.raises(HelmRefused, match=f"(?s){words}"):
            render(*arguments)

    def test_another_namespace_is_refused(self):
        with pytest.raises(HelmRefused, match="into the namespace quartermaster, not default"):
            render(namespace="default")

    @pytest.mark.parametrize(
        "name",
        [
            one.name
            for one in variables.variables()
            if one.is_needed and one.name not in variables.OWN
        ],
    )
    def test_nothing_that_is_needed_can_be_left_out(self, name, without):
        with pytest.raises(HelmRefused, match=name):
            render(values=without(f"variables.{name}", f"secrets.{name}"))


class TestValues:
    def test_a_number_is_written_as_a_process_reads_it(self):
        web = environment(rendered("--set", "variables.USAGE_RAW_DAYS=1000000"), "web")
        assert web["USAGE_RAW_DAYS"] == web["ROLLOUT_MINIMUM_CALLS"] == "1000000"
        assert web["BILL_TOLERANCE_PERCENT"] == "0.5"
        assert web["AWS_PRICES"] == "True"

    def test_an_address_without_a_login_is_a_variable_and_needs_no_vault(self, without):
        found = rendered(
            "--set=variables.REDIS_URL=rediss://cache.example:6379/0",
            values=without("secrets.REDIS_URL"),
        )
        assert environment(found, "web")["REDIS_URL"] == "rediss://cache.example:6379/0"
        assert "REDIS_URL_FILE" not in environment(found, "web")

    def test_a_file_that_is_there_is_asked_of_nobody(self, without):
        volume = {"name": "csi", "csi": {"driver": "secrets-store.csi.k8s.io"}}
        mount = {"name": "csi", "mountPath": "/mnt/secrets"}
        secret = {"file": "/mnt/secrets/key"}
        given = {"volumes": [volume], "volumeMounts": [mount], "secrets.SECRET_KEY": secret}
        found = rendered(
            *(f"--set-json={name}={json.dumps(given[name])}" for name in given),
            values=without("secrets.SECRET_KEY"),
        )
        pod = of_kind("Deployment", found)["web"]["spec"]["template"]
        assert environment(found, "web")["SECRET_KEY_FILE"] == "/mnt/secrets/key"
        assert not [name for name in pod["metadata"]["annotations"] if "SECRET_KEY" in name]
        (container,) = pod["spec"]["containers"]
        assert mount | {"readOnly": True} in container["volumeMounts"]

    def test_the_owners_address_reaches_the_migrations_alone(self, without):
        address = "postgresql://owner@db.example/quartermaster"
        found = rendered(
            f"--set=variables.MIGRATIONS_DATABASE_URL={address}",
            values=without("secrets.MIGRATIONS_DATABASE_URL"),
        )
        assert "MIGRATIONS_DATABASE_URL" not in environment(found, "web")
        (job,) = of_kind("Job", found).values()
        for container in job["spec"]["template"]["spec"]["initContainers"]:
            env = {one["name"]: one["value"] for one in container["env"]}
            assert env["MIGRATIONS_DATABASE_URL"] == address

    def test_a_longer_drain_gives_the_gate_more_time(self):
        found = rendered("--set", "variables.GATE_DRAIN_SECONDS=900")
        gate = of_kind("Deployment", found)["gate"]["spec"]["template"]["spec"]
        assert gate["terminationGracePeriodSeconds"] == 930
        assert environment(found, "gate")["GATE_DRAIN_SECONDS"] == "900"

    def test_the_follower_comes_with_its_log(self):
        found = rendered(
            "--set", "variables.USAGE_LOG_FILE=/var/log/envoy/access.log",
            "--set", "follower.volume.persistentVolumeClaim.claimName=envoy-log",
        )  # fmt: skip
        pod = of_kind("Deployment", found)["follower"]["spec"]["template"]["spec"]
        mounts = {one["name"]: one for one in pod["containers"][0]["volumeMounts"]}
        assert mounts["log"] == {"name": "log", "mountPath": "/var/log/envoy", "readOnly": True}
        assert {"name": "log", "persistentVolumeClaim": {"claimName": "envoy-log"}} in pod[
            "volumes"
        ]

    def test_with_kms_nobody_gets_a_token_of_vault(self):
        ways = ("SIGNER", "AUDIT_SIGNER", "PROMPT_KEYS")
        found = rendered("--set", ",".join(f"variables.{way}=kms" for way in ways))
        for name in of_kind("Deployment", found):
            assert "VAULT_TOKEN_FILE" not in environment(found, name)


def environment(objects, name):
    pod = of_kind("Deployment", objects)[name]["spec"]["template"]["spec"]
    return {one["name"]: one["value"] for one in pod["containers"][0]["env"]}

"""The portal's chart: what follows from it as it was rendered last, and from its values."""

import json
import os
import re
import subprocess
import sys

import pytest
import yaml

from deploy.portal import variables
from tests.delivery.chart import CHART, RENDERED, ROOT, digest, kept, of_kind
from tests.manifests.test_traps import ROUTE

OBJECTS = kept()
DEPLOYMENTS = of_kind("Deployment", OBJECTS)
(MIGRATIONS,) = of_kind("Job", OBJECTS).values()
PODS = {name: one["spec"]["template"] for name, one in DEPLOYMENTS.items()}
ALL_PODS = {**PODS, "migrations": MIGRATIONS["spec"]["template"]}
SCHEMA = json.loads(variables.SCHEMA.read_text())
NEW_RENDERING = "python -m tests.delivery.chart writes tests/manifests/chart.yaml anew"
# what README's tables say of the local stack alone
LOCAL = {"GUARD_PORT"}
# single words, which the pattern below does not take for a variable, and what boto3 reads
TOLD_OTHERWISE = {"AWS_REGION", "DEBUG", "KUBECONFIG", "SAMPLE", "SIGNER"}
READS_THE_CLUSTER = {"observer", "scraper", "web", "worker"}


def containers(pod):
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def environment(pod):
    (first, *others) = (
        {one["name"]: one["value"] for one in container["env"]} for container in containers(pod)
    )
    assert all(other == first for other in others)
    return first


def every(kind, found=OBJECTS):
    """Yield each value that stands under the key `kind` anywhere."""
    parts = found.items() if isinstance(found, dict) else enumerate(found)
    for key, value in parts:
        if key == kind:
            yield value
        if isinstance(value, dict | list):
            yield from every(kind, value)


def written(name):
    """Return which processes Vault's agent writes a file for."""
    found = f"vault.hashicorp.com/agent-inject-secret-{name}"
    return {pod for pod, one in ALL_PODS.items() if found in one["metadata"]["annotations"]}


class TestKept:
    def test_is_what_the_chart_of_today_renders(self):
        assert RENDERED.read_text().split("\n", 1)[0] == f"# sources: {digest()}", NEW_RENDERING

    def test_holds_every_process(self):
        assert set(DEPLOYMENTS) == {
            "beat", "gate", "observer", "registry", "scraper", "sealer", "web", "worker",
        }  # fmt: skip


class TestVariables:
    def test_the_schema_is_what_settings_say(self):
        before = variables.SCHEMA.read_text()
        assert variables.current(before, variables.variables()) == before, (
            "python -m deploy.portal.variables --write brings values.schema.json up to date"
        )

    def test_each_of_the_readmes_tables_is_a_value_or_set_by_the_chart(self):
        assert named(in_tables=True) - LOCAL <= known()

    def test_each_is_told_of_in_the_readme(self):
        assert known() - named(in_tables=False) <= TOLD_OTHERWISE

    def test_each_that_the_chart_sets_itself_exists(self):
        assert set(variables.OWN) <= {one.name for one in variables.variables()}

    def test_a_range_a_choice_and_a_form_are_taken_from_settings(self):
        text = (
            'WAYS = ("a", "b")\nX = env_int("X", 7, minimum=2, maximum=1_0)\n'
            'Y = env_choice("Y", "a", WAYS)\nZ = env_url("Z")\n'
            'W = env_database("W_URL", beside="W_PASSWORD")\nV = env_str("V") if X else ""\n'
            'U = env_hosts("U")\nT_FILE = env_str("T_FILE")\n'
        )
        found = {one.name: one for one in variables.variables(text)}
        assert found["X"].schema == {"type": "integer", "minimum": 2, "maximum": 10}
        assert found["Y"].schema == {"enum": ["a", "b"]}
        assert found["Z"].schema["pattern"] == "^(https?)://\\S+$"
        needed = {name for name, one in found.items() if one.is_needed}
        assert needed == {"Z", "W_URL", "T_FILE", "AWS_REGION"}
        secret = {name for name, one in found.items() if one.is_secret}
        assert secret == {"W_URL", "W_PASSWORD", "T_FILE"}
        assert {name for name, one in found.items() if one.is_address} == {"W_URL"}

    def test_no_address_with_a_login_is_a_value(self):
        for name in ("DATABASE_URL", "REDIS_URL", "GITOPS_REMOTE"):
            login = SCHEMA["$defs"]["variables"]["properties"][name]["not"]["pattern"]
            assert re.search(login, "rediss://user:secret@cache.example:6379/0")
            assert not re.search(login, "rediss://user@cache.example:6379/0")

    def test_the_templates_ask_for_each_address_that_is_needed(self):
        text = (CHART / "templates" / "_helpers.tpl").read_text()
        (asked,) = re.findall(r"range list ((?:\"[A-Z_]+\" ?)+)-", text)
        assert re.findall(r"[A-Z_]+", asked) == SCHEMA["$defs"]["addresses"]["enum"]

    def test_secrets_that_only_some_processes_get_exist(self):
        text = (CHART / "templates" / "_helpers.tpl").read_text()
        scopes = text.partition('"quartermaster.scopes" -}}')[2].partition("{{- end }}")[0]
        assert set(yaml.safe_load(scopes)) <= set(SCHEMA["$defs"]["secrets"]["properties"])


def named(*, in_tables):
    """Return the variables that README.md names."""
    lines = (ROOT / "README.md").read_text().splitlines()
    pattern = r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:\(_FILE\)|=[^`]*)?`"
    kept = [line for line in lines if line[:1] == "|" or not in_tables]
    return {name for line in kept for name in re.findall(pattern, line)}


def known():
    parts = ("variables", "secrets")
    values = {name for part in parts for name in SCHEMA["$defs"][part]["properties"]}
    return values | set(variables.OWN)


class TestSecrets:
    def test_none_is_made_or_read(self):
        assert not of_kind("Secret", OBJECTS)
        for key in ("secretRef", "secretKeyRef", "secret", "secretName", "imagePullSecrets"):
            assert not list(every(key)), key

    @pytest.mark.parametrize(
        ("name", "who"),
        [
            ("MIGRATIONS_DATABASE_URL", {"migrations"}),
            ("PROMPT_SUBJECT_KEY", {"gate", "web"}),
            ("USAGE_INGEST_TOKEN_FILE", {"web"}),
            ("SCALING_TOKEN_FILE", {"web"}),
            ("MAIL_URL", {"worker"}),
            ("ENGINE_KEY_FILE", {"gate", "worker"}),
            ("WEBHOOK_KEY", {"web", "worker"}),
            ("DATABASE_URL", set(ALL_PODS)),
        ],
    )
    def test_goes_to_those_that_need_it_alone(self, name, who):
        assert written(name) == who

    @pytest.mark.parametrize("name", ALL_PODS)
    def test_is_a_file_that_the_agent_writes_in_the_very_place_where_the_process_looks(self, name):
        annotations = ALL_PODS[name]["metadata"]["annotations"]
        for variable, value in environment(ALL_PODS[name]).items():
            secret = value.removeprefix("/vault/secrets/")
            if secret == value or variable == "GATE_TLS_FOLDER":
                continue
            if secret == "token":  # noqa: S105
                assert annotations["vault.hashicorp.com/agent-inject-token"] == "true"
            elif variable not in ("SCALING_TOKEN_FILE", "USAGE_INGEST_TOKEN_FILE"):
                assert f"vault.hashicorp.com/agent-inject-template-{secret}" in annotations

    def test_the_gate_has_the_key_of_engines_that_serve_and_the_worker_that_of_candidates(self):
        name = "vault.hashicorp.com/agent-inject-secret-ENGINE_KEY_FILE"
        paths = {who: ALL_PODS[who]["metadata"]["annotations"][name] for who in ("gate", "worker")}
        assert paths["gate"].endswith("/models")
        assert paths["worker"].endswith("/evals")

    def test_the_token_of_vault_goes_to_those_that_sign_or_unwrap(self):
        found = {name for name, pod in ALL_PODS.items() if "VAULT_TOKEN_FILE" in environment(pod)}
        assert found == {"gate", "registry", "sealer", "web"}

    def test_each_process_has_a_role_of_its_own_at_vault(self):
        roles = {
            name: pod["metadata"]["annotations"]["vault.hashicorp.com/role"]
            for name, pod in ALL_PODS.items()
        }
        assert roles == {name: f"quartermaster-{name}" for name in ALL_PODS}

    def test_the_job_is_not_kept_from_ending_by_an_agent(self):
        found = MIGRATIONS["spec"]["template"]["metadata"]["annotations"]
        assert found["vault.hashicorp.com/agent-pre-populate-only"] == "true"
        assert found["vault.hashicorp.com/agent-init-first"] == "true"


@pytest.mark.parametrize("name", ALL_PODS)
class TestEachPod:
    def test_runs_as_nobody_and_writes_to_folders_of_its_own(self, name):
        pod = ALL_PODS[name]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 10001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        for container in containers(ALL_PODS[name]):
            held = container["securityContext"]
            assert held["readOnlyRootFilesystem"] is True
            assert held["allowPrivilegeEscalation"] is False
            assert held["capabilities"] == {"drop": ["ALL"]}
            assert {"/tmp", "/work"} <= {one["mountPath"] for one in container["volumeMounts"]}

    def test_says_what_it_needs_and_how_much_it_may_take(self, name):
        for container in containers(ALL_PODS[name]):
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]

    def test_runs_an_image_that_is_named_by_its_digest(self, name):
        for container in containers(ALL_PODS[name]):
            assert re.search(r"@sha256:[0-9a-f]{64}$", container["image"])

    def test_has_the_clusters_credential_only_where_it_reads_the_cluster(self, name):
        given = ALL_PODS[name]["spec"]["automountServiceAccountToken"]
        assert given is (name in READS_THE_CLUSTER)

    def test_runs_as_an_account_that_is_there(self, name):
        account = ALL_PODS[name]["spec"]["serviceAccountName"]
        assert account == {"web": "portal"}.get(name, name)
        assert account in of_kind("ServiceAccount", OBJECTS)

    def test_its_settings_take_its_environment(self, name, tmp_path):
        env = environment(ALL_PODS[name])
        for variable in [one for one in env if one.endswith("_FILE")]:
            path = tmp_path / variable
            path.write_text(SECRETS.get(variable, "only-for-tests"))
            env[variable] = str(path)
        env |= without_file(env, "DATABASE_URL", "MIGRATIONS_DATABASE_URL", "REDIS_URL")
        answer = subprocess.run(
            [sys.executable, "-c", "import portal.settings"],
            env=env | {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert answer.returncode == 0, answer.stderr[-800:]


SECRETS = {
    "DATABASE_URL_FILE": "postgresql://portal:only-here@db.example/quartermaster",
    "MIGRATIONS_DATABASE_URL_FILE": "postgresql://owner:only-here@db.example/quartermaster",
    "REDIS_URL_FILE": "rediss://portal:only-here@cache.example:6379/0",
    "MAIL_URL_FILE": "smtps://user:only-here@mail.example:465",
}


def without_file(env, *names):
    """Return the addresses themselves where they came in files."""
    return {
        name: SECRETS[f"{name}_FILE"] for name in names if env.pop(f"{name}_FILE", None) is not None
    }


class TestMigrations:
    def test_run_before_the_new_release_and_stop_it_where_they_fail(self):
        account = of_kind("ServiceAccount", OBJECTS)["migrations"]
        for one in (account, MIGRATIONS):
            assert one["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
        weights = [
            int(one["metadata"]["annotations"]["helm.sh/hook-weight"])
            for one in (account, MIGRATIONS)
        ]
        assert weights == sorted(set(weights))  # the account is there first

    def test_do_what_every_release_does_in_its_order(self):
        commands = [" ".join(one["args"]) for one in containers(MIGRATIONS["spec"]["template"])]
        assert [command.removeprefix("python manage.py ") for command in commands] == [
            "migrate --no-input", "grant_privileges", "load_suites",
        ]  # fmt: skip

    def test_end_at_last(self):
        assert MIGRATIONS["spec"]["activeDeadlineSeconds"] == 30 * 60
        assert MIGRATIONS["spec"]["template"]["spec"]["restartPolicy"] == "Never"


class TestCopies:
    @pytest.mark.parametrize("name", DEPLOYMENTS)
    def test_are_found_by_what_selects_them(self, name):
        labels = PODS[name]["metadata"]["labels"].items()
        assert DEPLOYMENTS[name]["spec"]["selector"]["matchLabels"].items() <= labels
        for spread in PODS[name]["spec"]["topologySpreadConstraints"]:
            assert spread["labelSelector"]["matchLabels"].items() <= labels

    @pytest.mark.parametrize("name", DEPLOYMENTS)
    def test_are_drained_one_at_a_time_and_replaced_before_they_end(self, name):
        budget = of_kind("PodDisruptionBudget", OBJECTS)[name]
        assert budget["spec"]["maxUnavailable"] == 1
        selected = budget["spec"]["selector"]["matchLabels"]
        assert selected.items() <= PODS[name]["metadata"]["labels"].items()
        assert budget["metadata"]["namespace"] == DEPLOYMENTS[name]["metadata"]["namespace"]
        rolling = DEPLOYMENTS[name]["spec"]["strategy"]["rollingUpdate"]
        assert rolling == {"maxUnavailable": 0, "maxSurge": 1}

    @pytest.mark.parametrize("name", ["gate", "web", "worker"])
    def test_that_scale_are_counted_by_nobody_else(self, name):
        scaler = of_kind("HorizontalPodAutoscaler", OBJECTS)[name]
        assert scaler["spec"]["scaleTargetRef"]["name"] == name
        assert 1 < scaler["spec"]["minReplicas"] < scaler["spec"]["maxReplicas"]
        assert "replicas" not in DEPLOYMENTS[name]["spec"]

    def test_of_the_others_two_wait_for_one_another(self):
        counted = {
            name: one["spec"]["replicas"]
            for name, one in DEPLOYMENTS.items()
            if "replicas" in one["spec"]
        }
        assert counted == dict.fromkeys(("beat", "observer", "registry", "scraper", "sealer"), 2)


class TestWeb:
    def test_is_asked_whether_it_lives_without_its_database(self):
        (web,) = containers(PODS["web"])
        assert web["livenessProbe"]["httpGet"]["path"] == "/healthz/alive"
        assert web["startupProbe"]["httpGet"]["path"] == "/healthz/alive"
        assert web["readinessProbe"]["httpGet"]["path"] == "/healthz"

    def test_is_where_its_service_and_keda_look(self):
        service = of_kind("Service", OBJECTS)["portal"]
        (port,) = service["spec"]["ports"]
        labels = PODS["web"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items()
        (web,) = containers(PODS["web"])
        assert port["targetPort"] in {one["name"] for one in web["ports"]}
        asked = environment(PODS["web"])["SCALING_URL"]
        assert asked.startswith(f"http://portal.quartermaster.svc.cluster.local:{port['port']}/")

    def test_goes_on_while_the_load_balancer_forgets_it(self):
        (web,) = containers(PODS["web"])
        pause = web["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert 0 < pause < PODS["web"]["spec"]["terminationGracePeriodSeconds"]


class TestWorker:
    def test_has_time_to_end_every_task(self):
        longest = 120  # CELERY_TASK_TIME_LIMIT
        assert PODS["worker"]["spec"]["terminationGracePeriodSeconds"] > longest


class TestGate:
    def test_is_where_the_gateways_policy_looks(self):
        service = of_kind("Service", OBJECTS)["gate"]
        shipped = yaml.safe_load_all((ROOT / "deploy/gateway/gate.yaml").read_text())
        (backend,) = [one for one in shipped if one["kind"] == "Backend"]
        (endpoint,) = backend["spec"]["endpoints"]
        (port,) = service["spec"]["ports"]
        assert endpoint["fqdn"] == {
            "hostname": "gate.ai-gateway.svc.cluster.local",
            "port": port["port"],
        }
        assert service["metadata"]["namespace"] == "ai-gateway"
        assert service["spec"]["clusterIP"] == "None"

    def test_lets_each_call_end_before_it_ends(self):
        """A call whose gate is killed gets no answer, and is settled by nobody."""
        (gate,) = containers(PODS["gate"])
        longest = int(ROUTE["spec"]["rules"][0]["timeouts"]["request"].removesuffix("s"))
        drain = int(environment(PODS["gate"])["GATE_DRAIN_SECONDS"])
        pause = gate["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert drain >= longest
        assert PODS["gate"]["spec"]["terminationGracePeriodSeconds"] > drain + pause

    def test_gets_a_certificate_and_its_key_where_it_looks_for_them(self):
        annotations = PODS["gate"]["metadata"]["annotations"]
        assert environment(PODS["gate"])["GATE_TLS_FOLDER"] == "/vault/secrets"
        template = annotations["vault.hashicorp.com/agent-inject-template-tls.crt"]
        assert "common_name=gate.ai-gateway.svc.cluster.local" in template
        assert "/vault/secrets/tls.key" in template


class TestNetwork:
    POLICIES = [one for one in OBJECTS if one["kind"] == "NetworkPolicy"]

    def test_closes_the_portals_namespace_to_all_that_is_not_named(self):
        nothing = of_kind("NetworkPolicy", OBJECTS)["nothing"]
        assert nothing["metadata"]["namespace"] == "quartermaster"
        assert nothing["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}

    @pytest.mark.parametrize("name", ALL_PODS)
    def test_says_of_each_process_alone_whom_it_may_ask(self, name):
        labels = ALL_PODS[name]["metadata"]["labels"]
        (policy,) = [
            one
            for one in self.POLICIES
            if one["spec"]["podSelector"].get("matchLabels", {"": ""}).items() <= labels.items()
        ]
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert all(rule["to"] and rule["ports"] for rule in policy["spec"]["egress"])

    def test_lets_people_and_machines_to_the_web_server_the_gateway_to_the_gate_and_nobody_else(
        self,
    ):
        open_to = {
            one["metadata"]["name"]: [
                peer for rule in one["spec"]["ingress"] for peer in rule["from"]
            ]
            for one in self.POLICIES
            if "ingress" in one["spec"]
        }
        assert set(open_to) == {"gate", "web"}
        (envoy,) = open_to["gate"]
        assert envoy["podSelector"]["matchLabels"] == {
            "gateway.envoyproxy.io/owning-gateway-name": "ai-gateway",
            "gateway.envoyproxy.io/owning-gateway-namespace": "ai-gateway",
        }
        people, keda, collectors = open_to["web"]
        assert people == {"ipBlock": {"cidr": "10.20.0.0/20"}}
        name = "kubernetes.io/metadata.name"
        assert keda["namespaceSelector"]["matchLabels"] == {name: "keda"}
        assert collectors["namespaceSelector"]["matchLabels"] == {name: "ai-gateway"}
        assert collectors["podSelector"]["matchLabels"] == {
            "app.kubernetes.io/name": "otel-collector"
        }

    def test_lets_a_process_to_those_engines_that_let_it_in(self):
        """What the engines' own policies say, the two namespaces hold against each other."""
        for namespace in ("models", "evals"):
            assert reaching(namespace) == let_in(namespace)

    def test_lets_every_process_tell_the_collector_what_it_does(self):
        assert {name for name in ALL_PODS if 4320 in asked_ports(name)} == set(PODS)

    def test_lets_those_to_the_broker_that_send_work_and_never_the_gate(self):
        assert {name for name in ALL_PODS if 6379 in asked_ports(name)} == set(ALL_PODS) - {
            "gate", "migrations",
        }  # fmt: skip

    def test_opens_only_ports_that_are_there(self):
        for policy in self.POLICIES:
            for rule in policy["spec"].get("ingress", []):
                (port,) = rule["ports"]
                (container,) = containers(PODS[policy["metadata"]["name"]])
                assert port["port"] in {one["name"] for one in container["ports"]}


def egress(name):
    return of_kind("NetworkPolicy", OBJECTS)[name]["spec"]["egress"]


def asked_ports(name):
    return {port["port"] for rule in egress(name) for port in rule["ports"]}


def let_in(namespace):
    """Return which processes the policy of a namespace's engines lets in."""
    shipped = (ROOT / "deploy/argocd/platform/networkpolicies.yaml").read_text()
    (policy,) = [
        one
        for one in yaml.safe_load_all(shipped)
        if one["metadata"] | {"name": "engines", "namespace": namespace} == one["metadata"]
    ]
    selectors = [peer["podSelector"] for rule in policy["spec"]["ingress"] for peer in rule["from"]]
    return {
        name
        for selector in selectors
        for expression in selector.get("matchExpressions", [])
        for name in expression["values"]
    }


def reaching(namespace):
    """Return which processes may ask pods of a namespace."""
    return {
        name
        for name in ALL_PODS
        if namespace
        in {
            peer["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
            for rule in egress(name)
            for peer in rule["to"]
            if "namespaceSelector" in peer
        }
    }


class TestRoles:
    def test_those_that_read_the_cluster_are_bound_and_nobody_else(self):
        bound = {
            subject["name"]
            for one in OBJECTS
            if one["kind"].endswith("Binding")
            for subject in one["subjects"]
        }
        assert bound == {ALL_PODS[name]["spec"]["serviceAccountName"] for name in READS_THE_CLUSTER}

    def test_of_the_cloud_are_each_processs_own(self):
        given = {
            name: one["metadata"]["annotations"]["eks.amazonaws.com/role-arn"]
            for name, one in of_kind("ServiceAccount", OBJECTS).items()
            if "eks.amazonaws.com/role-arn" in one["metadata"].get("annotations", {})
        }
        assert set(given) == {"portal", "worker", "registry", "sealer"}
        assert len(set(given.values())) == len(given)

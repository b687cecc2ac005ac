{{/* Which secrets go to some processes only; every other goes to all of them. */}}
{{- define "quartermaster.scopes" -}}
AUDIT_SIGNING_KEY_FILE: [sealer]
MAIL_URL: [worker]
MIGRATIONS_DATABASE_PASSWORD: [migrations]
MIGRATIONS_DATABASE_URL: [migrations]
PRESIDIO_TOKEN: [gate, web]
PROMETHEUS_TOKEN: [scraper, web, worker]
PROMPT_KEY_FILE: [gate, web]
PROMPT_SUBJECT_KEY: [gate, web]
SCALING_TOKEN_FILE: [web]
SIGNING_KEY_FILE: [registry]
USAGE_INGEST_TOKEN_FILE: [web]
WEBHOOK_KEY: [web, worker]
{{- end }}

{{/* The processes, one Deployment each. asks: whom each may ask beside DNS and Vault, by names of .Values.network; https
is what gives those of an IAM role their credentials, too. */}}
{{- define "quartermaster.processes" -}}
web:
  account: portal
  args: [python, -m, granian, --interface, wsgi, --host, 0.0.0.0, --port, "8000", --no-ws, --workers, "1",
    --blocking-threads, "8", --backlog, "256", --respawn-failed-workers, "portal.wsgi:application"]
  scales: true
  watches: true
  grace: 60
  asks: [database, cache, https, apiServer, gateway, models, usageStore, telemetry]
worker:
  args: [python, -m, celery, -A, worker.celery, worker, --concurrency, "{{ .Values.worker.concurrency }}", --loglevel, INFO,
    --without-gossip, --without-mingle, --without-heartbeat]
  scales: true
  watches: true
  grace: 150 # longer than any task may take
  asks: [database, cache, https, apiServer, gateway, evals, usageStore, telemetry, mail]
beat:
  process: beat
  asks: [database, cache, https, telemetry]
observer:
  process: observer
  watches: true
  asks: [database, cache, https, apiServer, telemetry]
scraper:
  process: scraper
  watches: true
  asks: [database, cache, https, apiServer, models, evals, exporters, telemetry]
registry:
  process: registry
  grace: 60
  asks: [database, cache, https, telemetry]
sealer:
  process: sealer
  asks: [database, cache, https, telemetry]
{{- if .Values.variables.USAGE_LOG_FILE }}
follower:
  process: usage_follower
  asks: [database, cache, https, usageStore, telemetry]
{{- end }}
gate:
  process: gate
  namespace: ai-gateway
  scales: true
  asks: [database, https, models, usageStore, telemetry]
{{- end }}

{{/* Labels of an object of one process. Takes {name}. */}}
{{- define "quartermaster.labels" -}}
app.kubernetes.io/name: {{ .name }}
app.kubernetes.io/part-of: quartermaster
app.kubernetes.io/managed-by: Helm
{{- end }}

{{/* A value as a process reads it: whole numbers without an exponent, and True as Python writes it. */}}
{{- define "quartermaster.text" -}}
{{- if kindIs "bool" . }}{{ ternary "True" "False" . -}}
{{- else if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . -}}
{{- else }}{{ . }}{{ end -}}
{{- end }}

{{/* The secrets that a process gets, as {NAME: entry}. Takes {root, name}. */}}
{{- define "quartermaster.secrets" -}}
{{- $scopes := include "quartermaster.scopes" . | fromYaml -}}
{{- $found := dict -}}
{{- range $secret, $entry := .root.Values.secrets -}}
{{- if has $.name (get $scopes $secret | default (list $.name)) }}{{ $_ := set $found $secret $entry }}{{ end -}}
{{- end -}}
{{- $keys := dict "gate" .root.Values.engineKeys.models "worker" .root.Values.engineKeys.evals -}}
{{- with get $keys .name }}{{ $_ := set $found "ENGINE_KEY_FILE" . }}{{ end -}}
{{- toYaml $found -}}
{{- end }}

{{/* Whether a process asks Vault itself, with the token that Vault's agent keeps. Takes {root, name}. */}}
{{- define "quartermaster.transit" -}}
{{- $kept := dict "registry" "SIGNER" "sealer" "AUDIT_SIGNER" "gate" "PROMPT_KEYS" "web" "PROMPT_KEYS" -}}
{{- $variables := .root.Values.variables -}}
{{- if and (hasKey $kept .name) (eq (get $variables (get $kept .name) | default "") "transit") }}yes{{ end -}}
{{- end }}

{{/* What no schema can say: each address stands in one of two places. */}}
{{- define "quartermaster.check" -}}
{{- $variables := .Values.variables -}}
{{- $secrets := .Values.secrets -}}
{{- range list "DATABASE_URL" "GITOPS_REMOTE" "REDIS_URL" -}}
{{- if not (or (hasKey $variables .) (hasKey $secrets .)) }}{{ fail (printf "%s is in neither variables nor secrets" .) }}{{ end -}}
{{- end -}}
{{- range $name, $_ := $secrets -}}
{{- if hasKey $variables $name }}{{ fail (printf "%s is in variables and in secrets: keep one" $name) }}{{ end -}}
{{- end -}}
{{- if and $variables.USAGE_LOG_FILE (not .Values.follower.volume) -}}
{{- fail "follower.volume is empty: where does the log lie that variables.USAGE_LOG_FILE names?" -}}
{{- end -}}
{{- if ne .Release.Namespace "quartermaster" -}}
{{- fail (printf "install it into the namespace quartermaster, not %s: the roles in the cluster name it" .Release.Namespace) -}}
{{- end -}}
{{- end }}

{{/* The environment of a process. Takes {root, name}. It stands in the pod itself, so that an old pod that starts again
beside a new release keeps the settings of its own. */}}
{{- define "quartermaster.env" -}}
{{- $variables := .root.Values.variables -}}
- {name: HOME, value: /tmp}
- {name: GITOPS_WORKDIR, value: /work}
{{- if eq .name "gate" }}
- {name: GATE_LISTEN, value: "0.0.0.0:9003"}
- {name: GATE_HEALTH_LISTEN, value: "0.0.0.0:9004"}
- {name: GATE_DRAIN_SECONDS, value: {{ include "quartermaster.drain" .root | quote }}}
{{- if .root.Values.gate.certificate.path }}
- {name: GATE_TLS_FOLDER, value: /vault/secrets}
{{- end }}
{{- end }}
{{- range $variable, $value := $variables }}
{{- if and (ne $variable "GATE_DRAIN_SECONDS") (or (eq $.name "migrations") (ne $variable "MIGRATIONS_DATABASE_URL")) }}
- {name: {{ $variable }}, value: {{ include "quartermaster.text" $value | quote }}}
{{- end }}
{{- end }}
{{- $given := include "quartermaster.secrets" . | fromYaml }}
{{- range $secret, $entry := merge (dict) $given .root.Values.secrets }}
{{- $isFile := hasSuffix "_FILE" $secret }}
{{- if or $isFile (hasKey $given $secret) }}
- {name: {{ ternary $secret (printf "%s_FILE" $secret) $isFile }}, value: {{ $entry.file | default (printf "/vault/secrets/%s" $secret) }}}
{{- end }}
{{- end }}
{{- if include "quartermaster.transit" . }}
- {name: VAULT_TOKEN_FILE, value: /vault/secrets/token}
{{- end }}
{{- end }}

{{/* For how many seconds a gate that ends lets calls end: longer than a route lets one last. */}}
{{- define "quartermaster.drain" -}}
{{- include "quartermaster.text" (.Values.variables.GATE_DRAIN_SECONDS | default 610) -}}
{{- end }}

{{/* What Vault's agent injector reads. Takes {root, name}. */}}
{{- define "quartermaster.vault" -}}
{{- $vault := .root.Values.vault -}}
{{- $asked := dict -}}
{{- range $secret, $entry := include "quartermaster.secrets" . | fromYaml -}}
{{- if $entry.path }}{{ $_ := set $asked $secret $entry }}{{ end -}}
{{- end -}}
{{- $certificate := and (eq .name "gate") .root.Values.gate.certificate.path -}}
{{- $transit := include "quartermaster.transit" . -}}
{{- if or $asked .root.Values.files $certificate $transit -}}
vault.hashicorp.com/agent-inject: "true"
vault.hashicorp.com/agent-init-first: "true"
vault.hashicorp.com/agent-run-as-user: "10001"
vault.hashicorp.com/agent-run-as-group: "10001"
vault.hashicorp.com/agent-service-account-token-volume-name: vault-token
vault.hashicorp.com/auth-path: {{ $vault.authPath }}
vault.hashicorp.com/role: {{ $vault.role }}-{{ .name }}
{{- with .root.Values.variables.VAULT_NAMESPACE }}
vault.hashicorp.com/namespace: {{ . | quote }}
{{- end }}
{{- if eq .name "migrations" }}
vault.hashicorp.com/agent-pre-populate-only: "true"
{{- end }}
{{- if $transit }}
vault.hashicorp.com/agent-inject-token: "true"
{{- end }}
{{- range $secret, $entry := $asked }}
vault.hashicorp.com/agent-inject-secret-{{ $secret }}: {{ $entry.path | quote }}
vault.hashicorp.com/agent-inject-template-{{ $secret }}: {{ include "quartermaster.template" $entry | quote }}
{{- end }}
{{- range $file, $entry := .root.Values.files }}
vault.hashicorp.com/agent-inject-secret-{{ $file }}: {{ $entry.path | quote }}
vault.hashicorp.com/agent-inject-template-{{ $file }}: {{ include "quartermaster.template" $entry | quote }}
{{- end }}
{{- if $certificate }}
{{- $lasts := printf "%dh" (int .root.Values.gate.certificate.hours) }}
{{- $asking := printf "pkiCert %q %q %q" $certificate "common_name=gate.ai-gateway.svc.cluster.local" (printf "ttl=%s" $lasts) }}
vault.hashicorp.com/agent-inject-secret-tls.crt: {{ $certificate | quote }}
vault.hashicorp.com/agent-inject-template-tls.crt: {{ printf "{{ with %s }}{{ .Cert }}{{ .CA }}{{ .Key | writeToFile \"/vault/secrets/tls.key\" \"10001\" \"10001\" \"0400\" }}{{ end }}" $asking | quote }}
{{- end }}
{{- end -}}
{{- end }}

{{/* What Vault's agent writes for one secret: its template, or the one field of KV version 2. */}}
{{- define "quartermaster.template" -}}
{{- $body := .template | default (printf "{{ index .Data.data %q }}" .key) -}}
{{- printf "{{ with secret %q }}%s{{ end }}" .path $body -}}
{{- end }}

{{/* One container of the product. Takes {root, name, args, container}. */}}
{{- define "quartermaster.container" -}}
name: {{ .container | default .name }}
image: {{ .root.Values.image.repository }}@{{ .root.Values.image.digest }}
args: {{ .args | toJson }}
env: {{- include "quartermaster.env" . | nindent 2 }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  - {name: work, mountPath: /work}
{{- if and (eq .name "follower") .root.Values.variables.USAGE_LOG_FILE }}
  - {name: log, mountPath: {{ dir .root.Values.variables.USAGE_LOG_FILE }}, readOnly: true}
{{- end }}
{{- range .root.Values.volumeMounts }}
  - {name: {{ .name }}, mountPath: {{ .mountPath }}, readOnly: true}
{{- end }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
resources: {{- index .root.Values .name "resources" | toYaml | nindent 2 }}
{{- end }}

{{/* What the pods of all processes have in common. Takes {root, name, account, watches}. */}}
{{- define "quartermaster.pod" -}}
serviceAccountName: {{ .account | default .name }}
automountServiceAccountToken: {{ .watches | default false }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: {type: RuntimeDefault}
volumes:
  - {name: tmp, emptyDir: {sizeLimit: 2Gi}}
  - {name: work, emptyDir: {sizeLimit: 4Gi}}
  - name: vault-token
    projected:
      sources:
        - serviceAccountToken: {path: token, audience: {{ .root.Values.vault.audience }}, expirationSeconds: 3600}
{{- if eq .name "follower" }}
  - name: log
    {{- .root.Values.follower.volume | toYaml | nindent 4 }}
{{- end }}
{{- with .root.Values.volumes }}
{{ toYaml . | indent 2 }}
{{- end }}
{{- end }}

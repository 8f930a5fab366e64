{{/* Labels of every object. */}}
{{- define "torpor.labels" -}}
app.kubernetes.io/part-of: torpor
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* What selects the pods of a component; call with its name. Never changes: selectors are immutable. */}}
{{- define "torpor.selector" -}}
app.kubernetes.io/name: torpor-{{ . }}
{{- end }}

{{/* Reference of an image; call with (list . .Values.operator.image). */}}
{{- define "torpor.image" -}}
{{- $root := index . 0 }}{{ $image := index . 1 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default $root.Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* User name of a component's service account; call with (list . "agent"). */}}
{{- define "torpor.user" -}}
system:serviceaccount:{{ (index . 0).Release.Namespace }}:torpor-{{ index . 1 }}
{{- end }}

{{/* Environment of both components. */}}
{{- define "torpor.env" -}}
- name: TORPOR_LOG_FORMAT
  value: {{ .Values.logging.format }}
- name: TORPOR_LOG_LEVEL
  value: {{ .Values.logging.level }}
{{- end }}

{{/* Probes of both components, on their HTTP port. */}}
{{- define "torpor.probes" -}}
startupProbe:
  httpGet:
    path: /livez
    port: http
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 60
livenessProbe:
  httpGet:
    path: /livez
    port: http
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet:
    path: /readyz
    port: http
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
{{- end }}

{{/*
Whether agents say of VM pods when their guest runs. Not without the policies: RBAC alone would let each of them write any
status of any pod.
*/}}
{{- define "torpor.readiness" -}}
{{- if and .Values.webhook.enabled .Values.webhook.readinessGate .Values.admissionPolicies.enabled }}true{{ end }}
{{- end }}

{{/* Metadata of both webhook configurations. */}}
{{- define "torpor.webhook.metadata" -}}
name: torpor
labels:
  {{- include "torpor.labels" . | nindent 2 }}
{{- if .Values.webhook.certManager.enabled }}
annotations:
  cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/torpor-webhook
{{- end }}
{{- end }}

{{/*
What all webhooks have in common; call with (list . "/path" "failurePolicy"), and for one that writes or whose caller may not
wait long with its sideEffects and timeoutSeconds as well. The field caBundle is not here on purpose: the operator's
leader writes it (or cert-manager), and Helm leaves a field alone that no manifest names, in upgrades and rollbacks. A
bundle that the chart looked up would be put back by a rollback after its certificates have gone.
*/}}
{{- define "torpor.webhook" -}}
{{- $root := index . 0 -}}
clientConfig:
  service:
    name: torpor-webhook
    namespace: {{ $root.Release.Namespace }}
    path: {{ index . 1 }}
    port: 443
admissionReviewVersions: [v1]
sideEffects: {{ if gt (len .) 3 }}{{ index . 3 }}{{ else }}None{{ end }}
timeoutSeconds: {{ if gt (len .) 4 }}{{ index . 4 }}{{ else }}{{ $root.Values.webhook.timeoutSeconds }}{{ end }}
failurePolicy: {{ index . 2 }}
matchPolicy: Equivalent
# Neither the operator itself nor what it needs must wait for it.
namespaceSelector:
  matchExpressions:
    - key: kubernetes.io/metadata.name
      operator: NotIn
      values:
        {{- include "torpor.webhook.excluded" $root | splitList "," | toYaml | nindent 8 }}
{{- end }}

{{/* Namespaces that no webhook looks at, separated by commas. The operator keeps no PodDisruptionBudgets there. */}}
{{- define "torpor.webhook.excluded" -}}
{{ concat (list "kube-system" .Release.Namespace) .Values.webhook.excludedNamespaces | join "," }}
{{- end }}

{{/* Metadata of an admission policy; call with (list . "name"). */}}
{{- define "torpor.policy.metadata" -}}
name: torpor-{{ index . 1 }}
labels:
  {{- include "torpor.labels" (index . 0) | nindent 2 }}
{{- end }}

{{/* The binding that puts a policy into force; call with (list . "name"). */}}
{{- define "torpor.policy.binding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  {{- include "torpor.policy.metadata" . | nindent 2 }}
spec:
  policyName: torpor-{{ index . 1 }}
  validationActions: [Deny, Audit]
{{- end }}

{{/* Which requests are an agent's, and of which node: what its bound token says, which the API server has checked. */}}
{{- define "torpor.policy.agent" -}}
matchConditions:
  - name: by-an-agent
    expression: request.userInfo.username == '{{ include "torpor.user" (list . "agent") }}'
variables:
  - name: node
    expression: request.userInfo.?extra[?'authentication.kubernetes.io/node-name'][?0].orValue('')
{{- end }}

{{/* The first rule for every request of an agent. */}}
{{- define "torpor.policy.agent.claim" -}}
- expression: variables.node != ''
  message: >-
    this token of torpor-agent names no node: only the token of an agent's own pod does, so use that one
  reason: Forbidden
{{- end }}

{{/* Part of a policy's matchConstraints: Torpor's own namespace. */}}
{{- define "torpor.policy.own-namespace" -}}
namespaceSelector:
  matchLabels:
    kubernetes.io/metadata.name: {{ .Release.Namespace }}
{{- end }}

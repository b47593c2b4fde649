{{- define "dns-syncd.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "dns-syncd.fullname" -}}
{{- $name := include "dns-syncd.name" . -}}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- default $full .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- end -}}

{{- /* Cluster-wide names carry the namespace, so that two releases do not meet. */ -}}
{{- define "dns-syncd.memberRole" -}}
{{- printf "%s-%s-member" .Release.Namespace (include "dns-syncd.fullname" .) -}}
{{- end -}}

{{- define "dns-syncd.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "dns-syncd.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "dns-syncd.selector" -}}
app.kubernetes.io/name: {{ include "dns-syncd.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "dns-syncd.labels" -}}
{{ include "dns-syncd.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "dns-syncd.metadata" -}}
name: {{ include "dns-syncd.fullname" . }}
namespace: {{ .Release.Namespace }}
labels:
  {{- include "dns-syncd.labels" . | nindent 2 }}
{{- end -}}

{{- define "dns-syncd.image" -}}
{{- with .Values.image -}}
{{- .repository -}}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ default $.Chart.AppVersion .tag }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "dns-syncd.providerSecret" -}}
{{- default (printf "%s-provider" (include "dns-syncd.fullname" .)) .Values.provider.existingSecret -}}
{{- end -}}

{{- /* What differs between the ways to run it; an empty text is "no". */ -}}
{{- define "dns-syncd.runs" -}}{{ if ne .Values.mode "member" }}yes{{ end }}{{- end -}}
{{- define "dns-syncd.isEmbedded" -}}{{ if eq .Values.provider.name "embedded" }}yes{{ end }}{{- end -}}
{{- /* Where the host has a fence of its own, the leadership lies there. */ -}}
{{- define "dns-syncd.leaderKind" -}}
{{- $kinds := dict "coredns" "etcd" "embedded" "none" -}}
{{- .Values.config.leader.kind | default (get $kinds .Values.provider.name) | default "lease" -}}
{{- end -}}
{{- define "dns-syncd.leaseName" -}}
{{- with .Values.config -}}
{{- .leader.name | default .federation.claim | default .federation.name -}}
{{- end -}}
{{- end -}}
{{- /* In the namespace of the pod, and at the API server of the pod: elsewhere its rights are not ours to grant. */ -}}
{{- define "dns-syncd.grantsLease" -}}
{{- if and (include "dns-syncd.runs" .) (eq (include "dns-syncd.leaderKind" .) "lease") (not .Values.config.leader.kubeconfig) }}yes{{ end -}}
{{- end -}}
{{- define "dns-syncd.isMember" -}}
{{- if or (eq .Values.mode "member") .Values.members.host }}yes{{ end -}}
{{- end -}}
{{- define "dns-syncd.usesToken" -}}
{{- if or (include "dns-syncd.grantsLease" .) (and (include "dns-syncd.runs" .) .Values.members.host) }}yes{{ end -}}
{{- end -}}
{{- define "dns-syncd.adminPort" -}}{{ splitList ":" .Values.admin.listen | last }}{{- end -}}

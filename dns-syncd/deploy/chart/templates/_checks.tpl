{{- /* What the schema cannot say. */ -}}
{{- define "dns-syncd.checks" -}}
{{- if include "dns-syncd.runs" . -}}
{{- with .Values.config.federation -}}
{{- if not .name }}{{ fail "config.federation.name is missing: a label of every name" }}{{ end -}}
{{- if not (or (index . "zone-name") (index . "zone-id")) }}{{ fail "config.federation.zone-name is missing: the zone that is written" }}{{ end -}}
{{- end -}}
{{- if not .Values.provider.name }}{{ fail "provider.name is missing: the DNS host" }}{{ end -}}
{{- if and .Values.provider.existingSecret (or .Values.provider.settings .Values.provider.files) -}}
{{- fail "provider.existingSecret excludes provider.settings and provider.files: which of them counts?" -}}
{{- end -}}
{{- with .Values.members -}}
{{- if not (or .secret .secrets .host) -}}
{{- fail "there is no cluster: set members.secret, members.secrets or members.host" -}}
{{- end -}}
{{- if and .host (hasKey .secrets .host) }}{{ fail (printf "the cluster %s is both members.host and in members.secrets" .host) }}{{ end -}}
{{- end -}}
{{- if and (include "dns-syncd.isEmbedded" .) (not (index .Values.config.federation "zone-name")) -}}
{{- fail "config.federation.zone-name is missing: the provider embedded knows zones by name alone" -}}
{{- end -}}
{{- if and (gt (int .Values.replicas) 1) (eq (include "dns-syncd.leaderKind" .) "none") (not (include "dns-syncd.isEmbedded" .)) -}}
{{- fail "several replicas need a leader: leave config.leader.kind out, or set replicas to 1" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* A value in the dialect of the daemon's files: always in quotes, in which these four need a backslash. */ -}}
{{- define "dns-syncd.value" -}}
{{- $text := "" -}}
{{- if kindIs "slice" . -}}
{{- $parts := list -}}
{{- range . }}{{ $parts = append $parts (include "dns-syncd.plain" .) }}{{ end -}}
{{- $text = join ", " $parts -}}
{{- else -}}
{{- $text = include "dns-syncd.plain" . -}}
{{- end -}}
"{{ $text | replace "\\" "\\\\" | replace "\"" "\\\"" | replace "\n" "\\n" | replace "\t" "\\t" }}"
{{- end -}}

{{- /* Numbers are floating ones in Helm, of which the large would be printed as 1e+06. */ -}}
{{- define "dns-syncd.plain" -}}
{{- if kindIs "float64" . }}{{ if eq (floor .) . }}{{ int64 . }}{{ else }}{{ . }}{{ end }}{{ else }}{{ . }}{{ end -}}
{{- end -}}

{{- /* A section; what is null or empty is left to the daemon's default. */ -}}
{{- define "dns-syncd.section" -}}
[{{ .title }}]
{{ range $key, $value := .keys -}}
{{- if not (or (kindIs "invalid" $value) (eq (toString $value) "")) -}}
{{ $key }} = {{ include "dns-syncd.value" $value }}
{{ end -}}
{{- end -}}
{{- end -}}

{{- /* The sections that are read once, at the start. */ -}}
{{- define "dns-syncd.fixed" -}}
{{- $config := .Values.config -}}
{{- $provider := dict "name" .Values.provider.name "config" "/etc/dns-syncd/provider/provider.conf" -}}
{{- $source := dict "kind" "clusters" "path" "/etc/dns-syncd/clusters" -}}
{{- $admin := dict "listen" .Values.admin.listen -}}
{{- if .Values.admin.tokenSecret }}{{ $_ := set $admin "token-file" "/etc/dns-syncd/admin/token" }}{{ end -}}
{{- $leader := dict "kind" (include "dns-syncd.leaderKind" .) -}}
{{- include "dns-syncd.section" (dict "title" "Federation" "keys" $config.federation) -}}
{{- include "dns-syncd.section" (dict "title" "Provider" "keys" (merge $provider $config.provider)) -}}
{{- include "dns-syncd.section" (dict "title" "Source" "keys" (merge $source $config.source)) -}}
{{- include "dns-syncd.section" (dict "title" "Leader" "keys" (merge $leader $config.leader)) -}}
{{- include "dns-syncd.section" (dict "title" "Admin" "keys" $admin) -}}
{{- end -}}

{{- define "dns-syncd.conf" -}}
{{- $config := .Values.config -}}
{{- include "dns-syncd.fixed" . -}}
{{- with $config.sync }}{{ include "dns-syncd.section" (dict "title" "Sync" "keys" .) }}{{ end -}}
{{- with $config.guard }}{{ include "dns-syncd.section" (dict "title" "Guard" "keys" .) }}{{ end -}}
{{- range $name, $cluster := $config.clusters -}}
{{- include "dns-syncd.section" (dict "title" (printf "Cluster %s" (include "dns-syncd.value" $name)) "keys" $cluster) -}}
{{- end -}}
{{- end -}}

{{- define "dns-syncd.providerConf" -}}
{{- $settings := deepCopy .Values.provider.settings -}}
{{- if include "dns-syncd.isEmbedded" . -}}
{{- $given := dict "zones" (index .Values.config.federation "zone-name") "data-dir" "/var/lib/dns-syncd" -}}
{{- $_ := set $given "listen" (printf "%s:%v" (splitList ":" .Values.admin.listen | initial | join ":") .Values.embedded.port) -}}
{{- $settings = merge $settings $given -}}
{{- end -}}
{{- include "dns-syncd.section" (dict "title" "Global" "keys" $settings) -}}
{{- end -}}

{{- /*
The container and its volumes, for the chart's own pods and for a chart of yours that has this one as a dependency:
  containers: {{- include "dns-syncd.container" (index .Subcharts "dns-syncd") | nindent 6 }}
  volumes: {{- include "dns-syncd.volumes" (index .Subcharts "dns-syncd") | nindent 6 }}
*/ -}}
{{- define "dns-syncd.container" -}}
- name: dns-syncd
  image: {{ include "dns-syncd.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: [run, --config, /etc/dns-syncd/config/dns-syncd.conf, --log-format, json]
  {{- with .Values.env }}
  env:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  ports:
    - {name: admin, containerPort: {{ include "dns-syncd.adminPort" . }}, protocol: TCP}
    {{- if include "dns-syncd.isEmbedded" . }}
    - {name: dns, containerPort: {{ .Values.embedded.port }}, protocol: UDP}
    - {name: dns-tcp, containerPort: {{ .Values.embedded.port }}, protocol: TCP}
    {{- end }}
  # A single sick cluster shows in neither: no restart would help it.
  livenessProbe:
    httpGet: {path: /healthz, port: admin}
    initialDelaySeconds: 10
    periodSeconds: 10
    timeoutSeconds: 5
    failureThreshold: 6
  readinessProbe:
    httpGet: {path: /readyz, port: admin}
    periodSeconds: 5
    timeoutSeconds: 5
  {{- with .Values.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    readOnlyRootFilesystem: true
    allowPrivilegeEscalation: false
    capabilities: {drop: [ALL]}
    seccompProfile: {type: RuntimeDefault}
  volumeMounts:
    # Whole folders, since single files of a volume are never renewed.
    - {name: dns-syncd-config, mountPath: /etc/dns-syncd/config, readOnly: true}
    - {name: dns-syncd-provider, mountPath: /etc/dns-syncd/provider, readOnly: true}
    - {name: dns-syncd-clusters, mountPath: /etc/dns-syncd/clusters, readOnly: true}
    {{- if .Values.admin.tokenSecret }}
    - {name: dns-syncd-admin, mountPath: /etc/dns-syncd/admin, readOnly: true}
    {{- end }}
    {{- if include "dns-syncd.usesToken" . }}
    - {name: dns-syncd-token, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
    {{- end }}
    {{- if include "dns-syncd.isEmbedded" . }}
    - {name: dns-syncd-data, mountPath: /var/lib/dns-syncd}
    {{- end }}
{{- end -}}

{{- define "dns-syncd.volumes" -}}
- name: dns-syncd-config
  configMap: {name: {{ include "dns-syncd.fullname" . }}}
- name: dns-syncd-provider
  secret: {secretName: {{ include "dns-syncd.providerSecret" . }}}
# A Secret that is not there keeps the pod from starting, rather than a cluster from counting.
- name: dns-syncd-clusters
  projected:
    sources:
      {{- with .Values.members.secret }}
      - secret: {name: {{ . }}}
      {{- end }}
      {{- range $cluster, $secret := .Values.members.secrets }}
      - secret: {name: {{ $secret }}, items: [{key: kubeconfig, path: {{ $cluster }}/kubeconfig}]}
      {{- end }}
      {{- with .Values.members.host }}
      - configMap: {name: {{ include "dns-syncd.fullname" $ }}-host, items: [{key: kubeconfig, path: {{ . }}/kubeconfig}]}
      {{- end }}
{{- with .Values.admin.tokenSecret }}
- name: dns-syncd-admin
  secret: {secretName: {{ . }}}
{{- end }}
{{- if include "dns-syncd.usesToken" . }}
# The account's token for this container alone; the pod mounts it nowhere else.
- name: dns-syncd-token
  projected:
    sources:
      - serviceAccountToken: {path: token, expirationSeconds: 3607}
      - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
      - downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}
{{- end }}
{{- if and (include "dns-syncd.isEmbedded" .) (not .Values.embedded.storage) }}
- name: dns-syncd-data
  emptyDir: {}
{{- end }}
{{- end -}}

{{- /* Changes with what is read once, at the start: pods are replaced for that and for nothing else. */ -}}
{{- define "dns-syncd.checksum" -}}
{{- $resolver := default "" .Values.config.sync.resolver -}}
{{- $host := default "" .Values.members.host | printf "%s %s" .Values.members.hostServer -}}
{{- $provider := printf "%s %s" (include "dns-syncd.providerConf" .) (toJson .Values.provider.files) -}}
{{- printf "%s %s %s %s" (include "dns-syncd.fixed" .) $resolver $host $provider | sha256sum -}}
{{- end -}}

{{- define "dns-syncd.podTemplate" -}}
metadata:
  labels:
    {{- include "dns-syncd.selector" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    dns-syncd.io/restart-on: {{ include "dns-syncd.checksum" . }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "dns-syncd.serviceAccount" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  containers:
    {{- include "dns-syncd.container" . | nindent 4 }}
  volumes:
    {{- include "dns-syncd.volumes" . | nindent 4 }}
  affinity:
    {{- if .Values.affinity }}
    {{- toYaml .Values.affinity | nindent 4 }}
    {{- else }}
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector:
              matchLabels:
                {{- include "dns-syncd.selector" . | nindent 16 }}
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
{{- end -}}

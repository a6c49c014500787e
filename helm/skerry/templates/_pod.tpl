{{- /* One way for every pod: who it runs as, what it may not do, how it is asked whether it is well. */ -}}

{{- define "skerry.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "skerry.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- /* Placement, pull secrets, labels' counterparts: (dict root component data) */ -}}
{{- define "skerry.placement" -}}
{{- $root := .root -}}{{- $own := get $root.Values .component | default dict -}}
{{- with ($root.Values.global | default dict).imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with merge (dict) ($own.nodeSelector | default dict) ($root.Values.nodeSelector | default dict) }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat ($root.Values.tolerations | default list) ($own.tolerations | default list) }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $own.priorityClassName | default $root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- $affinity := deepCopy ($own.affinity | default $root.Values.affinity | default dict) }}
{{- if and .data (include "skerry.pinned" $root) }}
{{- $here := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" (dict "skerry.dev/data" (include "skerry.fullname" $root) "app.kubernetes.io/instance" $root.Release.Name)) }}
{{- $near := deepCopy ($affinity.podAffinity | default dict) }}
{{- $required := append ($near.requiredDuringSchedulingIgnoredDuringExecution | default list) $here }}
{{- $affinity = set $affinity "podAffinity" (set $near "requiredDuringSchedulingIgnoredDuringExecution" $required) }}
{{- end }}
{{- with $affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* Environment that every service has: (dict root component) */ -}}
{{- define "skerry.environment" -}}
{{- $root := .root -}}{{- $own := get $root.Values .component | default dict -}}
- {name: SKERRY_LOG_LEVEL, value: {{ $root.Values.logLevel | default "INFO" | quote }}}
{{- with $root.Values.proxy }}
{{- if or .http .https }}
{{- range $name, $value := dict "HTTP_PROXY" .http "HTTPS_PROXY" .https "NO_PROXY" (join "," (compact (list "localhost,127.0.0.1,.svc" (printf ".%s" ($root.Values.clusterDomain | default "cluster.local")) (include "skerry.shortNames" $root) .exclude))) }}
{{- if $value }}
- {name: {{ $name }}, value: {{ $value | quote }}}
- {name: {{ lower $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if include "skerry.hasCaBundle" $root }}
- {name: SSL_CERT_FILE, value: /etc/skerry/ca-bundle/ca.crt}
{{- end }}
{{- with concat ($root.Values.extraEnv | default list) ($own.extraEnv | default list) }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "skerry.shortNames" -}}
{{- $root := . -}}{{- $names := list -}}
{{- range list "gateway" "gateway-internal" "teacher" "valkey" -}}{{- $names = append $names (include "skerry.name" (list $root .)) -}}{{- end -}}
{{- join "," $names -}}
{{- end -}}

{{- define "skerry.hasCaBundle" -}}
{{- $bundle := .Values.caBundle | default dict -}}
{{- if or $bundle.configMap $bundle.secret -}}true{{- end -}}
{{- end -}}

{{- define "skerry.caBundleVolume" -}}
{{- with .Values.caBundle }}
{{- if .configMap }}
- name: ca-bundle
  configMap: {name: {{ .configMap }}, items: [{key: {{ .key | default "ca.crt" }}, path: ca.crt}]}
{{- else if .secret }}
- name: ca-bundle
  secret: {secretName: {{ .secret }}, items: [{key: {{ .key | default "ca.crt" }}, path: ca.crt}]}
{{- end }}
{{- end }}
{{- end -}}

{{- define "skerry.objectsEnv" -}}
- {name: SKERRY_OBJECTS, value: "kubernetes://{{ .Release.Namespace }}"}
{{- end -}}

{{- define "skerry.redisEnv" -}}
{{- $redis := .Values.redis | default dict -}}{{- $secret := $redis.existingSecret | default dict -}}
{{- if include "skerry.ownValkey" . }}
- name: VALKEY_PASSWORD
  valueFrom: {secretKeyRef: {name: {{ include "skerry.secret" (list . "valkey" "valkey") }}, key: password}}
- {name: SKERRY_REDIS_URL, value: "redis://skerry:$(VALKEY_PASSWORD)@{{ include "skerry.name" (list . "valkey") }}:6379/0"}
{{- else if $secret.name }}
- name: SKERRY_REDIS_URL
  valueFrom: {secretKeyRef: {name: {{ $secret.name }}, key: {{ $secret.key | default "url" }}}}
{{- else }}
- {name: SKERRY_REDIS_URL, value: {{ $redis.url | quote }}}
{{- end }}
{{- end -}}

{{- /* Where blobs (and, with the list's second, the repository) are. */ -}}
{{- define "skerry.blobsEnv" -}}
{{- $s3 := ((index . 0).Values.storage | default dict).s3 | default dict -}}
{{- if include "skerry.s3" (index . 0) }}
- {name: SKERRY_BLOBS, value: {{ $s3.blobs | quote }}}
{{- if index . 1 }}
- {name: SKERRY_REPOSITORY, value: {{ $s3.repository | quote }}}
{{- end }}
{{- with $s3.region }}
- {name: AWS_REGION, value: {{ . | quote }}}
{{- end }}
{{- with $s3.endpoint }}
- {name: AWS_ENDPOINT_URL, value: {{ . | quote }}}
{{- end }}
{{- range list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
{{- if $s3.existingSecret }}
- name: {{ . }}
  valueFrom: {secretKeyRef: {name: {{ $s3.existingSecret }}, key: {{ . }}}}
{{- end }}
{{- end }}
{{- if $s3.existingSecret }}
- name: AWS_SESSION_TOKEN
  valueFrom: {secretKeyRef: {name: {{ $s3.existingSecret }}, key: AWS_SESSION_TOKEN, optional: true}}
{{- end }}
{{- else }}
- {name: SKERRY_BLOBS, value: "file:///var/lib/skerry/blobs"}
{{- if index . 1 }}
- {name: SKERRY_REPOSITORY, value: "file:///var/lib/skerry/repository"}
{{- end }}
{{- end }}
{{- end -}}

{{- define "skerry.teacherAddress" -}}
{{- $teacher := .Values.teacher | default dict -}}
{{- if $teacher.address -}}{{- $teacher.address -}}
{{- else if include "skerry.on" (list $teacher "enabled") -}}{{- printf "%s.%s.svc:8001" (include "skerry.name" (list . "teacher")) .Release.Namespace -}}
{{- end -}}
{{- end -}}

{{- /* Where the issuing CA lies: files ca.crt and, with the list's second, ca.key. */ -}}
{{- define "skerry.issuerVolume" -}}
{{- $root := index . 0 -}}
{{- $managed := and (include "skerry.certManaged" $root) (not ($root.Values.existingSecrets | default dict).issuer) }}
secret:
  secretName: {{ include "skerry.secret" (list $root "issuer" (ternary "issuer-ca" "issuer" (not (empty $managed)))) }}
  defaultMode: 0440
  items:
    - {key: {{ ternary "tls.crt" "ca.crt" (not (empty $managed)) }}, path: ca.crt}
    {{- if index . 1 }}
    - {key: {{ ternary "tls.key" "ca.key" (not (empty $managed)) }}, path: ca.key}
    {{- end }}
{{- end -}}

{{- define "skerry.gatewayTls" -}}
{{- $managed := and (include "skerry.certManaged" .) (not (.Values.existingSecrets | default dict).gatewayTls) -}}
{{- include "skerry.secret" (list . "gatewayTls" (ternary "server-tls" "gateway-tls" (not (empty $managed)))) -}}
{{- end -}}

{{- /* Probes on the plain health port: (dict live ready patience). `patience`: how often in a row, ten seconds apart, it
       may be unwell before it is restarted. A service that is unwell because the API server is away is not mended by
       a restart, which needs the API server: it gets minutes. */ -}}
{{- define "skerry.probes" -}}
startupProbe:
  httpGet: {path: {{ .live }}, port: health}
  periodSeconds: 2
  failureThreshold: 90
livenessProbe:
  httpGet: {path: {{ .live }}, port: health}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: {{ .patience | default 6 }}
readinessProbe:
  httpGet: {path: {{ .ready }}, port: health}
  periodSeconds: 2
  timeoutSeconds: 3
  failureThreshold: 2
{{- end -}}

{{- /* A Deployment. (dict root component image command data account grace preStop strategy replicas scaled metrics
    env mounts volumes ports probes), the last five as text. */ -}}
{{- define "skerry.deployment" -}}
{{- $root := .root -}}{{- $own := get $root.Values .component | default dict -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "skerry.name" (list $root .component) }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "skerry.labels" (list $root .component) | nindent 4 }}
spec:
  {{- if not .scaled }}
  replicas: {{ .replicas | default 1 }}
  {{- end }}
  revisionHistoryLimit: 3
  strategy: {{- .strategy | default "{type: RollingUpdate, rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}" | nindent 4 }}
  selector:
    matchLabels: {{- include "skerry.selector" (list $root .component) | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "skerry.labels" (list $root .component) | nindent 8 }}
        {{- if .data }}
        skerry.dev/data: {{ include "skerry.fullname" $root }}
        {{- end }}
        {{- if .metrics }}
        skerry.dev/metrics: "true"
        {{- end }}
        {{- with merge (dict) ($own.podLabels | default dict) ($root.Values.podLabels | default dict) }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      annotations:
        kubectl.kubernetes.io/default-container: {{ .component }}
        {{- with merge (dict) ($own.podAnnotations | default dict) ($root.Values.podAnnotations | default dict) }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "skerry.name" (list $root .component) }}
      automountServiceAccountToken: {{ .account | default false }}
      enableServiceLinks: false
      terminationGracePeriodSeconds: {{ .grace | default 30 }}
      securityContext: {{- include "skerry.podSecurity" $root | nindent 8 }}
      {{- include "skerry.placement" . | trim | nindent 6 }}
      {{- if .spread }}
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{- include "skerry.selector" (list $root .component) | nindent 14 }}
        - maxSkew: 1
          topologyKey: topology.kubernetes.io/zone
          whenUnsatisfiable: ScheduleAnyway
          labelSelector:
            matchLabels: {{- include "skerry.selector" (list $root .component) | nindent 14 }}
      {{- end }}
      containers:
        - name: {{ .component }}
          image: {{ include "skerry.image" (list $root (get ($root.Values.images | default dict) .image)) }}
          imagePullPolicy: {{ ($root.Values.images | default dict).pullPolicy | default "IfNotPresent" }}
          command: {{ toJson .command }}
          env:
            {{- include "skerry.environment" . | trim | nindent 12 }}
            {{- with .env | trim }}
            {{- . | nindent 12 }}
            {{- end }}
          {{- with .ports }}
          ports: {{- . | trim | nindent 12 }}
          {{- end }}
          {{- with .probes }}
          {{- . | trim | nindent 10 }}
          {{- end }}
          {{- if .preStop }}
          lifecycle: {preStop: {sleep: {seconds: {{ .preStop }}}}}
          {{- end }}
          resources: {{- toYaml ($own.resources | default dict) | nindent 12 }}
          securityContext: {{- include "skerry.containerSecurity" $root | nindent 12 }}
          volumeMounts:
            - {name: tmp, mountPath: /tmp}
            {{- if include "skerry.hasCaBundle" $root }}
            - {name: ca-bundle, mountPath: /etc/skerry/ca-bundle, readOnly: true}
            {{- end }}
            {{- with .mounts | trim }}
            {{- . | nindent 12 }}
            {{- end }}
      volumes:
        - name: tmp
          emptyDir: {sizeLimit: {{ .tmpSize | default "1Gi" }}}
        {{- include "skerry.caBundleVolume" $root | trim | nindent 8 }}
        {{- with .volumes | trim }}
        {{- . | nindent 8 }}
        {{- end }}
{{- end -}}

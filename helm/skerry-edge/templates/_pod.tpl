{{- /* The agent's pod, the same in both modes but for where its state lies. */ -}}

{{- define "edge.nodeVariable" -}}
{{- if and .Values.nodeName (not (include "edge.joined" .)) }}
- {name: SKERRY_NODE, value: {{ .Values.nodeName | quote }}}
{{- else }}
- name: SKERRY_NODE
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
{{- end }}
{{- end -}}

{{- /* What people are shown as the agent's address: yours, or the node's where clients outside the cluster use a port of it.
       Where neither is so, the agent tells the address of its pod. */ -}}
{{- define "edge.addressVariable" -}}
{{- $service := .Values.service | default dict -}}
{{- $access := .Values.clientAccess | default "none" -}}
{{- $port := ternary ($service.hostPort | default 8001) $service.nodePort (eq $access "hostPort") -}}
{{- if .Values.address }}
- {name: SKERRY_ADDRESS, value: {{ .Values.address | quote }}}
{{- else if and $port (has $access (list "hostPort" "nodePort")) }}
- name: NODE_IP
  valueFrom: {fieldRef: {fieldPath: status.hostIP}}
- {name: SKERRY_ADDRESS, value: "{{ ternary "[$(NODE_IP)]" "$(NODE_IP)" (eq (.Values.listenAddress | default "") "[::]") }}:{{ int $port }}"}
{{- end }}
{{- end -}}

{{- define "edge.lingerSeconds" -}}
{{- $given := (.Values.agent | default dict).lingerSeconds -}}
{{- if kindIs "invalid" $given }}{{ ternary 5 0 (not (empty (include "edge.joined" .))) }}{{ else }}{{ int $given }}{{ end -}}
{{- end -}}

{{- define "edge.environment" -}}
{{- $agent := .Values.agent | default dict -}}
{{- $ports := .Values.ports | default dict -}}
{{- $at := .Values.listenAddress | default "0.0.0.0" -}}
{{- $host := .Values.gateway | required "gateway is not set: the host of the cloud's gateway, as its certificate names it" -}}
{{ include "edge.nodeVariable" . | trim }}
- {name: SKERRY_STATE, value: /var/lib/skerry}
- {name: SKERRY_LISTEN, value: "{{ $at }}:8001"}
- {name: SKERRY_HTTP, value: "{{ $at }}:8002"}
{{- with .Values.unixSocket | default dict }}
{{- if .hostPath }}
- {name: SKERRY_UNIX_LISTEN, value: "unix:///run/skerry/agent.sock"}
- {name: SKERRY_UNIX_MODE, value: {{ .mode | default "0660" | quote }}}
{{- if .users }}
- {name: SKERRY_UNIX_USERS, value: {{ .users | quote }}}
{{- end }}
{{- end }}
{{- end }}
- {name: SKERRY_GATEWAY, value: "{{ $host }}:{{ $ports.fleet | default 8443 }}"}
- {name: SKERRY_REPOSITORY_URL, value: "https://{{ $host }}:{{ $ports.repository | default 8444 }}/repository"}
- {name: SKERRY_ENROL, value: "{{ $host }}:{{ $ports.enrol | default 8445 }}"}
- {name: SKERRY_JOIN_TOKEN_FILE, value: /etc/skerry/join/token}
{{- if include "edge.on" (list .Values "offload") }}
- {name: SKERRY_TEACHER, value: "{{ .Values.teacher | default $host }}:{{ $ports.teacher | default 8447 }}"}
{{- end }}
{{- include "edge.addressVariable" . }}
- {name: SKERRY_BEAT_SECONDS, value: {{ $agent.beatSeconds | default 10 | quote }}}
- {name: SKERRY_SPOOL_MB, value: {{ $agent.spoolMb | default 64 | quote }}}
- {name: SKERRY_MODELS_MB, value: {{ $agent.modelsMb | default 1024 | quote }}}
- {name: SKERRY_THREADS, value: {{ $agent.threads | default 0 | quote }}}
- {name: SKERRY_LINGER_SECONDS, value: {{ include "edge.lingerSeconds" . | quote }}}
- {name: SKERRY_GRACE_SECONDS, value: {{ $agent.graceSeconds | default 20 | quote }}}
{{- $feedback := .Values.feedback | default dict }}
{{- if and (contains "Secret" ($feedback.accept | default "Token")) (not $feedback.existingSecret) }}
{{- fail "feedback.accept names Secret: feedback.existingSecret must name the Secret that holds it" }}
{{- end }}
- {name: SKERRY_FEEDBACK, value: {{ $feedback.accept | default "Token" | quote }}}
{{- if $feedback.existingSecret }}
- {name: SKERRY_FEEDBACK_SECRET_FILE, value: /etc/skerry/feedback/secret}
{{- end }}
{{- if (.Values.privacy | default dict).configMap }}
- {name: SKERRY_PRIVACY, value: /etc/skerry/privacy/privacy.yaml}
{{- end }}
- {name: SKERRY_LOG_LEVEL, value: {{ .Values.logLevel | default "INFO" | quote }}}
{{- with .Values.proxy }}
{{- if or .http .https }}
{{- range $name, $value := dict "HTTP_PROXY" .http "HTTPS_PROXY" .https "NO_PROXY" (join "," (compact (list "localhost,127.0.0.1,.svc" (printf ".%s" ($.Values.clusterDomain | default "cluster.local")) .exclude))) }}
{{- if $value }}
- {name: {{ $name }}, value: {{ $value | quote }}}
- {name: {{ lower $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if include "edge.hasCaBundle" . }}
- {name: SSL_CERT_FILE, value: /etc/skerry/ca-bundle/ca.crt}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "edge.podTemplate" -}}
{{- $agent := .Values.agent | default dict -}}
{{- $joined := include "edge.joined" . -}}
{{- $access := .Values.clientAccess | default "none" -}}
{{- $service := .Values.service | default dict -}}
metadata:
  labels:
    {{- include "edge.labels" (list . "agent") | nindent 4 }}
    skerry.dev/metrics: "true"
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: agent
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "edge.fullname" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add ($agent.graceSeconds | default 20) ($agent.preStopSeconds | default 4) (include "edge.lingerSeconds" . | int) 6 }}
  securityContext: {{- include "edge.podSecurity" . | nindent 4 }}
  {{- include "edge.pullSecrets" . | trim | nindent 2 }}
  {{- $joinedBlock := .Values.joined | default dict }}
  {{- /* A label set to null is taken away: Helm keeps nulls of an earlier release with --reuse-values. */}}
  {{- $selector := dict }}
  {{- range $key, $value := ternary (merge (dict) (.Values.nodeSelector | default dict) ($joinedBlock.nodeSelector | default (dict "skerry.dev/edge" "true"))) (.Values.nodeSelector | default dict) (not (empty $joined)) }}
  {{- if $value }}{{- $selector = set $selector $key $value }}{{- end }}
  {{- end }}
  {{- with $selector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- if and $joined $joinedBlock.prepareDirectory }}
  initContainers:
    # kubelet makes the folder as root; this gives it to the agent. It may do nothing else (admission policy).
    - name: own-state
      image: {{ include "edge.image" . }}
      imagePullPolicy: {{ (.Values.image | default dict).pullPolicy | default "IfNotPresent" }}
      command: [chown, "10001:10001", /var/lib/skerry]
      env: {{- include "edge.nodeVariable" . | trim | nindent 8 }}
      resources:
        requests: {cpu: 10m, memory: 16Mi}
        limits: {memory: 64Mi}
      securityContext:
        runAsNonRoot: false
        runAsUser: 0
        runAsGroup: 0
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL], add: [CHOWN]}
      volumeMounts:
        - {name: state, mountPath: /var/lib/skerry, subPathExpr: $(SKERRY_NODE)}
  {{- end }}
  containers:
    - name: agent
      image: {{ include "edge.image" . }}
      imagePullPolicy: {{ (.Values.image | default dict).pullPolicy | default "IfNotPresent" }}
      command: [python, -m, skerry.agent.main]
      env: {{- include "edge.environment" . | trim | nindent 8 }}
      ports:
        - name: grpc
          containerPort: 8001
          {{- if eq $access "hostPort" }}
          hostPort: {{ $service.hostPort | default 8001 }}
          {{- end }}
        - {name: health, containerPort: 8002}
      # Alive says nothing of models or of the cloud; ready says that every model on the disk answers.
      startupProbe:
        httpGet: {path: /healthz, port: health}
        periodSeconds: 1
        failureThreshold: 180
      livenessProbe:
        httpGet: {path: /healthz, port: health}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: health}
        periodSeconds: 1
        timeoutSeconds: 3
        failureThreshold: 2
      lifecycle: {preStop: {sleep: {seconds: {{ $agent.preStopSeconds | default 4 }}}}}
      resources: {{- toYaml (.Values.resources | default dict) | nindent 8 }}
      securityContext: {{- include "edge.containerSecurity" . | nindent 8 }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        - {name: join, mountPath: /etc/skerry/join, readOnly: true}
        {{- if (.Values.privacy | default dict).configMap }}
        - {name: privacy, mountPath: /etc/skerry/privacy, readOnly: true}
        {{- end }}
        {{- if (.Values.feedback | default dict).existingSecret }}
        - {name: feedback, mountPath: /etc/skerry/feedback, readOnly: true}
        {{- end }}
        {{- if include "edge.hasCaBundle" . }}
        - {name: ca-bundle, mountPath: /etc/skerry/ca-bundle, readOnly: true}
        {{- end }}
        {{- if (.Values.unixSocket | default dict).hostPath }}
        - {name: sockets, mountPath: /run/skerry}
        {{- end }}
        {{- if $joined }}
        - {name: state, mountPath: /var/lib/skerry, subPathExpr: $(SKERRY_NODE)}
        {{- else }}
        - {name: state, mountPath: /var/lib/skerry}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {sizeLimit: 1Gi}
    # A node that has its certificate needs no token any more: the Secret may be taken away.
    - name: join
      secret: {secretName: {{ include "edge.tokenSecret" . }}, optional: true, defaultMode: 0440}
    {{- with (.Values.unixSocket | default dict).hostPath }}
    - name: sockets
      hostPath: {path: {{ . }}, type: Directory}
    {{- end }}
    {{- with (.Values.privacy | default dict).configMap }}
    - name: privacy
      configMap: {name: {{ . }}}
    {{- end }}
    {{- with (.Values.feedback | default dict).existingSecret }}
    - name: feedback
      secret: {secretName: {{ . }}, items: [{key: secret, path: secret}], defaultMode: 0440}
    {{- end }}
    {{- with .Values.caBundle }}
    {{- if .configMap }}
    - name: ca-bundle
      configMap: {name: {{ .configMap }}, items: [{key: {{ .key | default "ca.crt" }}, path: ca.crt}]}
    {{- else if .secret }}
    - name: ca-bundle
      secret: {secretName: {{ .secret }}, items: [{key: {{ .key | default "ca.crt" }}, path: ca.crt}]}
    {{- end }}
    {{- end }}
    {{- if $joined }}
    - name: state
      hostPath: {path: {{ $joinedBlock.hostPath | default "/var/lib/skerry" }}, type: {{ ternary "DirectoryOrCreate" "Directory" (not (empty $joinedBlock.prepareDirectory)) }}}
    {{- end }}
{{- end -}}

{{- /* Names, labels and what every pod has. */ -}}

{{- /* Is a switch on that is on by default? (list block key): a null or missing block or key leaves it on. */ -}}
{{- define "edge.on" -}}
{{- if ne (toString (get (index . 0 | default dict) (index . 1))) "false" -}}true{{- end -}}
{{- end -}}

{{- define "edge.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* A name of the whole cluster: the release's namespace is part of it. */ -}}
{{- define "edge.clusterName" -}}
{{- printf "%s-%s" (printf "%s-%s" .Release.Namespace (include "edge.fullname" .) | trunc 50 | trimSuffix "-") (printf "%s/%s" .Release.Namespace .Release.Name | sha256sum | trunc 8) -}}
{{- end -}}

{{- define "edge.selector" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name | trunc 63 }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: agent
{{- end -}}

{{- /* (list root component) */ -}}
{{- define "edge.labels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Values.nameOverride | default $root.Chart.Name | trunc 63 }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
app.kubernetes.io/part-of: skerry
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 }}
{{- end -}}

{{- define "edge.image" -}}
{{- $image := .Values.image | default dict -}}
{{- $registry := (.Values.global | default dict).registry | default $image.registry -}}
{{- $path := ternary (printf "%s/%s" $registry $image.repository) $image.repository (not (empty $registry)) -}}
{{- if $image.digest -}}{{- printf "%s@%s" $path $image.digest -}}
{{- else -}}{{- printf "%s:%s" $path ($image.tag | default .Chart.AppVersion) -}}{{- end -}}
{{- end -}}

{{- define "edge.joined" -}}
{{- if eq (.Values.mode | default "site") "joined" -}}true{{- end -}}
{{- end -}}

{{- define "edge.tokenSecret" -}}
{{- if and .Values.token (not .Values.existingSecret) -}}
{{- printf "%s-join" (include "edge.fullname" .) -}}
{{- else -}}
{{- .Values.existingSecret | required "a node joins with a token: make it in the cloud (skerry nodes token create), keep it here (kubectl create secret generic skerry-join --from-literal=token=…), and set existingSecret=skerry-join" -}}
{{- end -}}
{{- end -}}

{{- define "edge.hasCaBundle" -}}
{{- $bundle := .Values.caBundle | default dict -}}
{{- if or $bundle.configMap $bundle.secret -}}true{{- end -}}
{{- end -}}

{{- define "edge.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "edge.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "edge.pullSecrets" -}}
{{- with (.Values.global | default dict).imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- /* "": the cluster's default; "-": none at all (volumes made by hand). */ -}}
{{- define "edge.storageClass" -}}
{{- if eq (. | default "") "-" }}
storageClassName: ""
{{- else if . }}
storageClassName: {{ . }}
{{- end }}
{{- end -}}

{{- /* A typo below `global` would be silent: the values of charts around this one stand there too, and the schema cannot know
       them. Where there is none, other keys are nobody's. */ -}}
{{- define "edge.checkGlobal" -}}
{{- $known := list "registry" "imagePullSecrets" -}}
{{- if .Chart.IsRoot -}}
{{- range $key, $_ := .Values.global | default dict -}}
{{- if not (has $key $known) -}}
{{- fail (printf "global.%s is not known here: %s" $key (join ", " $known)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

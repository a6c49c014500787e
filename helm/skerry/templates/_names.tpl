{{- /* Names and labels. A name is the fullname and a part, short enough for every suffix that Kubernetes adds. */ -}}

{{- define "skerry.fullname" -}}
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

{{- /* Is a switch on that is on by default? (list block key): a null or missing block or key leaves it on. */ -}}
{{- define "skerry.on" -}}
{{- if ne (toString (get (index . 0 | default dict) (index . 1))) "false" -}}true{{- end -}}
{{- end -}}

{{- /* (list root part) */ -}}
{{- define "skerry.name" -}}
{{- printf "%s-%s" (include "skerry.fullname" (index . 0)) (index . 1) -}}
{{- end -}}

{{- /* What selects the pods of one part: (list root part) */ -}}
{{- define "skerry.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Values.nameOverride | default $root.Chart.Name | trunc 63 }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- /* What selects every pod of the release */ -}}
{{- define "skerry.everyone" -}}
app.kubernetes.io/name: {{ .Values.nameOverride | default .Chart.Name | trunc 63 }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "skerry.labels" -}}
{{- $root := index . 0 -}}
{{ include "skerry.selector" . }}
app.kubernetes.io/part-of: skerry
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 }}
{{- end -}}

{{- define "skerry.trainingNamespace" -}}
{{- $training := .Values.training | default dict -}}
{{- $name := $training.namespace | default (printf "%s-training" .Release.Namespace) -}}
{{- if gt (len $name) 63 -}}
{{- fail (printf "the training namespace %s has more than 63 characters: set training.namespace" $name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- /* (list root image): the reference, through the mirror when there is one. */ -}}
{{- define "skerry.image" -}}
{{- $root := index . 0 -}}{{- $image := index . 1 | default dict -}}
{{- $global := $root.Values.global | default dict -}}
{{- $registry := $global.registry | default $image.registry -}}
{{- $path := ternary (printf "%s/%s" $registry $image.repository) $image.repository (not (empty $registry)) -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $path $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $path ($image.tag | default $root.Chart.AppVersion) -}}
{{- end -}}
{{- end -}}

{{- /* Name of a secret: (list root valueName defaultSuffix) */ -}}
{{- define "skerry.secret" -}}
{{- $root := index . 0 -}}
{{- $given := get ($root.Values.existingSecrets | default dict) (index . 1) -}}
{{- $given | default (include "skerry.name" (list $root (index . 2))) -}}
{{- end -}}

{{- define "skerry.certManaged" -}}
{{- if (.Values.certManager | default dict).enabled -}}true{{- end -}}
{{- end -}}

{{- /* Every name by which gateway and teacher are reached, one a line. */ -}}
{{- define "skerry.hosts" -}}
{{- $root := . -}}
{{- range $part := list "gateway" "gateway-internal" "teacher" "teacher-edge" }}
{{- $name := include "skerry.name" (list $root $part) }}
{{ $name }}
{{ $name }}.{{ $root.Release.Namespace }}
{{ $name }}.{{ $root.Release.Namespace }}.svc
{{ $name }}.{{ $root.Release.Namespace }}.svc.{{ $root.Values.clusterDomain | default "cluster.local" }}
{{- end }}
{{- range .Values.hosts }}
{{ . }}
{{- end }}
{{- end -}}

{{- define "skerry.ownValkey" -}}
{{- $redis := .Values.redis | default dict -}}
{{- if and (not $redis.url) (not ($redis.existingSecret | default dict).name) -}}
{{- if not (include "skerry.on" (list .Values.valkey "enabled")) -}}
{{- fail "valkey.enabled is false: give your own server by redis.url or redis.existingSecret.name" -}}
{{- end -}}
true
{{- end -}}
{{- end -}}

{{- define "skerry.s3" -}}
{{- if eq ((.Values.storage | default dict).kind | default "volume") "s3" -}}true{{- end -}}
{{- end -}}

{{- /* The claim that holds data, or only the teacher's models when the rest is in S3. */ -}}
{{- define "skerry.claim" -}}
{{- if include "skerry.s3" . -}}
{{- ((.Values.teacher | default dict).storage | default dict).existingClaim | default (include "skerry.name" (list . "teacher")) -}}
{{- else -}}
{{- ((.Values.storage | default dict).volume | default dict).existingClaim | default (include "skerry.name" (list . "data")) -}}
{{- end -}}
{{- end -}}

{{- define "skerry.accessModes" -}}
{{- $at := ternary ((.Values.teacher | default dict).storage | default dict) ((.Values.storage | default dict).volume | default dict) (eq (include "skerry.s3" .) "true") -}}
{{- $at.accessModes | default (list "ReadWriteOnce") | toJson -}}
{{- end -}}

{{- /* Pods that share a volume that one node can mount must be on one node. */ -}}
{{- define "skerry.pinned" -}}
{{- if not (has "ReadWriteMany" (include "skerry.accessModes" . | fromJsonArray)) -}}true{{- end -}}
{{- end -}}

{{- define "skerry.renewal" -}}
{{- include "skerry.on" (list .Values.renewal "enabled") -}}
{{- end -}}

{{- define "skerry.ownTeacher" -}}
{{- $teacher := .Values.teacher | default dict -}}
{{- if and (include "skerry.on" (list $teacher "enabled")) (not $teacher.address) -}}true{{- end -}}
{{- end -}}

{{- /* A typo below `global` would be silent: the values of charts around this one stand there too, and the schema cannot know
       them. Where there is none, other keys are nobody's. */ -}}
{{- define "skerry.checkGlobal" -}}
{{- $known := list "registry" "imagePullSecrets" -}}
{{- if .Chart.IsRoot -}}
{{- range $key, $_ := .Values.global | default dict -}}
{{- if not (has $key $known) -}}
{{- fail (printf "global.%s is not known here: %s" $key (join ", " $known)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

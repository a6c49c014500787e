{{- /* How many there are of a part that may be several: (list root replicas) */ -}}
{{- define "skerry.replicas" -}}
{{- $least := ternary 2 1 (eq ((index . 0).Values.size | default "small") "large") -}}
{{- max $least (int (index . 1 | default 1)) -}}
{{- end -}}

{{- /* Of several, nodes that are drained take one at a time: (list root component) */ -}}
{{- define "skerry.disruption" -}}
{{- $root := index . 0 -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "skerry.name" . }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "skerry.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {{- include "skerry.selector" . | nindent 6 }}
{{- end -}}

{{- /* By CPU; what follows may add metrics: (list root component autoscaling least most) */ -}}
{{- define "skerry.scaler" -}}
{{- $root := index . 0 -}}{{- $of := list $root (index . 1) -}}{{- $scaling := index . 2 -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "skerry.name" $of }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "skerry.labels" $of | nindent 4 }}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ include "skerry.name" $of }}}
  minReplicas: {{ $scaling.minReplicas | default (index . 3) }}
  maxReplicas: {{ $scaling.maxReplicas | default (index . 4) }}
  metrics:
    - type: Resource
      resource: {name: cpu, target: {type: Utilization, averageUtilization: {{ $scaling.cpuPercent | default 70 }}}}
{{- end -}}

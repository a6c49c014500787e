{{- /* A Service that edges reach: (dict root name component service type ports) */ -}}
{{- define "skerry.edgeService" -}}
{{- $root := .root -}}{{- $service := .service -}}{{- $outside := ne .type "ClusterIP" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "skerry.name" (list $root .name) }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- include "skerry.labels" (list $root .component) | nindent 4 }}
  {{- with $service.annotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ .type }}
  {{- if $outside }}
  externalTrafficPolicy: {{ $service.externalTrafficPolicy | default "Cluster" }}
  {{- end }}
  {{- if eq .type "LoadBalancer" }}
  {{- with $service.loadBalancerIP }}
  loadBalancerIP: {{ . }}
  {{- end }}
  {{- with $service.loadBalancerClass }}
  loadBalancerClass: {{ . }}
  {{- end }}
  {{- with $service.loadBalancerSourceRanges }}
  loadBalancerSourceRanges: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  selector: {{- include "skerry.selector" (list $root .component) | nindent 4 }}
  ports:
    {{- range .ports }}
    - name: {{ .name }}
      port: {{ .port }}
      targetPort: {{ .name }}
      {{- $nodePort := get ($service.nodePorts | default dict) .name }}
      {{- if and $outside $nodePort }}
      nodePort: {{ int $nodePort }}
      {{- end }}
    {{- end }}
{{- end -}}

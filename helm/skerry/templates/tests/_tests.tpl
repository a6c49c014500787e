{{- /* Pods of `helm test`: gone when they are done, whatever came out; `--logs` shows what they said. */ -}}
{{- define "skerry.testHook" -}}
helm.sh/hook: test
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded,hook-failed
helm.sh/hook-output-log-policy: hook-succeeded,hook-failed
{{- end -}}

{{- define "skerry.testPod" -}}
restartPolicy: Never
automountServiceAccountToken: false
enableServiceLinks: false
activeDeadlineSeconds: {{ add ((.Values.tests | default dict).timeoutSeconds | default 120) 60 }}
securityContext: {{- include "skerry.podSecurity" . | nindent 2 }}
{{ include "skerry.placement" (dict "root" . "component" "tests") | trim }}
{{- end -}}

{{- define "skerry.testContainer" -}}
resources:
  requests: {cpu: 10m, memory: 64Mi}
  limits: {memory: 256Mi}
securityContext: {{- include "skerry.containerSecurity" . | nindent 2 }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
{{- end -}}

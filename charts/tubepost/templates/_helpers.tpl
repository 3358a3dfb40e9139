{{/* The chart's name, or what replaces it. */}}
{{- define "tubepost.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of most objects: the release's, with the chart's where the release's does not contain it. */}}
{{- define "tubepost.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The name of objects that have no namespace. Several releases in namespaced mode stand side by side. */}}
{{- define "tubepost.clusterName" -}}
{{- if .Values.watch.namespaces -}}
{{- printf "%s-%s" (include "tubepost.fullname" .) .Release.Namespace -}}
{{- else -}}
{{- include "tubepost.fullname" . -}}
{{- end -}}
{{- end -}}

{{/* Labels of every object. Call with (list $ COMPONENT), or (list $ COMPONENT FURTHER_LABELS). */}}
{{- define "tubepost.labels" -}}
{{- $root := index . 0 -}}
{{- $own := include "tubepost.selector" . | fromYaml -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_") -}}
{{- $_ := set $own "app.kubernetes.io/version" $root.Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "tubepost" -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $further := gt (len .) 2 | ternary (last .) dict -}}
{{- merge $own $further $root.Values.commonLabels | toYaml -}}
{{- end -}}

{{/* Labels that never change: selectors. Call with (list $ COMPONENT). */}}
{{- define "tubepost.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "tubepost.name" $root }}-{{ index . 1 }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
{{- end -}}

{{/* The operator's service account. */}}
{{- define "tubepost.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "tubepost.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* An image's reference. Call with (list $ IMAGE); global.imageRegistry serves where the image names none. */}}
{{- define "tubepost.image" -}}
{{- $root := index . 0 -}}
{{- $image := index . 1 -}}
{{- $registry := $image.registry | default (dig "imageRegistry" "" ($root.Values.global | default dict)) -}}
{{- with $registry }}{{ . | trimSuffix "/" }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default $root.Chart.AppVersion }}{{ end -}}
{{- end -}}

{{/* Names of the Secrets to pull images with, as JSON: the chart's own and the parent's, which may be texts. */}}
{{- define "tubepost.imagePullSecrets" -}}
{{- $names := list -}}
{{- range concat .Values.imagePullSecrets (dig "imagePullSecrets" list (.Values.global | default dict)) -}}
{{- $names = append $names (kindIs "map" . | ternary (get (kindIs "map" . | ternary . dict) "name") .) -}}
{{- end -}}
{{- $names | uniq | toJson -}}
{{- end -}}

{{/* The same as a field of a pod's spec. */}}
{{- define "tubepost.podPullSecrets" -}}
{{- with include "tubepost.imagePullSecrets" . | fromJsonArray -}}
imagePullSecrets:
{{- range . }}
  - name: {{ . | quote }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* What the restricted Pod Security Standard asks of a pod. */}}
{{- define "tubepost.podSecurity" -}}
runAsGroup: 65532
runAsNonRoot: true
runAsUser: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* What it asks of a container, and a root file system that cannot be written to. */}}
{{- define "tubepost.containerSecurity" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
{{- end -}}

{{/* Objects whose names others need. */}}
{{- define "tubepost.webhookName" -}}{{ include "tubepost.fullname" . }}-webhook{{- end -}}
{{- define "tubepost.webhookSecret" -}}{{ include "tubepost.webhookName" . }}-tls{{- end -}}
{{- define "tubepost.simulatorName" -}}{{ include "tubepost.fullname" . }}-simulator{{- end -}}
{{- define "tubepost.simulatorSecret" -}}{{ include "tubepost.simulatorName" . }}-credentials{{- end -}}

{{/* The namespaces in which dispatchers can be. */}}
{{- define "tubepost.monitoredNamespaces" -}}
namespaceSelector:
{{- if .Values.watch.namespaces }}
  matchNames:
    {{- toYaml .Values.watch.namespaces | nindent 4 }}
{{- else }}
  any: true
{{- end }}
{{- end -}}

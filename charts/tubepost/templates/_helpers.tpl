{{/*
Every template begins with this. A value that is null, or has no key, becomes what files/values.json says: a
parent chart may leave anything empty. Then what has no meaning here is refused, where there is no parent.
*/}}
{{- define "tubepost.values" -}}
{{- include "tubepost.filled" (list .Values (.Files.Get "files/values.json" | fromJson)) -}}
{{- if not (kindIs "map" .Values.global) -}}
{{- $_ := set .Values "global" dict -}}
{{- end -}}
{{- $shared := dict "imageRegistry" "" "imagePullSecrets" list "commonLabels" dict "commonAnnotations" dict "nodeSelector" dict "tolerations" list "priorityClassName" "" -}}
{{- if .Chart.IsRoot -}}
{{- range $key, $_ := .Values.global -}}
{{- if not (hasKey $shared $key) -}}
{{- fail (printf "global.%s: the chart does not read it. Remedy: of global it reads %s" $key (keys $shared | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
{{- if not (kindIs "invalid" .Values.enabled) -}}
{{- fail "enabled: it is for parent charts that include this one. Remedy: remove it" -}}
{{- end -}}
{{- end -}}
{{- range $key, $absent := $shared -}}
{{- if kindIs "invalid" (index $.Values.global $key) -}}
{{- $_ := set $.Values.global $key $absent -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Call with (list VALUES ABSENT): maps of ABSENT are sections, lists are (null, default). */}}
{{- define "tubepost.filled" -}}
{{- $values := index . 0 -}}
{{- range $key, $absent := index . 1 -}}
{{- if kindIs "map" $absent -}}
{{- if kindIs "map" (index $values $key) -}}
{{- include "tubepost.filled" (list (index $values $key) $absent) -}}
{{- else -}}
{{- $section := dict -}}
{{- include "tubepost.defaults" (list $section $absent) -}}
{{- $_ := set $values $key $section -}}
{{- end -}}
{{- else if kindIs "invalid" (index $values $key) -}}
{{- $_ := set $values $key (first $absent) -}}
{{- else if kindIs "map" (index $values $key) -}}
{{- include "tubepost.pruned" (index $values $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Takes the keys that are null out of a map. */}}
{{- define "tubepost.pruned" -}}
{{- $map := . -}}
{{- range $key, $value := $map -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $map $key -}}
{{- else if kindIs "map" $value -}}
{{- include "tubepost.pruned" $value -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The defaults of a whole section. Call as above. */}}
{{- define "tubepost.defaults" -}}
{{- $values := index . 0 -}}
{{- range $key, $absent := index . 1 -}}
{{- if kindIs "map" $absent -}}
{{- $section := dict -}}
{{- include "tubepost.defaults" (list $section $absent) -}}
{{- $_ := set $values $key $section -}}
{{- else -}}
{{- $_ := set $values $key (last $absent) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The namespace of the objects. */}}
{{- define "tubepost.namespace" -}}
{{- .Values.namespaceOverride | default .Release.Namespace -}}
{{- end -}}

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
{{- printf "%s-%s" (include "tubepost.fullname" .) (include "tubepost.namespace" .) -}}
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
{{- merge $own $further $root.Values.commonLabels $root.Values.global.commonLabels | toYaml -}}
{{- end -}}

{{/* Annotations of an object; nothing where there are none. Call with (list $), or (list $ FURTHER_ANNOTATIONS). */}}
{{- define "tubepost.annotations" -}}
{{- $root := index . 0 -}}
{{- $own := gt (len .) 1 | ternary (last .) dict -}}
{{- with merge dict $own $root.Values.commonAnnotations $root.Values.global.commonAnnotations -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* Where pods run. Call with (list $ VALUES); what VALUES does not say, global may. */}}
{{- define "tubepost.scheduling" -}}
{{- $global := (index . 0).Values.global -}}
{{- $values := index . 1 -}}
{{- with $values.priorityClassName | default $global.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector | default $global.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations | default $global.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The dispatchers' pod template, as JSON; "{}" when nothing is said. */}}
{{- define "tubepost.podTemplate" -}}
{{- $template := deepCopy .Values.dispatcher.podTemplate -}}
{{- range $key := list "nodeSelector" "tolerations" "priorityClassName" -}}
{{- with index $.Values.global $key -}}
{{- if not (index $template $key) -}}
{{- $_ := set $template $key . -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson $template -}}
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
{{- $registry := $image.registry | default $root.Values.global.imageRegistry -}}
{{- with $registry }}{{ . | trimSuffix "/" }}/{{ end -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default $root.Chart.AppVersion }}{{ end -}}
{{- end -}}

{{/* Names of the Secrets to pull images with, as JSON: the chart's own and the parent's, which may be texts. */}}
{{- define "tubepost.imagePullSecrets" -}}
{{- $names := list -}}
{{- range concat .Values.imagePullSecrets .Values.global.imagePullSecrets -}}
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

{{/* IP families of a Service. Call with its values. */}}
{{- define "tubepost.ipFamilies" -}}
{{- with .ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .ipFamilies }}
ipFamilies:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Objects whose names others need. */}}
{{- define "tubepost.webhookName" -}}{{ include "tubepost.fullname" . }}-webhook{{- end -}}
{{- define "tubepost.webhookSecret" -}}{{ include "tubepost.webhookName" . }}-tls{{- end -}}
{{- define "tubepost.simulatorName" -}}{{ include "tubepost.fullname" . }}-simulator{{- end -}}
{{- define "tubepost.simulatorSecret" -}}{{ include "tubepost.simulatorName" . }}-credentials{{- end -}}

{{/* What all monitors say of a scrape. Call with the values of the monitors. */}}
{{- define "tubepost.scrape" -}}
interval: {{ .interval }}
{{- with .scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with .metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

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

{{- define "dragoman.name" -}}
{{- if contains "dragoman" .Release.Name -}}
{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-dragoman" .Release.Name | trunc 63 | trimSuffix "-" }}
{{- end -}}
{{- end -}}

{{- define "dragoman.selector" -}}
app.kubernetes.io/name: dragoman
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "dragoman.labels" -}}
{{ include "dragoman.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* The name of the Secret. Without a token nothing is rendered: every machine that reaches the pods could use the keys. */ -}}
{{- define "dragoman.secret" -}}
{{- $howto := "Make one: --set token=\"$(openssl rand -hex 32)\", or name a Secret that has DRAGOMAN_AUTH_TOKEN: --set existingSecret=NAME." -}}
{{- if .Values.existingSecret -}}
{{- if or .Values.token .Values.keys -}}
{{- fail "existingSecret is set, so token and keys would have no effect. Put them into that Secret, or leave existingSecret empty." -}}
{{- end -}}
{{- .Values.existingSecret -}}
{{- else -}}
{{- if not .Values.token -}}
{{- fail (printf "token is empty, and callers need one. %s" $howto) -}}
{{- end -}}
{{- if eq .Values.token "dev-local" -}}
{{- fail (printf "The token dev-local is known to everybody. %s" $howto) -}}
{{- end -}}
{{- if hasKey .Values.keys "DRAGOMAN_AUTH_TOKEN" -}}
{{- fail "keys has DRAGOMAN_AUTH_TOKEN: that is what token is for." -}}
{{- end -}}
{{- include "dragoman.name" . -}}
{{- end -}}
{{- end -}}

{{- define "dragoman.image" -}}
{{- if not .Values.image.repository -}}
{{- fail "image.repository is empty. No image is published: docker build -t REGISTRY/dragoman . && docker push REGISTRY/dragoman, then --set image.repository=REGISTRY/dragoman." -}}
{{- end -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- /* Seconds in which load balancers hear that a pod goes. */ -}}
{{- define "dragoman.drainDelay" -}}5{{- end -}}

{{- /* dragoman.yaml: what the values say, and over it what the pods depend on. */ -}}
{{- define "dragoman.configuration" -}}
{{- $ours := dict "host" "0.0.0.0" "port" 4000 "auth_token" "${DRAGOMAN_AUTH_TOKEN}" "drain_delay" (include "dragoman.drainDelay" . | int) "drain_timeout" .Values.drainTimeout -}}
{{- range $name, $_ := $ours -}}
{{- if hasKey (default dict $.Values.configuration.server) $name -}}
{{- fail (printf "configuration.server.%s is set by the chart%s. Leave it out." $name (eq $name "drain_timeout" | ternary ": drainTimeout says it" "")) -}}
{{- end -}}
{{- end -}}
{{- toYaml (merge (dict "server" $ours) .Values.configuration) -}}
{{- end -}}

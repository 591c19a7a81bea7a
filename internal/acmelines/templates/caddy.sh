{{template "folder" .}}(umask 027; cat > /etc/caddy/imca-acme; chgrp caddy /etc/caddy/imca-acme) <<'END'
issuer acme {
	dir {{.Directory}}
	email {{.Contact}}
{{- if .KeyID}}
	eab {{.KeyID}} {{.HMACKey}}
{{- end}}
{{- if .RootsPEM}}
	trusted_roots {{.RootsFile}}
{{- end}}
{{- if .HTTPPort}}
	alt_http_port {{.HTTPPort}}
{{- end}}
{{- if .TLSPort}}
	alt_tlsalpn_port {{.TLSPort}}
{{- end}}
}
END
# In the site of {{.Joined ", "}}, take the two files out of the line "tls FILE FILE {", and put this line into its block, beside "client_auth":
#	import /etc/caddy/imca-acme
# Then run: systemctl reload caddy

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
# In /etc/caddy/Caddyfile, put this line into the block "tls" of {{.Joined ", "}}, beside "client_auth", and no file of a certificate there:
#	import imca-acme
# Then run: systemctl reload caddy

{{template "folder" .}}(umask 077; cat > {{.Folder}}/run-lego) <<'END'
#!/bin/sh
{{if .RootsPEM}}export LEGO_CA_CERTIFICATES={{.RootsFile}}
{{end}}exec lego --path {{.Folder}}/lego --server {{.Directory}} --accept-tos --email {{.Contact}} \
{{- if .KeyID}}
  --eab --kid {{.KeyID}} --hmac {{.HMACKey}} \
{{- end}}
  --http --http.webroot {{.Webroot}}{{range .Names}} --domains {{.}}{{end}} "$@"
END
chmod 700 {{.Folder}}/run-lego
{{.Folder}}/run-lego run
# The certificate and its key: {{.Folder}}/lego/certificates/{{.First}}.crt and .key. Renewal, every day:
cat > /etc/cron.daily/imca-acme <<'END'
#!/bin/sh
{{.Folder}}/run-lego renew --no-random-sleep > /dev/null
{{template "reload"}}
END
chmod 755 /etc/cron.daily/imca-acme

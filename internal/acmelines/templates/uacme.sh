{{template "folder" .}}
{{- if .RootsPEM}}# uacme knows servers by the machine's own trust only.
cp {{.RootsFile}} /usr/local/share/ca-certificates/imca-acme.crt
update-ca-certificates
{{end}}mkdir -p {{.Webroot}}/.well-known/acme-challenge
uacme --confdir {{.Folder}}/uacme --acme-url {{.Directory}} --yes{{if .KeyID}} --eab {{.KeyID}}:{{.HMACKey}}{{end}} new
cat > {{.Folder}}/uacme-issue <<'END'
#!/bin/sh
UACME_CHALLENGE_PATH={{.Webroot}}/.well-known/acme-challenge \
  uacme --confdir {{.Folder}}/uacme --acme-url {{.Directory}} --type EC --hook /usr/share/uacme/uacme.sh "$@" issue {{.Joined " "}}
END
chmod 755 {{.Folder}}/uacme-issue
{{.Folder}}/uacme-issue
# The certificate and its key: {{.Folder}}/uacme/{{.First}}/cert.pem and {{.Folder}}/uacme/private/{{.First}}/key.pem. Renewal, every day:
cat > /etc/cron.daily/imca-acme <<'END'
#!/bin/sh
{{.Folder}}/uacme-issue
{{template "reload"}}
END
chmod 755 /etc/cron.daily/imca-acme

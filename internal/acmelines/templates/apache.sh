{{template "folder" .}}(umask 077; cat > /etc/apache2/conf-available/imca-acme.conf) <<'END'
MDCertificateAuthority {{.Directory}}
MDCertificateAgreement accepted
MDContactEmail {{.Contact}}
{{- if .KeyID}}
MDExternalAccountBinding {{.KeyID}} {{.HMACKey}}
{{- end}}
{{- if .RootsPEM}}
MDCACertificateFile {{.RootsFile}}
{{- end}}
{{- if or .HTTPPort .TLSPort}}
MDPortMap 80:{{or .HTTPPort 80}} 443:{{or .TLSPort 443}}
{{- end}}
MDomain {{.Joined " "}}
# Answers tls-alpn-01 too: while it does, no client certificate is asked for, and nothing is served.
Protocols h2 http/1.1 acme-tls/1
END
a2enmod --quiet md ssl
a2enconf --quiet imca-acme
# In the VirtualHost of {{.First}}, leave "SSLEngine on" and "SSLVerifyClient require" as they are, and take the lines SSLCertificateFile and
# SSLCertificateKeyFile out. Then run: systemctl restart apache2
# It fetches its certificate within a minute, and uses it from the next reload on: systemctl reload apache2
# So it is with each renewed one. Hence a reload every day:
cat > /etc/cron.daily/imca-acme <<'END'
#!/bin/sh
systemctl reload apache2
END
chmod 755 /etc/cron.daily/imca-acme

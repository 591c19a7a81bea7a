FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=unknown
RUN CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" -o /out/imca ./cmd/imca \
 && mkdir /out/data

# No shell, no package manager, nothing to update but imca: root certificates, time zones and an unprivileged user are all that this image has.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/imca /usr/local/bin/imca
# A new volume takes over the owner of the folder that it covers.
COPY --from=build --chown=65532:65532 /out/data /var/lib/imca
USER 65532:65532
VOLUME /var/lib/imca
EXPOSE 8443 8080 9090
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/local/bin/imca", "health", "--config", "/etc/imca/imca.yaml"]
ENTRYPOINT ["/usr/local/bin/imca"]
CMD ["serve", "--config", "/etc/imca/imca.yaml"]

package main

import (
	"context"
	"net/http"
	"strings"

	"github.com/imca-project/imca/api"
	"github.com/imca-project/imca/internal/console"
	"github.com/imca-project/imca/internal/status"
)

// private is what HTTPS serves: everything but the metrics. What no other door has is a page.
func (s *Server) private() http.Handler {
	public := s.status()
	rest := api.New(api.Config{CA: s.ca, Frame: s.frame, ClientName: s.cfg.ClientName, ACME: s.acmeServer, ACMEOpenApp: s.cfg.ACME.OpenApp})
	return byPath(map[string]http.Handler{
		"ca": public, "crl": public, "ocsp": public, "acme": s.acme(),
		"v1": rest, "docs": rest, "openapi.yaml": rest, "problems": rest, "healthz": rest, "readyz": rest,
	}, console.New(console.Config{
		CA: s.ca, Frame: s.frame, ClientName: s.cfg.ClientName, ACME: s.acmeServer, ACMEOpenApp: s.cfg.ACME.OpenApp, Provider: s.provider, Metrics: s.metrics, Settings: s.cfg.Settings, Log: s.cfg.Log,
		Background: func(do func(context.Context)) { s.background.Go(func() { do(s.life) }) },
	}))
}

// public is what plain HTTP serves: what is signed, or is nothing but a yes. REST is not there, whoever asks.
func (s *Server) public() http.Handler {
	health := s.frame.Router()
	health.Get("/healthz", s.frame.Public(s.frame.Live))
	health.Get("/readyz", s.frame.Public(s.frame.Ready(s.ca)))
	return byPath(map[string]http.Handler{"healthz": health, "readyz": health}, s.status())
}

// ops is what the operators' own network gets.
func (s *Server) ops() http.Handler { return s.frame.Ops(s.ca) }

func (s *Server) status() http.Handler {
	return status.New(status.Config{CA: s.ca, Frame: s.frame, Now: s.cfg.Now})
}

// byPath chooses a door by the first part of the path; doors know their whole paths.
func byPath(doors map[string]http.Handler, otherwise http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if door, found := doors[first]; found {
			door.ServeHTTP(w, r)
			return
		}
		otherwise.ServeHTTP(w, r)
	})
}

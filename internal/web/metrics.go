package web

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/imca-project/imca/internal/ca"
)

// Metrics are what a monitoring system asks for. They tell nothing that is secret, but much that is nobody's business: serve Handler where only
// the operators reach it.
type Metrics struct {
	registry  *prometheus.Registry
	now       func() time.Time
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	issuances *prometheus.CounterVec
	issuing   *prometheus.HistogramVec
	proofs    *prometheus.CounterVec
	checks    *prometheus.CounterVec
	alerts    *prometheus.CounterVec
	messages  *prometheus.CounterVec
}

// NewMetrics returns metrics with a registry of their own, to which others may add. now tells the time; nil means time.Now.
func NewMetrics(now func() time.Time) *Metrics {
	if now == nil {
		now = time.Now
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		now:      now,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "imca_http_requests_total", Help: "Requests that were answered, by route, method and status.",
		}, []string{"route", "method", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "imca_http_request_duration_seconds", Help: "Time from the header of a request to the end of its answer.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15), // 0.5 ms to 8 s
		}, []string{"route", "method"}),
		issuances: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "imca_issuances_total", Help: "Requests for a certificate through any door, by profile and result: issued, replayed, refused, failed.",
		}, []string{"profile", "result"}),
		issuing: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "imca_issuance_duration_seconds", Help: "Time that issuing a certificate took, from the request to the commit.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15),
		}, []string{"profile"}),
	}
	m.proofs = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "imca_domain_proofs_total", Help: "Looks at proofs of names, by method and result: proven, failed; and names that were suspended.",
	}, []string{"method", "result"})
	m.checks = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "imca_checks_total", Help: "Checks of endpoints that have ended, by cause and summary: healthy, locked_out, open, wrong_way, undecided, faulty; or failed.",
	}, []string{"cause", "summary"})
	m.alerts = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "imca_endpoint_alerts_total", Help: "Alerts about registered endpoints that began: open, locked-out, faulty, drift, lapsing.",
	}, []string{"alert"})
	m.messages = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "imca_webhook_messages_total", Help: "Attempts to deliver messages to webhooks, by result: delivered, failed.",
	}, []string{"result"})
	m.registry.MustRegister(m.requests, m.durations, m.issuances, m.issuing, m.proofs, m.checks, m.alerts, m.messages,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Registry is where further collectors go.
func (m *Metrics) Registry() *prometheus.Registry { return m.registry }

// Handler serves the metrics in the formats of Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

func (m *Metrics) request(method, route string, status int, took time.Duration) {
	// What a stranger can make up must not become a label.
	if !slices.Contains([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}, method) {
		method = "other"
	}
	if route == "" {
		route = "none"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	m.durations.WithLabelValues(route, method).Observe(took.Seconds())
}

// Proof counts a look at the proof of a name. It fits ca.DomainRules.Observe.
func (m *Metrics) Proof(method ca.Method, result ca.ProofResult) {
	m.proofs.WithLabelValues(string(method), string(result)).Inc()
}

// Check counts a check of an endpoint, and the alerts that it gave rise to. It fits ca.CheckRules.Observe.
func (m *Metrics) Check(cause ca.CheckCause, summary string, began []ca.Alert) {
	if summary == "" {
		summary = "failed"
	}
	m.checks.WithLabelValues(string(cause), summary).Inc()
	for _, alert := range began {
		m.alerts.WithLabelValues(string(alert)).Inc()
	}
}

// Message counts an attempt to deliver a message. It fits ca.WebhookRules.Observe.
func (m *Metrics) Message(delivered bool) {
	result := "failed"
	if delivered {
		result = "delivered"
	}
	m.messages.WithLabelValues(result).Inc()
}

// Issuance counts an issuance that begins; what it returns is called at its end. It fits ca.Config.Observe.
func (m *Metrics) Issuance(profile string) (ended func(ca.Result)) {
	start := m.now()
	return func(result ca.Result) {
		m.issuances.WithLabelValues(profile, string(result)).Inc()
		if result == ca.ResultIssued {
			m.issuing.WithLabelValues(profile).Observe(m.now().Sub(start).Seconds())
		}
	}
}

// IssuanceDurations tells how long issuing took, whatever the profile, since the process started: how many took up to each of the bounds and longer than the
// one before, and, last, how many took longer than all of them.
func (m *Metrics) IssuanceDurations() (bounds []time.Duration, counts []int) {
	alone := prometheus.NewRegistry() // everything else that is measured takes its time
	alone.MustRegister(m.issuing)
	families, err := alone.Gather()
	if err != nil {
		return nil, nil // what our own histogram never gives
	}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			h := metric.GetHistogram()
			if counts == nil {
				counts = make([]int, len(h.GetBucket())+1)
			}
			before := uint64(0)
			for i, b := range h.GetBucket() {
				if len(bounds) < len(h.GetBucket()) {
					bounds = append(bounds, time.Duration(b.GetUpperBound()*float64(time.Second)))
				}
				counts[i] += int(b.GetCumulativeCount() - before)
				before = b.GetCumulativeCount()
			}
			counts[len(counts)-1] += int(h.GetSampleCount() - before)
		}
	}
	return bounds, counts
}

// Watch adds what is to be seen of a CA: when its authorities end, and whether its database answers, and how fast.
func (m *Metrics) Watch(c *ca.CA) {
	m.registry.MustRegister(&authority{ca: c, now: m.now})
}

// WatchCertificate adds the end of a certificate that this process uses itself, such as the one of its own HTTPS.
func (m *Metrics) WatchCertificate(name string, notAfter func() time.Time) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "imca_certificate_not_after_seconds", Help: "End of a certificate that this process uses itself, in Unix time.",
		ConstLabels: prometheus.Labels{"name": name},
	}, func() float64 { return float64(notAfter().Unix()) }))
}

// pingTimeout is how long a scrape waits for the database.
const pingTimeout = 2 * time.Second

// authority collects what is to be seen of a CA.
type authority struct {
	ca  *ca.CA
	now func() time.Time
}

// Describe implements prometheus.Collector.
func (a *authority) Describe(chan<- *prometheus.Desc) {} // none: which there are depends on the authorities

// Collect implements prometheus.Collector.
func (a *authority) Collect(metrics chan<- prometheus.Metric) {
	gauge := func(name, help string, value float64, labels ...string) {
		var names, values []string
		for pair := range slices.Chunk(labels, 2) {
			names, values = append(names, pair[0]), append(values, pair[1])
		}
		metrics <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, names, nil), prometheus.GaugeValue, value, values...)
	}
	for _, i := range a.ca.Issuers() {
		gauge("imca_authority_not_after_seconds", "End of an authority's certificate, in Unix time.", float64(i.Certificate().NotAfter.Unix()), "authority", i.Name())
		signs := 0.0
		if i.CanSign() {
			signs = 1
		}
		gauge("imca_authority_can_sign", "1 where the authority's key is on this server.", signs, "authority", i.Name())
		if crl := a.ca.CRL(i.Name()); crl != nil {
			gauge("imca_crl_number", "Number of the revocation list that this server serves.", float64(crl.Number), "authority", i.Name())
			gauge("imca_crl_entries", "Entries of the revocation list.", float64(crl.Count), "authority", i.Name())
			gauge("imca_crl_size_bytes", "Length of the revocation list.", float64(crl.Size()), "authority", i.Name())
			gauge("imca_crl_published_seconds", "When the revocation list was published, in Unix time.", float64(crl.PublishedAt.Unix()), "authority", i.Name())
			gauge("imca_crl_next_update_seconds", "End of the revocation list, in Unix time: after it, servers refuse everyone.", float64(crl.NextUpdate.Unix()), "authority", i.Name())
		}
	}
	for _, report := range a.ca.RevocationReports() {
		gauge("imca_revocation_faults", "What is not as it should be in the revocation status that is served: see the log, /readyz or 'imca doctor'.", float64(len(report.Faults)), "authority", report.Authority)
		gauge("imca_revocation_looked_at_seconds", "When the revocation status was last looked at from outside, in Unix time.", float64(report.At.Unix()), "authority", report.Authority)
	}
	ctx, cancel := context.WithTimeout(context.Background(), pingTimeout)
	defer cancel()
	start := a.now()
	ready := 1.0
	if err := a.ca.Ready(ctx); err != nil {
		ready = 0
	}
	gauge("imca_ready", "1 where the database answers and an authority is loaded.", ready)
	gauge("imca_store_ping_seconds", "Time that the database took to answer.", a.now().Sub(start).Seconds())
}

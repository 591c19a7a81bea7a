package doorcheck

import (
	"fmt"
	"slices"
	"strings"
)

// Product is a kind of server, as far as its configuration is concerned.
type Product string

// The products that mends are written for.
const (
	Apache       Product = "apache"
	Nginx        Product = "nginx"
	HAProxy      Product = "haproxy"
	Tomcat       Product = "tomcat" // and other servers on Java
	IIS          Product = "iis"
	Caddy        Product = "caddy"
	Go           Product = "go"
	Node         Product = "node"
	LoadBalancer Product = "load_balancer"
	Unrecognised Product = ""
)

// Server is what ends TLS at the endpoint, as far as it can be recognised.
type Server struct {
	Product    Product    `json:"product"`
	Confidence Confidence `json:"confidence,omitempty"`
	Header     string     `json:"header,omitempty"` // a Server header, which may be that of a server behind
	Front      string     `json:"front,omitempty"`  // the load balancer or CDN of which there are traces; "": none
	Evidence   []string   `json:"evidence,omitempty"`
}

// headerMarks are the beginnings of Server headers, in lower case.
var headerMarks = []struct {
	begin   string
	product Product
}{
	{"apache-coyote", Tomcat}, {"apache tomcat", Tomcat}, {"jetty", Tomcat}, {"undertow", Tomcat}, {"wildfly", Tomcat},
	{"apache", Apache}, {"ibm_http_server", Apache}, {"oracle-http-server", Apache},
	{"nginx", Nginx}, {"openresty", Nginx}, {"tengine", Nginx}, {"angie", Nginx},
	{"microsoft-iis", IIS}, {"microsoft-httpapi", IIS}, {"haproxy", HAProxy}, {"caddy", Caddy},
	{"awselb", LoadBalancer}, {"cloudflare", LoadBalancer}, {"cloudfront", LoadBalancer}, {"akamaighost", LoadBalancer}, {"bigip", LoadBalancer},
	{"big-ip", LoadBalancer}, {"envoy", LoadBalancer}, {"istio-envoy", LoadBalancer}, {"traefik", LoadBalancer}, {"google frontend", LoadBalancer},
	{"varnish", LoadBalancer}, {"netscaler", LoadBalancer}, {"fastly", LoadBalancer},
}

// frontMarks are headers that only something in front of a server adds.
var frontMarks = []struct{ header, front string }{
	{"Cf-Ray", "Cloudflare"}, {"X-Amz-Cf-Id", "Amazon CloudFront"}, {"X-Amzn-Trace-Id", "an Amazon load balancer"}, {"X-Akamai-Transformed", "Akamai"},
	{"X-Azure-Ref", "Azure Front Door"}, {"X-Served-By", "a cache"}, {"X-Varnish", "Varnish"}, {"X-Envoy-Upstream-Service-Time", "Envoy"},
	{"Via", "a proxy"}, {"X-Cache", "a cache"},
}

// bodyMarks are texts of error pages, in lower case.
var bodyMarks = []struct {
	text    string
	product Product
}{
	{"<center>nginx", Nginx}, {"<address>apache", Apache}, {"apache tomcat/", Tomcat}, {"http status 40", Tomcat}, {"powered by jetty", Tomcat},
	{"microsoft-iis", IIS}, {"request forbidden by administrative rules.", HAProxy}, {"no server is available to handle this request", HAProxy},
}

// recognise names the server, by its best trace: what answers HTTP on the TLS port, or refuses a certificate with a page, has ended TLS itself; a
// header of an ordinary answer may come from behind.
func (s *sight) recognise() Server {
	var server Server
	note := func(product Product, confidence Confidence, evidence string) {
		if server.Product == Unrecognised {
			server.Product, server.Confidence = product, confidence
		}
		server.Evidence = append(server.Evidence, evidence)
	}
	// Go's page is also that of what is made of Go, which says its own name in a header.
	pages := s.pages()
	for _, page := range pages {
		if page.product != Go {
			note(page.product, High, "its error page: "+page.name)
		}
	}
	for _, answer := range s.answers() {
		if server.Header == "" && answer.Server != "" {
			server.Header = answer.Server
			product := byHeader(answer.Server)
			if product != Unrecognised && (len(pages) == 0 || pages[0].product != Go || product == Caddy || product == LoadBalancer) {
				note(product, Medium, "its Server header: "+answer.Server)
			}
		}
		for _, mark := range frontMarks {
			if server.Front == "" && answer.header.Get(mark.header) != "" {
				server.Front = mark.front
				server.Evidence = append(server.Evidence, fmt.Sprintf("the header %s in an answer", mark.header))
			}
		}
	}
	for _, page := range pages {
		if page.product == Go {
			note(Go, High, "its error page: "+page.name)
		}
	}
	for _, answer := range s.answers() {
		if product := byBody(answer.body); server.Product == Unrecognised && product != Unrecognised && answer.Status >= 400 {
			note(product, Medium, "its error page")
		}
	}
	if server.Product == Unrecognised {
		if product, evidence := s.byBehaviour(); product != Unrecognised {
			note(product, Low, evidence)
		}
	}
	return server
}

// answers are all that came over HTTP at the first address, what came outside of TLS first.
func (s *sight) answers() []*HTTPAnswer {
	var all []*HTTPAnswer
	for _, p := range s.probes {
		switch {
		case p.Answer == nil || p.address != s.lead.address:
		case p.Version == plainVersion:
			all = slices.Insert(all, 0, p.Answer)
		default:
			all = append(all, p.Answer)
		}
	}
	return all
}

// pages are the error pages among the answers that were recognised, each once.
func (s *sight) pages() []*pageMark {
	var found []*pageMark
	for _, answer := range s.answers() {
		if page := answer.page(); page != nil && !slices.Contains(found, page) {
			found = append(found, page)
		}
	}
	return found
}

func byHeader(header string) Product {
	header = strings.ToLower(header)
	for _, mark := range headerMarks {
		if strings.HasPrefix(header, mark.begin) {
			return mark.product
		}
	}
	return Unrecognised
}

func byBody(body []byte) Product {
	text := strings.ToLower(string(body))
	for _, mark := range bodyMarks {
		if strings.Contains(text, mark.text) {
			return mark.product
		}
	}
	return Unrecognised
}

// byBehaviour guesses from how those whom the server turns away are told so.
func (s *sight) byBehaviour() (Product, string) {
	for _, answer := range s.answers() {
		if strings.EqualFold(answer.header.Get("X-Powered-By"), "Express") {
			return Node, "the header X-Powered-By: Express"
		}
	}
	nobody, stranger, plain := s.as(AsNobody), s.as(AsStranger), s.plain()
	if nobody == nil || stranger == nil || plain == nil {
		return Unrecognised, ""
	}
	silent := func(p *Probe) bool { return p.Failure == ClosedByServer || p.Failure == ResetByServer }
	switch {
	case silent(stranger) && !silent(nobody):
		return Node, "it cuts a stranger off without a word, and those without a certificate not"
	case stranger.alerted(alertUnknownCA) && silent(plain):
		return HAProxy, "its alerts are OpenSSL's, and it is silent to HTTP without TLS"
	case stranger.alerted(alertCertificateUnknown):
		return Tomcat, "its alerts are Java's"
	}
	return Unrecognised, ""
}

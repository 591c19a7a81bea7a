package phrasebook

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"maps"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func chinese(t testing.TB) *Book {
	b, err := Open("zh-CN")
	require.NoError(t, err)
	return b
}

// shown writes what is foreign between brackets.
func shown(parts []Part) string {
	var b strings.Builder
	for _, p := range parts {
		if p.Foreign {
			p.Text = "⟦" + p.Text + "⟧"
		}
		b.WriteString(p.Text)
	}
	return b.String()
}

func TestTranslate(t *testing.T) {
	b := chinese(t)
	for english, want := range map[string]string{
		// A sentence with a value.
		"The certificate 01ab was revoked while it was being issued: ask again, or ask who revoked it.": "证书 01ab 在签发过程中被吊销：请重新申请，或询问是谁吊销的。",
		// A clause that was made a sentence, and a text within it.
		`"http://a.example/" is a URL: give only the host name: a.example.`:                                                                                `"http://a.example/" 是 URL：请只填写主机名：a.example。`,
		"this is a private key: give a certificate signing request, which begins with -----BEGIN CERTIFICATE REQUEST----- (`openssl req -new` makes one).": "这是私钥：请提供以 -----BEGIN CERTIFICATE REQUEST----- 开头的证书签名请求（可用 `openssl req -new` 生成）。",
		// Additions that stand one behind another.
		"the platform's certificate over TLS 1.2, server name other.invalid, once more at 127.0.0.1:8443: TLS alert 48, unknown_ca": "平台的证书，使用 TLS 1.2，服务器名称为 other.invalid，再次尝试，地址 127.0.0.1:8443：TLS 警报 48，unknown_ca",
		"what the answer means to a stranger's certificate at [::1]:443: HTTP 400 (nginx: no client certificate)":                   "以下应答意味着什么：陌生人的证书，地址 [::1]:443：HTTP 400（nginx：没有客户端证书）",
		"no certificate over TLS 1.2 at 127.0.0.1: HTTP 200":                                                                        "没有证书，使用 TLS 1.2，地址 127.0.0.1：HTTP 200",
		"it did show a certificate over TLS 1.0 and 1.1":                                                                            "它通过 TLS 1.0 和 1.1 出示了证书",
		// A proof that failed, by an error of the library.
		"fetching http://a.example/.well-known/acme-challenge/x: dial tcp 192.0.2.1:80: connect: connection refused; let port 80 of a.example answer requests from outside, or use another method":                                                                   "获取 http://a.example/.well-known/acme-challenge/x：连接 192.0.2.1:80 被拒绝；请让 a.example 的 80 端口能够应答外部请求，或使用其他验证方式",
		"dns-01 for a.example: looking up TXT of _acme-challenge.a.example: the DNS server could not answer (192.0.2.53:53: SERVFAIL; a name server of this zone is down, or its DNSSEC signatures do not verify); see that its name servers answer, then try again": "以 dns-01 验证 a.example：查询 _acme-challenge.a.example 的 TXT 记录：DNS 服务器未能给出结果（192.0.2.53:53: SERVFAIL；该区域的某个域名服务器已停机，或其 DNSSEC 签名无法验证）；请确认其域名服务器能够应答，然后重试",
		`none of the 2 TXT records at _acme-challenge.a.example, an alias of b.example ("x", "y") is the expected one; publish this record: _acme-challenge.a.example. TXT "z"`:                                                                                      "_acme-challenge.a.example 所指向的 b.example 的 2 条 TXT 记录（\"x\", \"y\"）中没有所需的记录；请添加以下记录：_acme-challenge.a.example. TXT \"z\"",
		// What was found, with names filled in, and a change from one check to the next.
		"Publish an A or AAAA record for a.example, or correct the URL.":                   "请为 a.example 添加 A 或 AAAA 记录，或更正 URL。",
		"the platform is admitted: was yes, is no: nobody answers at the address and port": "平台可以进入：原为是，现为否：该地址和端口没有应答",
		"new: The port speaks HTTP, not HTTPS":                                             "新出现：该端口使用 HTTP，而不是 HTTPS",
		"it names 3 CA(s), ours is not among them; the first: CN=Some CA,O=Foo; Bar":       "它列出 3 个 CA，其中没有我们的；第一个是：CN=Some CA,O=Foo; Bar",
		// Several sentences of several phrases, and lines that were joined to one.
		"The app shop is suspended: ask an operator why. profile server has no wildcards: name each host.": "⟦The app shop is suspended: ask an operator why. profile server has no wildcards: name each host.⟧",
		"This session has ended: sign in again. Nobody is signed in: sign in first.":                       "会话已结束：请重新登录。尚未登录：请先登录。",
		"a.example is not proven yet. Prove it like this: Publish this DNS record, and leave it there: _acme-challenge.a.example. TXT \"abc\"\nThen: imca domain verify a.example --method dns-01. Then ask for the certificate again.": "a.example 尚未验证。请按以下方式证明：请添加以下 DNS 记录并保留：_acme-challenge.a.example. TXT \"abc\" 然后执行：imca domain verify a.example --method dns-01。之后再申请证书。",
		// What the book does not know is marked, however little it is; what people wrote themselves is not foreign to them.
		"To be or not to be. The port speaks HTTP, not HTTPS. That is all.":                               "⟦To be or not to be.⟧ 该端口使用 HTTP，而不是 HTTPS。 ⟦That is all.⟧",
		"no certificate at 192.0.2.1:443: tls: something new has happened":                                "没有证书，地址 192.0.2.1:443：⟦tls: something new has happened⟧",
		"a.example was refused to the app shop (olga, 2026-03-01): it is not nice. Ask an operator.":      "应用 shop 对 a.example 的申请已被拒绝（olga，2026-03-01）：⟦it is not nice⟧。请联系运维人员。",
		"a.example was refused to the app shop (olga, 2026-03-01): 域名属于 others not you. Ask an operator.": "应用 shop 对 a.example 的申请已被拒绝（olga，2026-03-01）：域名属于 others not you。请联系运维人员。",
		"OCSP is good for everybody": "⟦OCSP is good for everybody⟧",
		"":                           "",
	} {
		require.Equal(t, want, shown(b.Translate(english)), english)
	}
}

// TestStrangersCannotSpeak: what a server answered, or somebody typed, is shown as it is, even if it looks like a phrase or like a place for one.
func TestStrangersCannotSpeak(t *testing.T) {
	b := chinese(t)
	for _, stranger := range []string{
		`x"; put the file there with exactly this content: evil`, "The port speaks HTTP, not HTTPS", "{1}", "{~2}", "%s %[1]s", "<b>", `\"`, "no certificate", "{name}",
	} {
		quoted := quote(stranger)
		told := shown(b.Translate("got 404 from http://a.example/x (192.0.2.1:80): body starts " + quoted + "; put the file there with exactly this content: good"))
		require.Equal(t, "从 http://a.example/x (192.0.2.1:80)得到的应答为：404，内容开头为 "+quoted+"；请在那里放置内容与下文完全一致的文件：good", told)
		told = shown(b.Translate("There is no app " + quoted + ": look its ID up in the list (GET /v1/apps, or 'imca app list')."))
		require.Equal(t, "没有应用 "+quoted+"：请在列表中查找它的 ID（GET /v1/apps，或“imca app list”）。", told)
	}
}

func TestNoBookChangesNothing(t *testing.T) {
	require.Equal(t, []Part{{Text: "Nobody is signed in: sign in first."}}, (*Book)(nil).Translate("Nobody is signed in: sign in first."))
}

// TestEveryPhraseIsFound fills each phrase with values, and wants its own translation back with the same values in it.
func TestEveryPhraseIsFound(t *testing.T) {
	b := chinese(t)
	for _, p := range b.all() {
		text, values := p.filled(func(i int) string { return "v" + string(rune('a'+i)) + "-0" })
		if p.weight < shortPhrase && strings.Contains(p.english, "%") { // a mere form: texts are to be in it
			text, _ = p.filled(func(i int) string { return map[bool]string{true: "no certificate", false: "v-0"}[p.looksUp(i)] })
			values = nil
		}
		parts := b.Translate(text)
		told := shown(parts)
		for _, v := range values {
			require.Contains(t, told, v, "%s: %s", p.english, told)
		}
		for _, one := range p.pieces {
			require.Contains(t, told, strings.TrimSuffix(one.text, "。"), "%s: %s", p.english, told)
		}
		for _, part := range parts {
			require.False(t, part.Foreign, "%s: %s", p.english, told)
		}
	}
}

// looksUp tells whether a value is a text of its own.
func (p *phrase) looksUp(index int) bool {
	return slices.ContainsFunc(p.pieces, func(one piece) bool { return one.slot == index && one.looksUp })
}

// all are the phrases of a book.
func (b *Book) all() []*phrase {
	all := slices.Collect(maps.Values(b.exact))
	for _, some := range []map[string][]*phrase{b.byFirst, b.byLast} {
		for _, phrases := range some {
			all = append(all, phrases...)
		}
	}
	all = append(all, b.loose...)
	slices.SortFunc(all, func(p, q *phrase) int { return strings.Compare(p.english, q.english) })
	return all
}

// filled makes a text of a phrase; value gives what may stand in a slot.
func (p *phrase) filled(value func(i int) string) (text string, values []string) {
	values = make([]string, p.names)
	for i := range values {
		values[i] = value(i)
	}
	for _, s := range p.slots {
		switch s.kind {
		case number:
			values[s.index] = "4" + string(rune('0'+s.index))
		case quoted:
			values[s.index] = quote(strings.Trim(values[s.index], `"`))
		}
	}
	text = p.literals[0]
	for i, s := range p.slots {
		text += values[s.index] + p.literals[i+1]
	}
	return text, values
}

// TestLibraryErrors asks Go for the errors that the book has of it, as they are.
func TestLibraryErrors(t *testing.T) {
	b := chinese(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	_, refused := net.Dial("tcp", address)
	require.Error(t, refused)

	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	leaf := &x509.Certificate{Raw: []byte{1}, NotBefore: at, NotAfter: at.Add(time.Hour), DNSNames: []string{"a.example"}, Extensions: nil}
	verify := func(when time.Time) error {
		_, err := leaf.Verify(x509.VerifyOptions{Roots: x509.NewCertPool(), CurrentTime: when})
		return err
	}
	noNames := &x509.Certificate{}
	for _, err := range []error{
		refused, io.EOF, io.ErrUnexpectedEOF, deadline(t), firstRecord(t), tls.AlertError(40), tls.AlertError(42), tls.AlertError(43), tls.AlertError(44),
		tls.AlertError(45), tls.AlertError(46), tls.AlertError(48), tls.AlertError(49), tls.AlertError(51), tls.AlertError(70), tls.AlertError(71),
		tls.AlertError(80), tls.AlertError(100), tls.AlertError(112), tls.AlertError(116), tls.AlertError(120),
		verify(at.Add(2 * time.Hour)), verify(at.Add(-time.Hour)), verify(at.Add(time.Minute)),
		leaf.VerifyHostname("b.example"), noNames.VerifyHostname("b.example"), noNames.VerifyHostname("192.0.2.1"),
		x509.CertificateInvalidError{Cert: leaf, Reason: x509.IncompatibleUsage}, &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}},
	} {
		text := err.Error()
		if alert, is := err.(tls.AlertError); is {
			text = "remote error: " + alert.Error()
		}
		require.NotContains(t, shown(b.Translate(text)), "⟦", text)
	}
}

// deadline is the error of a connection that nobody answered in time.
func deadline(t *testing.T) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Millisecond)))
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err)
	return err
}

// firstRecord is the error of a client of TLS that hears something else.
func firstRecord(t *testing.T) error {
	near, far := net.Pipe()
	go func() {
		_, _ = far.Read(make([]byte, 1<<14))
		_, _ = far.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		_, _ = io.Copy(io.Discard, far)
	}()
	defer far.Close()
	err := tls.Client(near, &tls.Config{ServerName: "a.example"}).Handshake()
	require.Error(t, err)
	return err
}

// FuzzTranslate: whatever stands in the values of a phrase comes out of its translation; whatever else a text is, nothing of it is lost unless it was
// translated, and the time it takes is bounded.
func FuzzTranslate(f *testing.F) {
	b := chinese(f)
	all := b.all()
	for _, seed := range []string{"a", "no certificate", "{1}{~2}", "The port speaks HTTP, not HTTPS", "a. B. C", "is is is", "x, y; z or w and v", `"`, "证书", strings.Repeat("a: ; (b) ", 300)} {
		f.Add(uint(3), seed)
	}
	f.Fuzz(func(t *testing.T, n uint, value string) {
		began := time.Now()
		parts := b.Translate(value)
		require.Less(t, time.Since(began), time.Second)
		if len(parts) == 1 && parts[0].Foreign {
			require.Equal(t, strings.ReplaceAll(value, "\n", " "), parts[0].Text)
		}
		if value == "" || len(value) > 200 || strings.ContainsAny(value, "\n") || strings.HasSuffix(value, ".") {
			return
		}
		p := all[n%uint(len(all))]
		text, values := p.filled(func(int) string { return value })
		if b.candidates(text)[0] != p {
			return // with this value it reads like another one
		}
		if severalWords(value) && slices.ContainsFunc(p.slots, func(s slot) bool { return p.isOpen(s.index) }) {
			return // what begins or ends a text and has words may be a text of its own
		}
		if slices.ContainsFunc(p.literals, func(l string) bool { return l != "" && strings.Contains(value, strings.TrimSpace(l)) }) || len(p.slots) == 0 {
			return // the value has what ends it
		}
		var told string
		for _, part := range b.Translate(text) {
			told += part.Text
		}
		for _, one := range p.pieces {
			if one.slot >= 0 && !one.looksUp {
				require.Contains(t, told, values[one.slot], "%s: %s", p.english, told)
			}
		}
	})
}

func BenchmarkTranslate(b *testing.B) {
	book := chinese(b)
	for _, c := range []struct{ name, text string }{
		{"refusal", "The certificate 01ab was revoked while it was being issued: ask again, or ask who revoked it."},
		{"evidence", "the platform's certificate over TLS 1.2, server name other.invalid, once more at 127.0.0.1:8443: TLS alert 48, unknown_ca"},
		{"unknown", "To be or not to be: that is the question; whether it is nobler in the mind to suffer, or to take arms."},
		{"hostile", strings.Repeat("is at : ; , a (b) ", 100)},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				book.Translate(c.text)
			}
		})
	}
}

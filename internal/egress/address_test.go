package egress

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestJudge(t *testing.T) {
	public := []string{
		"8.8.8.8", "1.1.1.1", "223.255.255.254", "100.63.255.255", "100.128.0.1", "172.15.255.255", "172.32.0.1",
		"169.253.255.255", "192.0.1.1", "198.17.255.255", "198.20.0.1",
		"2606:4700::1111", "2a00::1", "2001:200::1", "::ffff:8.8.8.8",
		"64:ff9b::8.8.8.8", // an IPv6-only machine's way to IPv4
	}
	for _, text := range public {
		require.Nil(t, guard(t, Config{}).judge(netip.MustParseAddr(text)), text)
	}

	refused := map[string]string{
		"0.0.0.0": "unspecified", "0.1.2.3": "unspecified",
		"10.0.0.1": "private", "172.16.0.1": "private", "172.31.255.255": "private", "192.168.1.1": "private",
		"100.64.0.1": "carrier-grade", "100.127.255.255": "carrier-grade", "100.100.100.200": "metadata",
		"127.0.0.1": "loopback", "127.255.255.255": "loopback",
		"169.254.0.23": "link-local", "169.254.169.254": "metadata", "168.63.129.16": "metadata",
		"192.0.0.8": "protocols", "192.0.2.1": "documentation", "198.51.100.1": "documentation", "203.0.113.1": "documentation",
		"192.88.99.1": "6to4", "198.18.0.1": "benchmark", "198.19.255.255": "benchmark",
		"224.0.0.1": "multicast", "239.255.255.250": "multicast", "240.0.0.1": "reserved", "255.255.255.255": "broadcast",

		"::": "unspecified", "::1": "loopback", "fe80::1": "link-local", "fe80::1%eth0": "link-local", "fec0::1": "site-local",
		"fc00::1": "private", "fd12:3456::1": "private", "fd00:ec2::254": "metadata", "ff02::1": "multicast",
		"100::1": "discard", "100:0:0:1::1": "dummy", "2001:db8::1": "documentation", "3fff::1": "documentation",
		"2001:2::1": "benchmark", "2001:10::1": "protocols", "5f00::1": "segment", "4000::1": "not global unicast",
		"200::1": "not global unicast", "::2:0:0:1": "not global unicast",

		"::ffff:127.0.0.1": "loopback", "::ffff:169.254.169.254": "metadata", "::127.0.0.1": "not global unicast",
		"::ffff:0:127.0.0.1": "not global unicast", "64:ff9b::10.0.0.1": "private", "64:ff9b::a9fe:a9fe": "metadata",
		"64:ff9b:1::8.8.8.8": "local-use NAT64", "2002:0808:0808::1": "6to4", "2002:7f00:0001::1": "6to4",
		"2001:0:808:808::1": "Teredo", "2606:4700::5efe:127.0.0.1": "loopback", "2606:4700::200:5efe:10.0.0.1": "private",
	}
	for text, why := range refused {
		err := guard(t, Config{}).judge(netip.MustParseAddr(text))
		require.NotNil(t, err, text)
		require.Contains(t, err.Why, why, text)
		require.Contains(t, err.Why, "--allow-egress", text)
	}
}

func TestAllow(t *testing.T) {
	allow := func(ranges ...string) Config {
		var c Config
		for _, r := range ranges {
			c.Allow = append(c.Allow, netip.MustParsePrefix(r))
		}
		return c
	}
	for _, test := range []struct {
		allow   []string
		addr    string
		allowed bool
	}{
		{[]string{"127.0.0.0/8"}, "127.0.0.1", true},
		{[]string{"127.0.0.1/8"}, "127.9.9.9", true}, // host bits do not count
		{[]string{"127.0.0.0/8"}, "::ffff:127.0.0.1", true},
		{[]string{"127.0.0.0/8"}, "64:ff9b::127.0.0.1", true},
		{[]string{"127.0.0.0/8"}, "2002:7f00:1::1", false}, // the tunnel itself is not open
		{[]string{"127.0.0.0/8"}, "10.0.0.1", false},
		{[]string{"127.0.0.0/8"}, "::1", false},
		{[]string{"2002::/16"}, "2002:7f00:1::1", false}, // the tunnel is open, what it leads to is not
		{[]string{"2002::/16"}, "2002:808:808::1", true},
		{[]string{"::/0"}, "::ffff:10.0.0.1", false},
		{[]string{"::/0"}, "2001:0:808:808::f5ff:fffe", false}, // Teredo client 10.0.0.1
		{[]string{"::/0"}, "2001:0:a00:1::f7f7:f7f7", false},   // Teredo server 10.0.0.1
		{[]string{"::/0"}, "2001:0:808:808::f7f7:f7f7", true},
		{[]string{"::/0"}, "::10.0.0.1", false},
		{[]string{"::/0"}, "::1", true},
		{[]string{"::/0"}, "fe80::1%lo", true},
		{[]string{"10.0.0.0/8", "fd00::/8"}, "fd00::1", true},
	} {
		err := guard(t, allow(test.allow...)).judge(netip.MustParseAddr(test.addr))
		require.Equal(t, test.allowed, err == nil, "%v %s: %v", test.allow, test.addr, err)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, test := range []struct {
		config Config
		says   string
	}{
		{Config{Allow: []netip.Prefix{{}}}, "write it like 10.0.0.0/8"},
		{Config{Allow: []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")}}, "write the IPv4 range"},
		{Config{Resolver: "dns.example.com:53"}, "write its address"},
		{Config{Resolver: "192.0.2.1:0"}, "write its address"},
		{Config{Resolver: "192.0.2.1:dns"}, "write its address"},
	} {
		_, err := New(test.config)
		require.ErrorContains(t, err, test.says)
	}
	for in, out := range map[string]string{
		"192.0.2.53": "192.0.2.53:53", "192.0.2.53:5353": "192.0.2.53:5353",
		"2001:db8::53": "[2001:db8::53]:53", "[2001:db8::53]:5353": "[2001:db8::53]:5353",
	} {
		server, err := parseServer(in)
		require.NoError(t, err)
		require.Equal(t, out, server)
	}
}

// FuzzDisguise holds that an IPv4 address that is refused is refused in every
// disguise, and that one that is open is never refused for being what it is.
func FuzzDisguise(f *testing.F) {
	for _, seed := range []string{"127.0.0.1", "169.254.169.254", "10.0.0.1", "8.8.8.8", "0.0.0.0", "255.255.255.255", "100.64.0.1"} {
		b := netip.MustParseAddr(seed).As4()
		f.Add(binary.BigEndian.Uint32(b[:]), uint64(0x2606_4700_0000_0000), uint32(0), true)
	}
	f.Fuzz(func(t *testing.T, v4 uint32, high uint64, middle uint32, everything bool) {
		config := Config{}
		if everything {
			// However much IPv6 is opened, an IPv4 address is judged by IPv4's ranges.
			config.Allow = []netip.Prefix{netip.MustParsePrefix("::/0")}
		}
		g := guard(t, config)
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], v4)
		plain := netip.AddrFrom4(b)
		open := g.judge(plain) == nil

		for name, disguised := range disguises(b, high, middle) {
			if disguised == netip.IPv6Loopback() || disguised == netip.IPv6Unspecified() {
				continue // these mean themselves
			}
			err := g.judge(disguised)
			if !open {
				require.NotNil(t, err, "%s as %s: %s", plain, name, disguised)
			}
			if open && name == "mapped" {
				require.Nil(t, err, "%s as %s: %s", plain, name, disguised)
			}
		}
	})
}

func disguises(v4 [4]byte, high uint64, middle uint32) map[string]netip.Addr {
	inverted := [4]byte{^v4[0], ^v4[1], ^v4[2], ^v4[3]}
	build := func(prefix string, at int, v4 [4]byte) netip.Addr {
		b := netip.MustParseAddr(prefix).As16()
		copy(b[at:], v4[:])
		return netip.AddrFrom16(b)
	}
	var isatap [16]byte
	binary.BigEndian.PutUint64(isatap[:], high)
	copy(isatap[8:], []byte{byte(middle) & 2, 0, 0x5e, 0xfe})
	copy(isatap[12:], v4[:])
	return map[string]netip.Addr{
		"mapped":        build("::ffff:0:0", 12, v4),
		"mapped, zoned": build("::ffff:0:0", 12, v4).WithZone("eth0"),
		"compatible":    build("::", 12, v4),
		"translated":    build("::ffff:0:0:0", 12, v4),
		"NAT64":         build("64:ff9b::", 12, v4),
		"local NAT64":   build("64:ff9b:1:ffff::", 12, v4),
		"6to4":          build("2002::1", 2, v4),
		"Teredo client": build("2001:0:808:808::", 12, inverted),
		"Teredo server": build("2001::f7f7:f7f7", 4, v4),
		"ISATAP":        netip.AddrFrom16(isatap),
	}
}

func guard(t testing.TB, c Config) *Guard {
	t.Helper()
	g, err := New(c)
	require.NoError(t, err)
	return g
}

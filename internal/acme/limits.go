package acme

import (
	"time"

	"github.com/imca-project/imca/internal/ca"
	"github.com/imca-project/imca/internal/pki"
)

// Limits bound what may be asked for. What is 0 has no bound. But for OpenOrders they are quotas (ca.Quotas): kept in the database, for all servers.
type Limits struct {
	OpenOrders int // of an account, neither finished nor failed

	AccountsPerAddressHour int // new ones from one IPv4 address, or one IPv6 /64
	AccountsPerAppHour     int // new ones for one app

	// FailuresPerNameHour is how often an account may fail to prove the same name. A challenge is looked at several times before it has failed.
	FailuresPerNameHour int
}

func (l Limits) forAccount(network, app string) []ca.Quota {
	return []ca.Quota{
		{Scope: "acme accounts " + network, Most: l.AccountsPerAddressHour, Per: time.Hour, What: "new accounts from " + network},
		{Scope: "acme accounts app " + app, Most: l.AccountsPerAppHour, Per: time.Hour, What: "new accounts for the app " + app},
	}
}

func (l Limits) forChallenge(account string, n pki.Name) ca.Quota {
	return ca.Quota{Scope: "acme failures " + account + " " + n.String(), Most: l.FailuresPerNameHour, Per: time.Hour, What: "failed validations of " + n.String() + " by one account"}
}

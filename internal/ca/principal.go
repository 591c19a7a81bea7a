package ca

import (
	"slices"
	"strconv"
	"strings"
)

// Role is what a principal may do, by a fixed table (see Action). A role is given to a token when the token is made.
type Role string

// The roles, from the narrowest to the widest.
const (
	RoleDeveloper Role = "developer" // acts for one app: its certificates and domains
	RoleAuditor   Role = "auditor"   // sees everything, changes nothing
	RoleOperator  Role = "operator"  // runs the CA: any certificate, apps and their tokens
	RoleAdmin     Role = "admin"     // an operator who also makes operators
)

// roleProgram is what the CA does of itself. It is none of Roles: no token has it, and what it may do nobody else may.
const roleProgram Role = "program"

// itself is the principal of what the CA does of itself.
func itself() Principal { return Principal{Name: "imca", Role: roleProgram} }

// Roles lists every role, from the narrowest to the widest.
func Roles() []Role { return []Role{RoleDeveloper, RoleAuditor, RoleOperator, RoleAdmin} }

// roleKeyHolder is who has shown to hold the private key of a certificate. It is none of Roles: no token has it.
const roleKeyHolder Role = "key-holder"

// Principal is who asks. Doors make it from a token (CA.Authenticate) and pass it to every verb.
type Principal struct {
	// Name is shown in events and as "requested_by": the token's name, or the operating system's user for local commands.
	Name string

	Role Role

	// App is the app that a developer acts for; empty for the other roles.
	App string

	// Scopes narrow what the role may.
	Scopes Scopes

	// Token is the ID of the token that was shown; empty for local commands.
	Token string

	// Address is where the request came from, RequestID what the door called it; both go into events only.
	Address   string
	RequestID string
}

// Nobody is the principal of a request that showed no valid token.
func Nobody(address, requestID string) Principal {
	return Principal{Name: "nobody", Address: address, RequestID: requestID}
}

// Action is something that a principal may or may not do; it is the verb of an event.
type Action string

// The actions. What is not in a role's list is refused.
const (
	ActAuthenticate    Action = "authenticate"
	ActIssueServer     Action = "certificate.issue"
	ActIssueClient     Action = "certificate.issue-client"
	ActReadCertificate Action = "certificate.read"
	ActRevoke          Action = "certificate.revoke"
	ActRevokeSearch    Action = "certificate.revoke-search"
	ActRevokeByKey     Action = "certificate.revoke-by-key"
	ActHold            Action = "certificate.hold"
	ActRelease         Action = "certificate.release"
	ActPlanReplacement Action = "certificate.plan-replacement"
	ActRenew           Action = "certificate.renew"
	ActReadProfiles    Action = "profile.read"
	ActReadAuthorities Action = "authority.read"
	ActCreateAuthority Action = "authority.create"
	ActMoveKey         Action = "authority.move-key"
	ActPromote         Action = "authority.promote"
	ActRetire          Action = "authority.retire"
	ActImportCRL       Action = "crl.import"
	ActReadEvents      Action = "event.read"
	ActReadApp         Action = "app.read"
	ActReadHistory     Action = "app.history"
	ActListApps        Action = "app.list"
	ActCreateApp       Action = "app.create"
	ActChangeApp       Action = "app.change"
	ActReadTokens      Action = "token.read"
	ActCreateToken     Action = "token.create"
	ActRevokeToken     Action = "token.revoke"
	ActRotateToken     Action = "token.rotate"
	ActSignIn          Action = "session.sign-in"
	ActLinkSession     Action = "session.link"
	ActSignOut         Action = "session.sign-out"
	ActEndSessions     Action = "session.end-others"
	ActExamine         Action = "doctor"
	ActReadFigures     Action = "figures.read"

	ActAddDomain      Action = "domain.add"
	ActReadDomain     Action = "domain.read"
	ActVerifyDomain   Action = "domain.verify"
	ActRemoveDomain   Action = "domain.remove"
	ActApproveDomain  Action = "domain.approve"
	ActRejectDomain   Action = "domain.reject"
	ActTransferDomain Action = "domain.transfer"
	ActResolveDomain  Action = "domain.resolve"
	ActRevokeOthers   Action = "domain.revoke-others"

	ActCreateEAB     Action = "eab.create"
	ActUseEAB        Action = "eab.use"
	ActRegister      Action = "acme.register"
	ActChangeAccount Action = "acme.change-account"

	ActCheck     Action = "check.run"
	ActReadCheck Action = "check.read"

	ActAddEndpoint    Action = "endpoint.add"
	ActReadEndpoint   Action = "endpoint.read"
	ActRemoveEndpoint Action = "endpoint.remove"

	ActCreateWebhook Action = "webhook.create"
	ActReadWebhook   Action = "webhook.read"
	ActRotateWebhook Action = "webhook.rotate"
	ActTestWebhook   Action = "webhook.test"
	ActRemoveWebhook Action = "webhook.remove"

	ActAddRoot    Action = "root.add"
	ActReadRoot   Action = "root.read"
	ActRemoveRoot Action = "root.remove"

	// What the CA does by itself.
	ActRecheckDomain  Action = "domain.recheck"
	ActSuspendDomain  Action = "domain.suspend"
	ActPublishCRL     Action = "crl.publish"
	ActIssueResponder Action = "certificate.issue-ocsp"
	ActIssueCanary    Action = "certificate.issue-canary"
	ActScheduleCheck  Action = "check.schedule"
	ActFinishCheck    Action = "check.finish"
	ActAlert          Action = "endpoint.alert"
	ActRecover        Action = "endpoint.recover"
	ActGiveUp         Action = "webhook.give-up"
)

// permissions is the whole of who may do what. A developer's apply to the objects of their own app alone (authorize sees to that).
var permissions = map[Role][]Action{
	RoleDeveloper: {ActIssueServer, ActReadCertificate, ActRevoke, ActRenew, ActReadProfiles, ActReadApp, ActRotateToken,
		ActAddDomain, ActReadDomain, ActVerifyDomain, ActRemoveDomain, ActResolveDomain, ActRevokeOthers,
		ActRevokeSearch, ActCreateEAB, ActRegister, ActChangeAccount, ActCheck, ActReadCheck, ActAddEndpoint, ActReadEndpoint, ActRemoveEndpoint,
		ActCreateWebhook, ActReadWebhook, ActRotateWebhook, ActTestWebhook, ActRemoveWebhook, ActReadRoot,
		ActReadHistory, ActSignIn, ActLinkSession, ActSignOut},
	RoleAuditor: {ActReadCertificate, ActReadProfiles, ActReadAuthorities, ActReadEvents, ActReadApp, ActListApps, ActReadTokens,
		ActExamine, ActReadFigures, ActReadDomain, ActRotateToken, ActReadCheck, ActReadEndpoint, ActReadWebhook, ActReadRoot,
		ActReadHistory, ActSignIn, ActLinkSession, ActSignOut},
	RoleOperator: {ActIssueServer, ActIssueClient, ActReadCertificate, ActRevoke, ActRenew, ActReadProfiles, ActReadAuthorities,
		ActReadEvents, ActReadApp, ActListApps, ActCreateApp, ActChangeApp, ActReadTokens, ActCreateToken, ActRevokeToken, ActRotateToken, ActExamine, ActReadFigures,
		ActAddDomain, ActReadDomain,
		ActVerifyDomain, ActRemoveDomain, ActApproveDomain, ActRejectDomain, ActTransferDomain, ActResolveDomain, ActRevokeOthers,
		ActRevokeSearch, ActHold, ActRelease, ActPlanReplacement, ActCreateEAB, ActImportCRL, ActCheck, ActReadCheck,
		ActAddEndpoint, ActReadEndpoint, ActRemoveEndpoint,
		ActCreateWebhook, ActReadWebhook, ActRotateWebhook, ActTestWebhook, ActRemoveWebhook, ActAddRoot, ActReadRoot, ActRemoveRoot,
		ActReadHistory, ActSignIn, ActLinkSession, ActSignOut, ActEndSessions},
	RoleAdmin: {ActIssueServer, ActIssueClient, ActReadCertificate, ActRevoke, ActRenew, ActReadProfiles, ActReadAuthorities,
		ActCreateAuthority, ActReadEvents, ActReadApp, ActListApps, ActCreateApp, ActChangeApp, ActReadTokens, ActCreateToken,
		ActRevokeToken, ActRotateToken, ActExamine, ActReadFigures, ActAddDomain, ActReadDomain,
		ActVerifyDomain, ActRemoveDomain, ActApproveDomain, ActRejectDomain, ActTransferDomain, ActResolveDomain, ActRevokeOthers,
		ActRevokeSearch, ActHold, ActRelease, ActPlanReplacement, ActCreateEAB, ActImportCRL, ActMoveKey, ActPromote, ActRetire, ActCheck, ActReadCheck,
		ActAddEndpoint, ActReadEndpoint, ActRemoveEndpoint,
		ActCreateWebhook, ActReadWebhook, ActRotateWebhook, ActTestWebhook, ActRemoveWebhook, ActAddRoot, ActReadRoot, ActRemoveRoot,
		ActReadHistory, ActSignIn, ActLinkSession, ActSignOut, ActEndSessions},
	roleKeyHolder: {ActRevokeByKey},
	roleProgram:   {ActPublishCRL, ActIssueResponder, ActIssueCanary, ActRevoke, ActScheduleCheck},
}

// Scopes are the actions that a token is good for, separated by spaces; empty: all of its role's.
type Scopes string

// Allow tells whether an action is within the scopes.
func (s Scopes) Allow(a Action) bool {
	return s == "" || slices.Contains(strings.Fields(string(s)), string(a))
}

// parseScopes brings scopes to normal form: known, each one once, in order, and none that the role has not.
func parseScopes(list []string, role Role) (Scopes, *Error) {
	for i, s := range list {
		if !role.May(Action(s)) {
			return "", refuse(KindInvalid, "/scopes/"+strconv.Itoa(i), "The role %s has no scope %q: use some of %s.", role, s, joined(permissions[role]))
		}
	}
	sorted := slices.Compact(slices.Sorted(slices.Values(list)))
	return Scopes(strings.Join(sorted, " ")), nil
}

// Actions lists what the role is given.
func (r Role) Actions() []Action { return slices.Clone(permissions[r]) }

// May tells whether the role is given the action at all.
func (r Role) May(a Action) bool { return slices.Contains(permissions[r], a) }

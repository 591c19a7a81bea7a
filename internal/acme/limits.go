package acme

// Limits bound what may be asked for. What is 0 has no bound.
type Limits struct {
	OpenOrders int // of an account, neither finished nor failed
}

// Package control is what the peers share: a record of what they saw, an HTTP/1 API on loopback to read it
// and to order answers, and the line on standard output that says where they listen.
package control

import (
	"encoding/json"
	"slices"
	"sync"
	"time"
)

// Connection is what one client connection did.
type Connection struct {
	ID         int            `json:"id"`
	Requests   int            `json:"requests"`             // answered
	MaxOpen    int            `json:"maxOpen"`              // most streams open at once
	Violations int            `json:"violations"`           // streams above an acknowledged limit
	Refused    int            `json:"refused"`              // streams answered REFUSED_STREAM
	Pings      int            `json:"pings"`                // PINGs of the client's own
	LastStream *uint32        `json:"lastStream,omitempty"` // of the GOAWAY that was sent
	ClientGone *uint32        `json:"clientGone,omitempty"` // error code of the GOAWAY that the client sent
	Open       bool           `json:"open"`
	Flood      map[string]any `json:"flood,omitempty"`
}

// Answer is an ordered reply: the next Count requests get it.
type Answer struct {
	Status int    `json:"status"`
	Reason string `json:"reason"`
	Count  int    `json:"count"`
}

// Record counts requests by the identity that their payload (member "id") or apns-id header carries.
// "Seen" is a request that arrived whole; "answered" one that the peer acted upon.
type Record struct {
	mu          sync.Mutex
	seen        map[string]int
	answered    map[string]int
	apnsIDs     map[string][]string // by identity, each once
	statuses    map[int]int
	connections []*Connection
	orders      []Answer
	goAway      []func()
	down, up    func()
	dialled     int
	muteUntil   time.Time
	muted       int
}

// NewRecord returns an empty record.
func NewRecord() *Record {
	return &Record{
		seen: map[string]int{}, answered: map[string]int{}, apnsIDs: map[string][]string{}, statuses: map[int]int{},
	}
}

// CanBeDown says how the peer closes its port and all connections, and how it opens the port again.
func (r *Record) CanBeDown(down, up func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down, r.up = down, up
}

// Opened counts a new connection; its fields are changed only within Update.
func (r *Record) Opened(goAway func()) *Connection {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &Connection{ID: len(r.connections) + 1, Open: true}
	r.connections = append(r.connections, c)
	r.goAway = append(r.goAway, goAway)
	return c
}

// Dialled counts a TCP connection, whatever becomes of it, and returns how many there were.
func (r *Record) Dialled() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dialled++
	return r.dialled
}

// Mute tells whether a request that has been counted as seen is to be left unanswered: from the request
// number after on, for a time.
func (r *Record) Mute(after int, length time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.muteUntil.IsZero() {
		total := 0
		for _, n := range r.seen {
			total += n
		}
		if total < after {
			return false
		}
		r.muteUntil = time.Now().Add(length)
	}
	if time.Now().After(r.muteUntil) {
		return false
	}
	r.muted++
	return true
}

// Update runs change with the record locked.
func (r *Record) Update(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

// Seen counts an arrival.
func (r *Record) Seen(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[id]++
}

// Named notes the apns-id header that a request of an identity had.
func (r *Record) Named(id, apnsID string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.apnsIDs[id], apnsID) {
		r.apnsIDs[id] = append(r.apnsIDs[id], apnsID)
	}
}

// Answered counts a request that the peer acts upon, and says how: 200 unless another answer is ordered.
func (r *Record) Answered(c *Connection, id string) (int, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	status, reason := 200, ""
	if len(r.orders) > 0 {
		status, reason = r.orders[0].Status, r.orders[0].Reason
		if r.orders[0].Count--; r.orders[0].Count <= 0 {
			r.orders = r.orders[1:]
		}
	}
	r.count(c, id, status)
	return status, reason
}

// AnsweredAs counts a request whose answer the caller chose.
func (r *Record) AnsweredAs(c *Connection, id string, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count(c, id, status)
}

func (r *Record) count(c *Connection, id string, status int) {
	r.answered[id]++
	r.statuses[status]++
	if c != nil {
		c.Requests++
	}
}

// Identity is the payload's member "id", or fallback (the apns-id header) without one.
func Identity(payload []byte, fallback string) string {
	var named struct {
		ID string `json:"id"`
	}
	if json.Unmarshal(payload, &named) == nil && named.ID != "" {
		return named.ID
	}
	return fallback
}

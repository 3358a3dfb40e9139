package control

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
)

// Listen opens a loopback port (0: any free one).
func Listen(port int) net.Listener {
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		log.Fatal(err)
	}
	return l
}

// TLS returns a server configuration that speaks HTTP/2 alone.
func TLS(certificate, key string) *tls.Config {
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		log.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12}
}

// Start serves the API of record, prints {"port": ..., "control": ...} and ends the process when standard
// input does: a peer never outlives the test that started it.
func Start(record *Record, port int) {
	api := Listen(0)
	server := &http.Server{Handler: handler(record)}
	go func() { log.Fatal(server.Serve(api)) }()
	fmt.Printf("{\"port\": %d, \"control\": %d}\n", port, api.Addr().(*net.TCPAddr).Port)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
}

func handler(r *Record) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) { r.reply(w, r.stats) })
	mux.HandleFunc("GET /count", func(w http.ResponseWriter, _ *http.Request) { r.reply(w, r.total) })
	mux.HandleFunc("GET /ids", func(w http.ResponseWriter, _ *http.Request) {
		r.reply(w, func() any {
			return map[string]any{"seen": r.seen, "answered": r.answered, "apnsIds": r.apnsIDs}
		})
	})
	mux.HandleFunc("POST /answer", func(w http.ResponseWriter, q *http.Request) {
		var order Answer
		if err := json.NewDecoder(q.Body).Decode(&order); err != nil || order.Status == 0 {
			http.Error(w, "want {status, reason, count}", http.StatusBadRequest)
			return
		}
		r.reply(w, func() any { r.orders = append(r.orders, order); return order })
	})
	mux.HandleFunc("POST /goaway", func(w http.ResponseWriter, _ *http.Request) {
		r.mu.Lock()
		leave := append([]func(){}, r.goAway...)
		r.mu.Unlock()
		for _, f := range leave {
			if f != nil {
				f()
			}
		}
		r.reply(w, r.stats)
	})
	for path, order := range map[string]func() func(){
		"POST /down": func() func() { return r.down },
		"POST /up":   func() func() { return r.up },
	} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			r.mu.Lock()
			obey := order()
			r.mu.Unlock()
			if obey == nil {
				http.Error(w, "this peer cannot", http.StatusNotImplemented)
				return
			}
			obey()
			r.reply(w, r.stats)
		})
	}
	mux.HandleFunc("POST /reset", func(w http.ResponseWriter, _ *http.Request) {
		r.reply(w, func() any {
			r.seen, r.answered, r.statuses, r.orders = map[string]int{}, map[string]int{}, map[int]int{}, nil
			r.apnsIDs = map[string][]string{}
			for _, c := range r.connections {
				c.Requests, c.MaxOpen = 0, 0
			}
			return map[string]any{}
		})
	})
	return mux
}

// total is what costs nothing to tell while requests come in.
func (r *Record) total() any {
	total := 0
	for _, n := range r.statuses {
		total += n
	}
	return map[string]any{"answered": total}
}

func (r *Record) stats() any {
	duplicates := map[string]int{}
	total := 0
	for id, n := range r.answered {
		total += n
		if n > 1 {
			duplicates[id] = n
		}
	}
	return map[string]any{
		"answered": total, "distinct": len(r.answered), "duplicates": duplicates, "seen": len(r.seen),
		"statuses": r.statuses, "connections": r.connections, "dialled": r.dialled, "muted": r.muted,
	}
}

func (r *Record) reply(w http.ResponseWriter, value func() any) {
	r.mu.Lock()
	text, err := json.Marshal(value())
	r.mu.Unlock()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text)
}

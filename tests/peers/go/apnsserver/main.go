// apnsserver answers as APNs does, on Go's own net/http and HTTP/2: what a well-behaved server of another
// make accepts and does (its flow control, its HPACK, its graceful GOAWAY).
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"regexp"
	"time"

	"tubepost.io/peers/control"
)

type connectionKey struct{}

var devicePath = regexp.MustCompile(`^/3/device/[0-9a-f]+$`)

func main() {
	certificate := flag.String("cert", "", "server certificate (PEM)")
	key := flag.String("key", "", "its private key (PEM)")
	port := flag.Int("port", 0, "port, 0 for any")
	streams := flag.Int("max-streams", 1000, "MAX_CONCURRENT_STREAMS")
	leaveAfter := flag.Int("goaway-after", 0, "graceful GOAWAY after this many requests of a connection, 0 for never")
	leavers := flag.Int("goaways", 0, "only so many connections end that way, 0 for all")
	delay := flag.Duration("delay", 0, "time before each answer")
	flag.Parse()

	record := control.NewRecord()
	listener := control.Listen(*port)
	opened := map[net.Conn]*control.Connection{}
	handler := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		connection := q.Context().Value(connectionKey{}).(*control.Connection)
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		id := control.Identity(body, q.Header.Get("apns-id"))
		record.Seen(id)
		record.Named(id, q.Header.Get("apns-id"))
		if *delay > 0 {
			time.Sleep(*delay)
		}
		status, reason := check(q, body)
		if status == http.StatusOK {
			status, reason = record.Answered(connection, id)
		} else {
			record.AnsweredAs(connection, id, status)
		}
		var leave bool
		record.Update(func() {
			leave = *leaveAfter > 0 && connection.Requests == *leaveAfter && (*leavers == 0 || connection.ID <= *leavers)
		})
		if leave {
			w.Header().Set("Connection", "close") // net/http turns this into a graceful GOAWAY
		}
		w.Header().Set("apns-id", q.Header.Get("apns-id"))
		w.WriteHeader(status)
		if reason != "" {
			fmt.Fprintf(w, `{"reason":%q}`, reason)
		}
	})
	newServer := func() *http.Server {
		return &http.Server{
			Handler:   handler,
			TLSConfig: control.TLS(*certificate, *key),
			HTTP2:     &http.HTTP2Config{MaxConcurrentStreams: *streams},
			ErrorLog:  log.New(io.Discard, "", 0),
			ConnContext: func(ctx context.Context, c net.Conn) context.Context {
				connection := record.Opened(nil)
				record.Update(func() { opened[c] = connection })
				return context.WithValue(ctx, connectionKey{}, connection)
			},
			ConnState: func(c net.Conn, state http.ConnState) {
				if state == http.StateClosed {
					record.Update(func() {
						if known := opened[c]; known != nil {
							known.Open = false
						}
					})
				}
			},
		}
	}
	server := newServer()
	up := make(chan net.Listener)
	record.CanBeDown(
		func() { _ = server.Close() },
		func() { server = newServer(); up <- control.Listen(listener.Addr().(*net.TCPAddr).Port) },
	)
	control.Start(record, listener.Addr().(*net.TCPAddr).Port)
	for {
		if err := server.ServeTLS(listener, "", ""); err != http.ErrServerClosed {
			log.Fatal(err)
		}
		listener = <-up
	}
}

func check(q *http.Request, body []byte) (int, string) {
	switch {
	case q.Method != http.MethodPost:
		return 405, "MethodNotAllowed"
	case !devicePath.MatchString(q.URL.Path):
		return 404, "BadPath"
	case len(q.Header["Apns-Topic"]) > 1 || len(q.Header["Apns-Id"]) > 1:
		return 400, "DuplicateHeaders"
	case q.Header.Get("apns-topic") == "":
		return 400, "MissingTopic"
	case len(body) == 0:
		return 400, "PayloadEmpty"
	case len(body) > 5120:
		return 413, "PayloadTooLarge"
	case !json.Valid(body):
		return 400, "BadPayload"
	}
	return 200, ""
}

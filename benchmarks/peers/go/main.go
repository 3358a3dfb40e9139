// apns2 sends by github.com/sideshow/apns2, the engine of gorush, until standard input ends.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/sideshow/apns2"
	"github.com/sideshow/apns2/token"
	"golang.org/x/net/http2"
)

func main() {
	port := flag.Int("port", 0, "")
	authority := flag.String("ca", "", "")
	key := flag.String("key", "", "")
	keyID := flag.String("key-id", "", "")
	teamID := flag.String("team-id", "", "")
	topic := flag.String("topic", "", "")
	inFlight := flag.Int("in-flight", 1000, "")
	payloadFile := flag.String("payload", "", "")
	flag.Parse()

	payload := read(*payloadFile)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(read(*authority)) {
		log.Fatal("no certificate authority")
	}
	signing, err := token.AuthKeyFromFile(*key)
	if err != nil {
		log.Fatal(err)
	}
	client := apns2.NewTokenClient(&token.Token{AuthKey: signing, KeyID: *keyID, TeamID: *teamID})
	client.Host = fmt.Sprintf("https://localhost:%d", *port)
	client.HTTPClient.Transport.(*http2.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}

	var total, next atomic.Int64
	var stopping atomic.Bool
	var workers sync.WaitGroup
	for range *inFlight {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for !stopping.Load() {
				answer, err := client.Push(&apns2.Notification{
					ApnsID:      uuid.NewString(),
					DeviceToken: fmt.Sprintf("%064x", next.Add(1)%997),
					Topic:       *topic,
					Expiration:  time.Time{},
					Priority:    apns2.PriorityHigh,
					PushType:    apns2.PushTypeAlert,
					Payload:     payload,
				})
				if err != nil {
					log.Fatal(err)
				}
				if answer.StatusCode != http.StatusOK {
					log.Fatal(answer.StatusCode, answer.Reason)
				}
				total.Add(1)
			}
		}()
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	stopping.Store(true)
	workers.Wait()
	fmt.Printf("{\"total\": %d}\n", total.Load())
}

func read(path string) []byte {
	found, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	return found
}

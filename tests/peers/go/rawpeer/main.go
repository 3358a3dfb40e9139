// rawpeer writes its HTTP/2 frames itself, to do what servers seldom do: lower the stream limit under way,
// leave in the middle of the traffic with an exact last stream, fall silent, flood; accept and never shake
// hands, answer PING and no request, answer nothing for a while, reset what they have said.
package main

import (
	"bufio"
	"crypto/tls"
	"flag"
	"io"
	"log"
	"net"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"tubepost.io/peers/control"
)

// script is what the flags ask for.
type script struct {
	name      string
	hold      int           // limit: requests that must have arrived before the first answer
	patience  time.Duration // limit: the first answer comes after this at the latest
	limit     uint32        // limit: the lowered MAX_CONCURRENT_STREAMS
	restore   bool          // limit: back to 1000 after the next accepted push
	after     int           // goaway, stall, floods, refuse: at this request of a connection (0: at once)
	times     int           // only the first connections follow the script, the others serve
	last      string        // goaway: exact, zero, notice (2^31-1, then exact)
	floodTime time.Duration
	muteTime  time.Duration // mute: for so long nothing is answered
}

func main() {
	var s script
	certificate := flag.String("cert", "", "server certificate (PEM)")
	key := flag.String("key", "", "its private key (PEM)")
	port := flag.Int("port", 0, "port, 0 for any")
	streams := flag.Uint("max-streams", 1000, "MAX_CONCURRENT_STREAMS at first")
	flag.StringVar(&s.name, "script", "serve", "serve, limit, goaway, stall, refuse, hang, wedge, mute, unsaid, or flood-KIND: "+kinds())
	flag.IntVar(&s.hold, "hold", 1, "limit: requests that must have arrived before the first answer")
	flag.DurationVar(&s.patience, "patience", 2*time.Second, "limit: the first answer comes after this at the latest")
	limit := flag.Uint("limit", 1, "limit: the lowered MAX_CONCURRENT_STREAMS")
	flag.BoolVar(&s.restore, "restore", false, "limit: back to the first value after the next accepted push")
	flag.IntVar(&s.after, "after", 1, "goaway, stall, flood, refuse, wedge: at this request of a connection; mute: of all")
	flag.IntVar(&s.times, "times", 1, "only so many connections follow the script, 0 for all; not for mute")
	flag.StringVar(&s.last, "last", "exact", "goaway: exact, zero or notice")
	flag.DurationVar(&s.muteTime, "mute-time", time.Second, "mute: for so long no request is answered, PING is")
	flag.DurationVar(&s.floodTime, "flood-time", time.Second, "flood: give up after this")
	alpn := flag.Bool("alpn", true, "choose h2 by ALPN")
	flag.Parse()
	s.limit = uint32(*limit)

	record := control.NewRecord()
	listener := control.Listen(*port)
	configuration := control.TLS(*certificate, *key)
	if !*alpn {
		configuration.NextProtos = nil
	}
	control.Start(record, listener.Addr().(*net.TCPAddr).Port)
	for {
		raw, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer raw.Close()
			if n := record.Dialled(); s.name == "hang" && (s.times == 0 || n <= s.times) {
				_, _ = io.Copy(io.Discard, raw) // until the client has had enough
				return
			}
			secured := tls.Server(raw, configuration)
			if secured.Handshake() != nil {
				return
			}
			if newPeer(s, record, secured, uint32(*streams)).run() {
				// What the client sent last is read, so that closing does not reset what it has yet to read.
				_ = secured.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
				_, _ = io.Copy(io.Discard, secured)
			}
		}()
	}
}

// event is one frame of the client's, copied out of the framer's buffers.
type event struct {
	kind     http2.FrameType
	stream   uint32
	end, ack bool
	data     []byte
	ping     [8]byte
	code     http2.ErrCode
	apnsID   string
	err      error
}

// stream is one request.
type stream struct {
	id    uint32
	apnID string
	body  []byte
	whole bool
}

// peer is one connection. All but read runs in run's goroutine.
type peer struct {
	script
	record   *control.Record
	seen     *control.Connection
	conn     net.Conn
	out      *bufio.Writer
	framer   *http2.Framer
	encoder  *hpack.Encoder
	block    *writer
	events   chan event
	silence  chan struct{} // closed: nothing is read any more
	leave    chan struct{}
	streams  map[uint32]*stream
	arrived  []*stream // whole, not answered
	whole    int
	first    uint32 // the stream limit at first
	allowed  uint32 // the limit that the client has acknowledged
	unacked  []uint32
	lowered  bool
	restored bool
	goAway   *uint32 // last stream of the GOAWAY that was sent
	acting   bool
}

type writer struct{ data []byte }

func (w *writer) Write(p []byte) (int, error) { w.data = append(w.data, p...); return len(p), nil }

func newPeer(s script, record *control.Record, conn net.Conn, streams uint32) *peer {
	p := &peer{
		script: s, record: record, conn: conn, out: bufio.NewWriterSize(conn, 65536), block: &writer{},
		events: make(chan event, 256), silence: make(chan struct{}), leave: make(chan struct{}, 1),
		streams: map[uint32]*stream{}, first: streams, allowed: streams,
	}
	p.framer = http2.NewFramer(p.out, bufio.NewReaderSize(conn, 65536))
	p.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	p.encoder = hpack.NewEncoder(p.block)
	p.seen = record.Opened(func() {
		select {
		case p.leave <- struct{}{}:
		default:
		}
	})
	p.acting = s.times == 0 || p.seen.ID <= s.times
	return p
}

// read turns frames into events until the connection ends or falls silent.
func (p *peer) read() {
	defer close(p.events)
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(p.conn, preface); err != nil || string(preface) != http2.ClientPreface {
		return
	}
	for {
		frame, err := p.framer.ReadFrame()
		e := event{err: err}
		if err == nil {
			e.kind, e.stream = frame.Header().Type, frame.Header().StreamID
			switch f := frame.(type) {
			case *http2.MetaHeadersFrame:
				e.end = f.StreamEnded()
				for _, field := range f.RegularFields() {
					if field.Name == "apns-id" {
						e.apnsID = field.Value
					}
				}
			case *http2.DataFrame:
				e.end, e.data = f.StreamEnded(), append([]byte(nil), f.Data()...)
			case *http2.SettingsFrame:
				e.ack = f.IsAck()
				if size, ok := f.Value(http2.SettingHeaderTableSize); ok {
					p.events <- event{kind: http2.FrameSettings, code: http2.ErrCode(size), data: []byte{}}
				}
			case *http2.PingFrame:
				e.ack, e.ping = f.IsAck(), f.Data
			case *http2.GoAwayFrame:
				e.code = f.ErrCode
			}
		}
		select {
		case p.events <- e:
		case <-p.silence:
			return
		}
		if err != nil {
			return
		}
	}
}

// run serves the connection; true when it ends in good order.
func (p *peer) run() bool {
	defer p.record.Update(func() { p.seen.Open = false })
	p.announce(p.first)
	_ = p.framer.WriteWindowUpdate(0, 1<<30)
	if p.out.Flush() != nil {
		return false
	}
	go p.read()
	var hurry <-chan time.Time
	if p.name == "limit" {
		hurry = time.After(p.patience)
	}
	for {
		select {
		case e, open := <-p.events:
			if !open || e.err != nil {
				return false
			}
			p.handle(e)
		case <-p.leave:
			p.sendGoAway(p.lastSeen(), "Shutdown")
		case <-hurry:
			if p.acting && !p.lowered && len(p.arrived) > 0 {
				p.lower()
			}
		}
		if p.acting && p.whole >= p.after {
			if p.name == "stall" {
				_ = p.out.Flush()
				close(p.silence)
				select {} // the socket stays open, and nothing moves on it any more
			}
			if kind, ok := floods[p.name]; ok && len(p.arrived) > 0 {
				return p.flood(kind)
			}
		}
		if len(p.events) > 0 {
			continue
		}
		if p.out.Flush() != nil {
			return false
		}
		if p.goAway != nil && len(p.streams) == 0 {
			return true
		}
	}
}

func (p *peer) handle(e event) {
	switch e.kind {
	case http2.FrameHeaders:
		p.begin(e)
		if e.end {
			p.complete(p.streams[e.stream])
		}
	case http2.FrameData:
		if s := p.streams[e.stream]; s != nil {
			s.body = append(s.body, e.data...)
			if e.end {
				p.complete(s)
			}
		}
	case http2.FrameRSTStream:
		p.forget(e.stream)
	case http2.FrameSettings:
		switch {
		case e.ack:
			if len(p.unacked) > 0 {
				p.allowed, p.unacked = p.unacked[0], p.unacked[1:]
			}
			if p.lowered && !p.restored && len(p.unacked) == 0 {
				p.answerAll()
			}
		case e.data != nil:
			p.encoder.SetMaxDynamicTableSizeLimit(uint32(e.code))
		default:
			_ = p.framer.WriteSettingsAck()
		}
	case http2.FramePing:
		if !e.ack {
			p.record.Update(func() { p.seen.Pings++ })
			_ = p.framer.WritePing(true, e.ping)
		}
	case http2.FrameGoAway:
		code := uint32(e.code)
		p.record.Update(func() { p.seen.ClientGone = &code })
	}
}

func (p *peer) begin(e event) {
	if p.goAway != nil && e.stream > *p.goAway {
		return // the client was told, or will see, that this one never happened
	}
	p.streams[e.stream] = &stream{id: e.stream, apnID: e.apnsID}
	open := uint32(len(p.streams))
	over := open > p.limitNow()
	p.record.Update(func() {
		p.seen.MaxOpen = max(p.seen.MaxOpen, int(open))
		if over {
			p.seen.Refused++
		}
		if open > p.allowed {
			p.seen.Violations++
		}
	})
	if over {
		p.refuse(e.stream)
	}
}

// limitNow is the limit as last announced: streams that cross the announcement under way are refused.
func (p *peer) limitNow() uint32 {
	if n := len(p.unacked); n > 0 {
		return p.unacked[n-1]
	}
	return p.allowed
}

func (p *peer) refuse(id uint32) {
	_ = p.framer.WriteRSTStream(id, http2.ErrCodeRefusedStream)
	p.forget(id)
}

func (p *peer) forget(id uint32) {
	delete(p.streams, id)
	for i, s := range p.arrived {
		if s.id == id {
			p.arrived = append(p.arrived[:i], p.arrived[i+1:]...)
			return
		}
	}
}

// complete is called with each request that has arrived whole (nil: one that was refused).
func (p *peer) complete(s *stream) {
	if s == nil || s.whole {
		return
	}
	s.whole = true
	p.whole++
	p.record.Seen(control.Identity(s.body, s.apnID))
	p.arrived = append(p.arrived, s)
	if !p.acting {
		p.answerAll()
		return
	}
	switch p.name {
	case "limit":
		switch {
		case p.lowered && len(p.unacked) == 0:
			p.answerAll()
		case !p.lowered && p.whole >= p.hold:
			p.lower()
		}
	case "goaway":
		if p.goAway == nil && p.whole >= p.after {
			p.sendGoAway(p.lastFor(s), "Shutdown")
		}
		p.answerAll()
	case "refuse":
		if p.whole%p.after == 0 {
			p.record.Update(func() { p.seen.Refused++ })
			p.refuse(s.id)
		}
		p.answerAll()
	case "stall", "wedge":
		if p.whole < p.after {
			p.answerAll()
		}
	case "mute":
		if p.record.Mute(p.after, p.muteTime) {
			p.arrived = p.arrived[:0] // never answered
		} else {
			p.answerAll()
		}
	default:
		if _, ok := floods[p.name]; !ok || p.whole < p.after {
			p.answerAll()
		}
	}
}

// lower answers the first request with 400 and lowers the limit; the others wait for the acknowledgement.
func (p *peer) lower() {
	p.lowered = true
	s := p.arrived[0]
	p.arrived = p.arrived[1:]
	p.record.AnsweredAs(p.seen, control.Identity(s.body, s.apnID), 400)
	p.respond(s, 400, "BadDeviceToken")
	p.announce(p.limit)
}

func (p *peer) announce(limit uint32) {
	p.unacked = append(p.unacked, limit)
	_ = p.framer.WriteSettings(
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: limit},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: 8000},
	)
}

func (p *peer) answerAll() {
	for _, s := range p.arrived {
		status, reason := p.record.Answered(p.seen, control.Identity(s.body, s.apnID))
		p.respond(s, status, reason)
		if p.lowered && p.restore && !p.restored && status == 200 {
			p.restored = true
			p.announce(p.first)
		}
	}
	p.arrived = p.arrived[:0]
}

func (p *peer) respond(s *stream, status int, reason string) {
	delete(p.streams, s.id)
	block := p.encode(status, s.apnID)
	if p.name == "unsaid" { // an answer that has begun, and ends in a reset
		_ = p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: s.id, BlockFragment: block, EndHeaders: true})
		_ = p.framer.WriteRSTStream(s.id, http2.ErrCodeInternal)
		return
	}
	_ = p.framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: s.id, BlockFragment: block, EndHeaders: true, EndStream: reason == "",
	})
	if reason != "" {
		_ = p.framer.WriteData(s.id, true, []byte(`{"reason":"`+reason+`"}`))
	}
}

func (p *peer) lastSeen() uint32 {
	var last uint32
	for id := range p.streams {
		last = max(last, id)
	}
	return last
}

// lastFor is the last stream of a GOAWAY at request s. With "zero" what is open is dropped unanswered.
func (p *peer) lastFor(s *stream) uint32 {
	if p.last == "zero" {
		return 0
	}
	return s.id
}

func (p *peer) sendGoAway(last uint32, reason string) {
	if p.goAway != nil {
		return
	}
	if p.last == "notice" {
		_ = p.framer.WriteGoAway(1<<31-1, http2.ErrCodeNo, nil)
	}
	p.goAway = &last
	p.record.Update(func() { p.seen.LastStream = &last })
	_ = p.framer.WriteGoAway(last, http2.ErrCodeNo, []byte(`{"reason":"`+reason+`"}`))
	for id := range p.streams {
		if id > last {
			p.forget(id)
		}
	}
}

package main

import (
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// floods maps a script's name to what writes one frame of it, on the stream of a request that waits.
var floods = map[string]func(p *peer, id uint32) error{
	"flood-ping":     func(p *peer, _ uint32) error { return p.framer.WritePing(false, [8]byte{1}) },
	"flood-settings": func(p *peer, _ uint32) error { return p.framer.WriteSettings() },
	"flood-window":   func(p *peer, id uint32) error { return p.framer.WriteWindowUpdate(id, 1) },
	"flood-data":     func(p *peer, id uint32) error { return p.framer.WriteData(id, false, nil) },
	"flood-body":     func(p *peer, id uint32) error { return p.framer.WriteData(id, false, filler) },
	"flood-unknown":  func(p *peer, id uint32) error { return p.framer.WriteRawFrame(0xee, 0, id, nil) },
	"flood-reset": func(p *peer, id uint32) error {
		return p.framer.WriteRSTStream(id, http2.ErrCodeInternal)
	},
	"flood-early": func(p *peer, id uint32) error {
		return p.framer.WriteHeaders(http2.HeadersFrameParam{
			StreamID: id, BlockFragment: p.encode(103, ""), EndHeaders: true,
		})
	},
	"flood-continuation": func(p *peer, id uint32) error { return p.framer.WriteContinuation(id, false, filler[:64]) },
	"flood-empty-continuation": func(p *peer, id uint32) error {
		return p.framer.WriteContinuation(id, false, nil)
	},
}

// filler is a block of HPACK literals too: each byte pair would be an indexed field.
var filler = []byte(strings.Repeat("\x88", 8192))

func kinds() string {
	var names []string
	for name := range floods {
		names = append(names, strings.TrimPrefix(name, "flood-"))
	}
	sort.Strings(names)
	return strings.Join(names, ", ")
}

func (p *peer) encode(status int, apnsID string) []byte {
	p.block.data = p.block.data[:0]
	_ = p.encoder.WriteField(field(":status", strconv.Itoa(status)))
	if apnsID != "" {
		_ = p.encoder.WriteField(field("apns-id", apnsID))
	}
	return p.block.data
}

// flood writes frames until the client ends the connection or the time is over, and records which it was.
func (p *peer) flood(one func(*peer, uint32) error) bool {
	id := p.arrived[0].id
	p.framer.AllowIllegalWrites = true
	switch {
	case strings.HasSuffix(p.name, "continuation"):
		_ = p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x88}})
	case p.name == "flood-data" || p.name == "flood-body":
		_ = p.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x88}, EndHeaders: true})
	}
	start, frames := time.Now(), 0
	_ = p.conn.SetWriteDeadline(start.Add(p.floodTime))
	var err error
	for err == nil && time.Since(start) < p.floodTime {
		for range 64 {
			if err = one(p, id); err == nil {
				frames++
			}
		}
		p.drain()
	}
	taken := time.Since(start)
	_ = p.conn.SetReadDeadline(time.Now().Add(time.Second))
	for e := range p.events { // until the client's end of the connection is seen
		if e.err != nil {
			break
		}
		p.handleQuietly(e)
	}
	p.record.Update(func() {
		p.seen.Flood = map[string]any{
			"frames": frames, "ms": taken.Milliseconds(), "outlasted": err == nil || taken >= p.floodTime,
		}
	})
	return false
}

// drain takes what the client has sent meanwhile, so that it is not held up by us.
func (p *peer) drain() {
	for {
		select {
		case e, open := <-p.events:
			if !open {
				return
			}
			p.handleQuietly(e)
		default:
			return
		}
	}
}

func (p *peer) handleQuietly(e event) {
	if e.kind == http2.FrameGoAway && e.err == nil {
		code := uint32(e.code)
		p.record.Update(func() { p.seen.ClientGone = &code })
	}
}

func field(name, value string) hpack.HeaderField { return hpack.HeaderField{Name: name, Value: value} }

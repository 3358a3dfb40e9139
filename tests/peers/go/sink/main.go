// sink is the APNs of the benchmarks: every request is answered 200 with its apns-id once it has arrived
// whole, at so little cost (a few microseconds) that the sender is what is measured. It parses frames by
// hand, decodes header blocks, and writes one TLS record per batch that it read.
package main

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"flag"
	"io"
	"log"
	"net"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"tubepost.io/peers/control"
)

const (
	frameHeader = 9
	maxFrame    = 16384
	replenish   = 1 << 20 // bytes of DATA after which the connection's window is opened again
)

func main() {
	certificate := flag.String("cert", "", "server certificate (PEM)")
	key := flag.String("key", "", "its private key (PEM)")
	port := flag.Int("port", 0, "port, 0 for any")
	streams := flag.Uint("max-streams", 1000, "MAX_CONCURRENT_STREAMS")
	delay := flag.Duration("delay", 0, "time between a request's end and its answer")
	flag.Parse()

	record := control.NewRecord()
	listener := control.Listen(*port)
	configuration := control.TLS(*certificate, *key)
	control.Start(record, listener.Addr().(*net.TCPAddr).Port)
	for {
		conn, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer conn.Close()
			seen := record.Opened(nil)
			s := session{record: record, seen: seen, ids: map[uint32]string{}}
			s.decoder = hpack.NewDecoder(4096, s.field)
			secure := tls.Server(conn, configuration)
			if *delay > 0 {
				s.delay, s.later = *delay, make(chan pending, 1<<16)
				defer close(s.later)
				go s.answerLater(secure)
			}
			_ = s.serve(secure, uint32(*streams))
			record.Update(func() { seen.Open = false })
		}()
	}
}

type session struct {
	record  *control.Record
	seen    *control.Connection
	decoder *hpack.Decoder
	ids     map[uint32]string // open streams whose body has not ended
	id      string            // of the block being decoded
	taken   uint32            // DATA bytes since the last WINDOW_UPDATE
	out     []byte
	delay   time.Duration
	later   chan pending // in the order of their time; nil without a delay
}

type pending struct {
	due    time.Time
	stream uint32
	id     string
}

func (s *session) field(f hpack.HeaderField) {
	if f.Name == "apns-id" {
		s.id = f.Value
	}
}

func (s *session) serve(conn net.Conn, streams uint32) error {
	in := bufio.NewReaderSize(conn, 1<<16)
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(in, preface); err != nil {
		return err
	}
	s.out = frame(s.out, http2.FrameSettings, 0, 0, 12)
	s.out = binary.BigEndian.AppendUint16(s.out, uint16(http2.SettingMaxConcurrentStreams))
	s.out = binary.BigEndian.AppendUint32(s.out, streams)
	s.out = binary.BigEndian.AppendUint16(s.out, uint16(http2.SettingMaxHeaderListSize))
	s.out = binary.BigEndian.AppendUint32(s.out, 8000)
	s.window(1 << 24)
	for {
		if in.Buffered() < frameHeader && len(s.out) > 0 {
			if _, err := conn.Write(s.out); err != nil {
				return err
			}
			s.out = s.out[:0]
		}
		header, err := in.Peek(frameHeader)
		if err != nil {
			return err
		}
		length := int(header[0])<<16 | int(header[1])<<8 | int(header[2])
		if length > maxFrame {
			return http2.ErrFrameTooLarge
		}
		if in.Buffered() < frameHeader+length && len(s.out) > 0 {
			if _, err := conn.Write(s.out); err != nil {
				return err
			}
			s.out = s.out[:0]
		}
		whole, err := in.Peek(frameHeader + length)
		if err != nil {
			return err
		}
		stream := binary.BigEndian.Uint32(whole[5:]) & (1<<31 - 1)
		if err := s.handle(http2.FrameType(whole[3]), http2.Flags(whole[4]), stream, whole[frameHeader:]); err != nil {
			return err
		}
		_, _ = in.Discard(frameHeader + length)
	}
}

func (s *session) handle(kind http2.FrameType, flags http2.Flags, stream uint32, payload []byte) error {
	switch kind {
	case http2.FrameHeaders:
		if flags.Has(http2.FlagHeadersPadded) {
			payload = payload[1 : len(payload)-int(payload[0])]
		}
		if flags.Has(http2.FlagHeadersPriority) {
			payload = payload[5:]
		}
		s.id = ""
		if _, err := s.decoder.Write(payload); err != nil {
			return err
		}
		if flags.Has(http2.FlagHeadersEndStream) {
			s.answer(stream, s.id)
		} else {
			s.ids[stream] = s.id
		}
	case http2.FrameData:
		s.taken += uint32(len(payload))
		if s.taken >= replenish {
			s.window(s.taken)
			s.taken = 0
		}
		if flags.Has(http2.FlagDataEndStream) {
			if id, open := s.ids[stream]; open {
				delete(s.ids, stream)
				s.answer(stream, id)
			}
		}
	case http2.FrameSettings:
		if !flags.Has(http2.FlagSettingsAck) {
			s.out = frame(s.out, http2.FrameSettings, http2.FlagSettingsAck, 0, 0)
		}
	case http2.FramePing:
		if !flags.Has(http2.FlagPingAck) {
			s.out = append(frame(s.out, http2.FramePing, http2.FlagPingAck, 0, len(payload)), payload...)
		}
	case http2.FrameRSTStream:
		delete(s.ids, stream)
	case http2.FrameContinuation:
		return http2.ConnectionError(http2.ErrCodeInternal) // no sender here needs it
	}
	return nil
}

// answer answers with the batch that was read, or later.
func (s *session) answer(stream uint32, id string) {
	if s.later != nil {
		s.later <- pending{time.Now().Add(s.delay), stream, id}
		return
	}
	s.out = s.response(s.out, stream, id)
}

// answerLater writes what is due together, in one record.
func (s *session) answerLater(conn net.Conn) {
	var out []byte
	for next := range s.later {
		if wait := time.Until(next.due); wait > 0 {
			if len(out) > 0 {
				_, _ = conn.Write(out) // serve notices a lost connection
				out = out[:0]
			}
			time.Sleep(wait)
		}
		out = s.response(out, next.stream, next.id)
		if len(s.later) == 0 {
			_, _ = conn.Write(out)
			out = out[:0]
		}
	}
}

// response appends an answer without a body: `:status: 200` indexed, apns-id a literal in Huffman code.
func (s *session) response(out []byte, stream uint32, id string) []byte {
	s.record.AnsweredAs(s.seen, id, 200)
	size := int(hpack.HuffmanEncodeLength(id))
	out = frame(out, http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, stream, 2+len(name)+1+size)
	out = append(out, 0x88, 0x00)
	out = append(out, name...)
	out = append(out, 0x80|byte(size)) // an apns-id is far shorter than 127
	return hpack.AppendHuffmanString(out, id)
}

func (s *session) window(size uint32) {
	s.out = binary.BigEndian.AppendUint32(frame(s.out, http2.FrameWindowUpdate, 0, 0, 4), size)
}

func frame(out []byte, kind http2.FrameType, flags http2.Flags, stream uint32, length int) []byte {
	out = append(out, byte(length>>16), byte(length>>8), byte(length), byte(kind), byte(flags))
	return binary.BigEndian.AppendUint32(out, stream)
}

var name = append([]byte{0x80 | byte(hpack.HuffmanEncodeLength("apns-id"))}, hpack.AppendHuffmanString(nil, "apns-id")...)

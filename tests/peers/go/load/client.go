package main

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// What a client waits for.
const (
	greeting = iota
	welcome
	mailed
	addressed
	invited
	answered
	goodbye
)

type client struct {
	load   *load
	fd     int
	state  int
	sent   int // messages on this connection
	begun  time.Time
	ahead  bool // MAIL, RCPT and DATA are under way together
	offers bool
	buffer []byte
	filled int
}

// begin sends a message, due at the time given, or takes leave.
func (c *client) begin(due time.Time) {
	l := c.load
	c.begun = due
	if l.stopping || (l.perConnection > 0 && c.sent >= l.perConnection) {
		if l.rest {
			c.leave()
			return
		}
		c.state = goodbye
		c.write([]byte("QUIT\r\n"))
		return
	}
	c.sent++
	switch {
	case l.rest:
		c.write(l.body())
	case l.pipelined:
		c.state, c.ahead = mailed, true
		c.write(l.mail, l.rcpt, []byte("DATA\r\n"))
	default:
		c.state = mailed
		c.write(l.mail)
	}
}

func (c *client) write(parts ...[]byte) {
	whole := parts[0]
	if len(parts) > 1 {
		whole = bytes.Join(parts, nil)
	}
	for len(whole) > 0 {
		n, err := unix.Write(c.fd, whole)
		if err == unix.EAGAIN {
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLOUT}}, 1000)
			continue
		}
		if err != nil {
			c.fail(fmt.Sprintf("cannot write: %v", err))
			return
		}
		whole = whole[n:]
	}
}

func (c *client) fail(why string) {
	if c.load.fault == "" {
		c.load.fault = why
	}
	c.leave()
}

func (c *client) leave() {
	if c.load.clients[int32(c.fd)] == c {
		delete(c.load.clients, int32(c.fd))
		_ = unix.Close(c.fd)
	}
}

func (c *client) readable() {
	n, err := unix.Read(c.fd, c.buffer[c.filled:])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return
	case err != nil || n == 0:
		if c.state != goodbye {
			c.fail(fmt.Sprintf("the server closed a connection: %v", err))
			return
		}
		c.leave()
		if !c.load.stopping {
			if err := c.load.open(); err != nil {
				c.fail(err.Error())
			}
		}
		return
	}
	c.filled += n
	if c.load.rest {
		c.response()
		return
	}
	rest := c.buffer[:c.filled]
	for {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			break
		}
		line := bytes.TrimRight(rest[:end], "\r")
		rest = rest[end+1:]
		if len(line) > 3 && line[3] == '-' {
			c.offers = c.offers || bytes.Contains(line, []byte("PIPELINING"))
			continue
		}
		code := 0
		if len(line) >= 3 {
			code, _ = strconv.Atoi(string(line[:3]))
		}
		if c.reply(code, line); c.load.clients[int32(c.fd)] != c {
			return
		}
	}
	if c.filled = copy(c.buffer, rest); c.filled == len(c.buffer) {
		c.fail("a reply has no end")
	}
}

func (c *client) reply(code int, line []byte) {
	wanted := 250
	switch c.state {
	case greeting:
		wanted = 220
	case invited:
		wanted = 354
	case answered, goodbye:
		wanted = code
	}
	if code != wanted {
		c.fail(fmt.Sprintf("expected %d, got %q", wanted, line))
		return
	}
	switch c.state {
	case greeting:
		c.state = welcome
		c.write(envelope)
	case welcome:
		if c.load.pipelined && !c.offers && !bytes.Contains(line, []byte("PIPELINING")) {
			c.fail("the server does not offer PIPELINING")
			return
		}
		c.load.ready(c)
	case mailed:
		c.state = addressed
		if !c.ahead {
			c.write(c.load.rcpt)
		}
	case addressed:
		c.state = invited
		if !c.ahead {
			c.write([]byte("DATA\r\n"))
		}
	case invited:
		c.state, c.ahead = answered, false
		c.write(c.load.body())
	case answered:
		c.count(code == 250, code, line)
		c.load.ready(c)
	}
}

// response waits for a whole answer by HTTP, whose length is always given.
func (c *client) response() {
	head, body, whole := bytes.Cut(c.buffer[:c.filled], []byte("\r\n\r\n"))
	if !whole {
		return
	}
	_, after, found := bytes.Cut(head, []byte("Content-Length: "))
	text, _, _ := bytes.Cut(after, []byte("\r\n"))
	length, err := strconv.Atoi(string(text))
	if !found || err != nil || len(head) < 12 {
		c.fail(fmt.Sprintf("an answer that is not understood: %q", head))
		return
	}
	if missing := length - len(body); missing > 0 {
		if room := len(c.buffer) - c.filled; room < missing {
			c.buffer = append(c.buffer, make([]byte, missing-room+1)...)
		}
		return
	}
	status, _ := strconv.Atoi(string(head[9:12]))
	c.count(status == 200 || status == 202, status, body)
	c.filled = 0
	c.load.ready(c)
}

func (c *client) count(taken bool, code int, text []byte) {
	l := c.load
	if l.measures {
		l.times = append(l.times, uint32(time.Since(c.begun).Microseconds()))
	}
	if taken {
		l.accepted += int64(l.batch)
		return
	}
	l.refused[code]++
	if _, known := l.samples[code]; !known {
		l.samples[code] = string(text[:min(300, len(text))])
	}
}

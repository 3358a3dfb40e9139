// load injects as fast as a server answers, or at a rate, over many connections, and counts: SMTP command by
// command, SMTP with PIPELINING (RFC 2920), or requests by HTTP/1.1. One thread on epoll and few allocations,
// so that it costs a fraction of what it measures; its own CPU is among its figures.
//
// It prints `{"connected": true}`, then obeys standard input line by line: `begin` starts the window, `end` ends
// it, `count` just tells, `stop` lets every connection end its transaction and ends the process. Each is answered
// by a line of JSON.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

type options struct {
	ports                             []int // of which each connection takes the next
	connections, perConnection, batch int
	rate                              float64
	pipelined, rest                   bool
	mail, rcpt                        []byte
}

type load struct {
	options
	bodies   [][]byte
	next     int
	opened   int
	epoll    int
	timer    int
	clients  map[int32]*client
	idle     []*client
	due      []time.Time // messages that no connection was free for, at a rate
	nextDue  time.Time
	accepted int64
	refused  map[int]int64
	samples  map[int]string
	fault    string
	measures bool
	times    []uint32 // microseconds
	stopping bool
}

var envelope = []byte("EHLO load.example\r\n")

func main() {
	runtime.LockOSThread()
	l := &load{clients: map[int32]*client{}, refused: map[int]int64{}, samples: map[int]string{}}
	flag.Func("ports", "ports of servers on 127.0.0.1, with commas; connections take them in turn", l.listed)
	flag.IntVar(&l.connections, "connections", 1, "connections open at a time")
	flag.IntVar(&l.perConnection, "per-connection", 0, "messages on a connection, then a new one; 0: no limit")
	flag.BoolVar(&l.pipelined, "pipelined", false, "MAIL, RCPT and DATA in one write; the server must offer it")
	flag.BoolVar(&l.rest, "rest", false, "requests by HTTP/1.1: the bodies are whole requests")
	flag.IntVar(&l.batch, "batch", 1, "messages in each request")
	flag.Float64Var(&l.rate, "rate", 0, "messages per second; 0: as many as the server takes")
	recipient := flag.String("recipient", "", "the address of RCPT TO")
	bodies := flag.String("bodies", "", "file: what is sent after DATA, each after a line with its length")
	flag.Parse()
	l.mail = []byte("MAIL FROM:<alerts@sender.example>\r\n")
	l.rcpt = fmt.Appendf(nil, "RCPT TO:<%s>\r\n", *recipient)
	l.bodies = read(*bodies)
	l.times = make([]uint32, 0, 1<<18)
	if err := l.run(); err != nil {
		log.Fatal(err)
	}
}

func (l *load) listed(text string) error {
	for each := range strings.SplitSeq(text, ",") {
		port, err := strconv.Atoi(each)
		if err != nil {
			return err
		}
		l.ports = append(l.ports, port)
	}
	return nil
}

func read(path string) (found [][]byte) {
	whole, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	for len(whole) > 0 {
		line, rest, _ := bytes.Cut(whole, []byte("\n"))
		length, err := strconv.Atoi(string(line))
		if err != nil || length > len(rest) {
			log.Fatalf("%s: not a length: %q", path, line)
		}
		found = append(found, rest[:length])
		whole = rest[length:]
	}
	return found
}

func (l *load) run() error {
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if l.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK); err != nil {
		return err
	}
	for _, fd := range []int{0, l.timer} {
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
		if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
			return err
		}
	}
	if l.rate > 0 {
		l.nextDue = time.Now().Add(l.interval())
	}
	for range l.connections {
		if err := l.open(); err != nil {
			return err
		}
	}
	fmt.Println(`{"connected": true}`)
	if l.rate > 0 {
		l.tick()
	}
	orders := bufio.NewReader(os.Stdin)
	events := make([]unix.EpollEvent, 512)
	for {
		n, err := unix.EpollWait(l.epoll, events, -1)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		for _, event := range events[:n] {
			switch event.Fd {
			case 0:
				if !l.obey(orders) {
					return nil
				}
			case int32(l.timer):
				l.tick()
			default:
				if c := l.clients[event.Fd]; c != nil {
					c.readable()
				}
			}
		}
		if l.stopping && (len(l.clients) == 0 || l.fault != "") {
			l.print(true)
			return nil
		}
	}
}

// obey reads one order, or ends with standard input.
func (l *load) obey(orders *bufio.Reader) bool {
	for {
		line, err := orders.ReadString('\n')
		if err != nil {
			return false
		}
		switch line {
		case "begin\n":
			l.measures = true
			l.print(false)
		case "count\n":
			l.print(false)
		case "end\n":
			l.print(false)
			l.measures = false
		case "stop\n":
			l.stopping = true
			l.rate = 0
			for _, c := range l.idle {
				c.begin(time.Now())
			}
			l.idle = nil
		}
		if orders.Buffered() == 0 {
			return true
		}
	}
}

func (l *load) print(last bool) {
	var used unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &used)
	told := map[string]any{
		"accepted": l.accepted, "refused": l.refused, "samples": l.samples, "fault": l.fault,
		"cpu":  float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9,
		"late": len(l.due),
	}
	if last && len(l.times) > 0 {
		slices.Sort(l.times)
		for name, part := range map[string]float64{"p50": 0.5, "p99": 0.99, "max": 1} {
			told[name] = float64(l.times[int(part*float64(len(l.times)-1))]) / 1e6
		}
	}
	text, _ := json.Marshal(told)
	fmt.Println(string(text))
}

// tick starts what is due, and sets the timer for what is due next.
func (l *load) tick() {
	var expired [8]byte
	_, _ = unix.Read(l.timer, expired[:])
	if l.rate <= 0 {
		return
	}
	now := time.Now()
	for !l.nextDue.After(now) {
		if last := len(l.idle) - 1; last >= 0 {
			c := l.idle[last]
			l.idle = l.idle[:last]
			c.begin(l.nextDue)
		} else {
			l.due = append(l.due, l.nextDue)
		}
		l.nextDue = l.nextDue.Add(l.interval())
	}
	wait := unix.NsecToTimespec(max(1, l.nextDue.Sub(now).Nanoseconds()))
	_ = unix.TimerfdSettime(l.timer, 0, &unix.ItimerSpec{Value: wait}, nil)
}

func (l *load) interval() time.Duration {
	return time.Duration(float64(time.Second) / l.rate)
}

// ready is called by a client that could send a message.
func (l *load) ready(c *client) {
	switch {
	case l.rate <= 0:
		c.begin(time.Now())
	case len(l.due) > 0:
		c.begin(l.due[0])
		l.due = l.due[1:]
	default:
		l.idle = append(l.idle, c)
	}
}

func (l *load) body() []byte {
	l.next = (l.next + 1) % len(l.bodies)
	return l.bodies[l.next]
}

func (l *load) open() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	l.opened++
	port := l.ports[l.opened%len(l.ports)]
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return err
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return err
	}
	c := &client{load: l, fd: fd, buffer: make([]byte, 4096)}
	l.clients[int32(fd)] = c
	if l.rest {
		l.ready(c)
	}
	return nil
}

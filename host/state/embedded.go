package state

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"syscall"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// embed checks the folder, starts a server on it that listens nowhere, and makes
// a link to it.
func (s *Store) embed(ctx context.Context, f *folder) (*link, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	l := newLink()
	log := &serverLog{log: s.log, link: l}
	ns, err := server.NewServer(&server.Options{
		ServerName:             "bespoke",
		DontListen:             true,
		NoSigs:                 true, // signals are the command's business
		JetStream:              true,
		StoreDir:               f.dir,
		SyncAlways:             true,
		DisableJetStreamBanner: true,
		// The buckets' own limits are what counts. Without a figure here NATS
		// takes what is free on the disk at start, and then would not load on a
		// full disk what it already has.
		JetStreamMaxStore:  1 << 50,
		JetStreamMaxMemory: 64 << 20, // consumers of views
	})
	if err != nil {
		return nil, fmt.Errorf("set up the embedded server: %w", err)
	}
	ns.SetLoggerV2(log, false, false, false)
	l.ns, l.folder = ns, f
	ns.Start() // returns when it is up, as it has no listener to wait on
	if err := s.begin(ctx, l, f, log); err != nil {
		// Ended here and now: the folder must be free for the next one.
		<-l.close(err)
		return nil, err
	}
	return l, nil
}

func (s *Store) begin(ctx context.Context, l *link, f *folder, log *serverLog) error {
	if err := log.fatal(); err != nil {
		return fmt.Errorf("start the embedded server: %w", err)
	}
	if err := loaded(l.ns, f); err != nil {
		return err
	}
	nc, err := nats.Connect("", append(l.options(), nats.InProcessServer(l.ns))...)
	if err != nil {
		return fmt.Errorf("connect to the embedded server: %w", err)
	}
	return l.use(ctx, nc)
}

// loaded sees that the server has every bucket that is in the folder: what it
// cannot read it leaves out with a warning, and a bucket made anew in its place
// would be empty.
func loaded(ns *server.Server, f *folder) error {
	want, err := f.streams()
	if err != nil {
		return err
	}
	info, err := ns.Jsz(&server.JSzOptions{Accounts: true, Streams: true})
	if err != nil {
		return fmt.Errorf("ask the embedded server for its buckets: %w", err)
	}
	have := make(map[string]*server.StreamState)
	for _, a := range info.AccountDetails {
		for i := range a.Streams {
			have[a.Streams[i].Name] = &a.Streams[i].State
		}
	}
	for _, name := range want {
		state := have[name]
		if state == nil {
			return fmt.Errorf("%w: %s in %s does not load; restore it from a backup, or remove it to begin without", ErrCorrupt, name, f.account())
		}
		// A record that was cut short by a crash counts as bytes only; it was
		// never acknowledged.
		if state.Lost != nil && len(state.Lost.Msgs) > 0 {
			return fmt.Errorf("%w: %d records of %s in %s are gone; restore it from a backup, or remove it to begin without", ErrCorrupt, len(state.Lost.Msgs), name, f.account())
		}
	}
	return nil
}

// A serverLog takes what the embedded server says. Some of it is said nowhere
// else: a failed write is not answered, only logged, and the store's caller would
// wait for nothing.
type serverLog struct {
	log  *slog.Logger
	link *link

	mu  sync.Mutex
	end error
}

func (l *serverLog) Noticef(format string, v ...any) { l.say("notice", format, v) }
func (l *serverLog) Debugf(format string, v ...any)  {}
func (l *serverLog) Tracef(format string, v ...any)  {}

func (l *serverLog) Warnf(format string, v ...any) {
	if text := l.say("warning", format, v); strings.Contains(text, "disabling JetStream") {
		l.link.fail(systemError(text))
	}
}

func (l *serverLog) Errorf(format string, v ...any) {
	text := l.say("error", format, v)
	if strings.Contains(text, "write error") || strings.Contains(text, "failed to store a msg") || strings.Contains(text, "DISABLED") {
		l.link.fail(systemError(text))
	}
}

// Fatalf must not end the process, as the server's own logger does.
func (l *serverLog) Fatalf(format string, v ...any) {
	err := systemError(l.say("fatal", format, v))
	l.mu.Lock()
	l.end = err
	l.mu.Unlock()
	l.link.fail(err)
}

func (l *serverLog) fatal() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}

func (l *serverLog) say(level, format string, v []any) string {
	text := withoutKeys(fmt.Sprintf(format, v...))
	l.log.Debug("state: embedded NATS", "level", level, "text", text)
	return text
}

// withoutKeys takes keys out of what the server says.
func withoutKeys(text string) string {
	const mark = "$KV."
	if !strings.Contains(text, mark) {
		return text
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, mark)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		b.WriteString("$KV...")
		text = strings.TrimLeftFunc(after, func(r rune) bool { return r < 0x80 && (plain(byte(r)) || strings.ContainsRune(".=/", r)) })
	}
}

// systemErrors are those of a disk, for which a caller may look.
var systemErrors = [...]syscall.Errno{
	syscall.ENOSPC, syscall.EFBIG, syscall.EIO, syscall.EROFS, syscall.EACCES, syscall.EPERM, syscall.EMFILE, syscall.ENFILE,
}

// systemError makes an error of what the server said, with the system's error
// in it if there is one.
func systemError(text string) error {
	for _, e := range systemErrors {
		if strings.Contains(text, e.Error()) {
			return e
		}
	}
	return errors.New("embedded NATS: " + text)
}

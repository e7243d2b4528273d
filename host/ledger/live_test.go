package ledger

import (
	"testing"
	"time"
)

// What is read while the edge writes is in order: verifying finds no damage, reading
// and counting no error, up to the checkpoint that they began with.
func TestReadWhileWritten(t *testing.T) {
	now := plainStart
	dir := t.TempDir()
	l, err := Open(Config{Dir: dir + "/ledger", Keys: dir + "/keys", Window: time.Hour, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	dir += "/ledger"
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	stop, ended := make(chan struct{}), make(chan int, 1)
	defer func() {
		select {
		case <-stop: // the test ended it
		default:
			close(stop)
			<-ended
		}
	}()
	go func() {
		n := 0
		for {
			select {
			case <-stop:
				ended <- n
				return
			default:
				l.Exchange(busyExchange(plainStart, n), l.Reserve())
				if err := l.Flush(); err != nil {
					t.Error(err)
				}
				n++
			}
		}
	}()
	rounds := 0
	for until := time.Now().Add(2 * time.Second); time.Now().Before(until); rounds++ {
		v, err := Verify(dir, VerifyOptions{})
		if err != nil || !v.OK() || v.Checked != v.Records {
			t.Fatalf("%+v %v\n%s", v, err, said(v.Damage))
		}
		n := int64(0)
		for _, err := range Read(dir, Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		s, err := Summarize(dir, Period{Bucket: time.Hour})
		if err != nil || n < v.Records || s.Total.Records < n {
			t.Fatalf("%d verified, %d read, then %+v %v", v.Records, n, s, err)
		}
		if _, err := Prove(dir, n/2); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	n := <-ended
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if v, err := Verify(dir, VerifyOptions{}); err != nil || !v.OK() || len(v.Notes) > 0 || v.Records < int64(n) || rounds < 2 {
		t.Errorf("%d rounds, %d exchanges: %+v %v", rounds, n, v, err)
	}
	t.Logf("%d rounds, %d segments", rounds, n)
}

package main

import (
	"runtime"

	"bespoke/host/control"
	"bespoke/host/watch"
	"bespoke/host/watch/prom"
)

// figures returns what /metrics shows.
func (p *process) figures() (control.Figures, error) {
	build := map[string]string{"version": release, "commit": commit(), "go": runtime.Version()}
	families := append(p.edge.Families(), watch.One("bespoke_ready", "1 if /readyz says so.", watch.Gauge, func() float64 {
		if len(p.notReady()) > 0 {
			return 0
		}
		return 1
	}))
	x, err := prom.New(build, families...)
	if err != nil {
		return nil, err
	}
	return x.Write, nil
}

// notReady names what is in the way of sending requests here.
func (p *process) notReady() (list []control.NotReady) {
	no := func(what, why string) { list = append(list, control.NotReady{What: what, Why: why}) }
	switch {
	case p.edge.Draining():
		no("edge", "it is being stopped, and answers what has arrived")
	case !p.edge.Serving():
		no("listener", "no connections are taken yet")
	}
	return list
}

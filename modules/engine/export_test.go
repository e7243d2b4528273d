package engine

import "bespoke/modules/abi"

// WithoutReset makes runs leave behind what they wrote.
func (e *Engine) WithoutReset() {
	e.restore = func(*instance, *snapshot) bool { return true }
}

// WithoutPager makes every memory be restored by copying.
func (e *Engine) WithoutPager() { e.pagedFrom = 1 << 40 }

// AsIfResettable runs a module as if restoring memory and globals undid all that it does.
func (m *Module) AsIfResettable() error {
	m.fresh = false
	return m.release()
}

// Tick is what an Engine does when a part of Config.Idle is over.
func (e *Engine) Tick() { e.tick() }

// Release is what Tick does to a module that was not used for long.
func (m *Module) Release() error { return m.release() }

// File is where the prepared binary is kept.
func (m *Module) File() string { return m.kept.file }

// IdleTicks is how many of them make a module idle.
const IdleTicks = idleTicks

// Stack returns the size of the stack that the first instance's response phase runs on.
func (m *Module) Stack() int {
	for _, i := range m.resident.Load().slots.held {
		if i != nil {
			return i.phases[1].stack.Len()
		}
	}
	return -1
}

// RunFresh runs a module in an instance made for this run.
func (m *Module) RunFresh(p abi.Phase, h Host) error {
	r := m.resident.Load()
	i, err := r.start(silent{})
	if err != nil {
		return err
	}
	defer i.close()
	_, err = i.run(p, h, m.runFuel)
	return err
}

// Copy makes an instance from the snapshot, as for a run beyond those there are instances for.
func (m *Module) Copy() error {
	i, err := m.resident.Load().instance()
	if err == nil {
		i.close()
	}
	return err
}

package profile

// A Channel is a way in which a site writes to a visitor.
type Channel uint8

const (
	Mail Channel = iota
	Push
	Text
	numChannels
)

var channelNames = [numChannels]string{Mail: "mail", Push: "push", Text: "text"}

func (c Channel) String() string {
	if c >= numChannels {
		return "unknown"
	}
	return channelNames[c]
}

// ParseChannel returns the channel of that name, and whether there is one.
func ParseChannel(s string) (Channel, bool) {
	for c, name := range channelNames {
		if s == name {
			return Channel(c), true
		}
	}
	return 0, false
}

// An Outcome is what became of a message.
type Outcome uint8

const (
	Sent Outcome = iota
	Opened
	Clicked
	numOutcomes
)

// channels are counts that fade, as of base, as interests do.
type channels struct {
	base   minute
	counts [numChannels][numOutcomes]level
}

func (c *channels) empty() bool { return c.counts == [numChannels][numOutcomes]level{} }

func (c *channels) decay(now, step minute) {
	if c.empty() {
		return
	}
	steps := stepsTo(&c.base, now, step)
	for i := range c.counts {
		for j, l := range c.counts[i] {
			c.counts[i][j] = l.less(steps)
		}
	}
	if c.empty() {
		c.base = 0
	}
}

func (c *channels) merge(o *channels, join func(a, b level) level) {
	c.base = max(c.base, o.base)
	for i := range c.counts {
		for j, l := range c.counts[i] {
			c.counts[i][j] = join(l, o.counts[i][j])
		}
	}
}

// Message records that a message was sent, opened, or a link in it followed.
// Unknown channels and outcomes change nothing.
func (p *Inferred) Message(ch Channel, what Outcome, m Moment) {
	if ch >= numChannels || what >= numOutcomes {
		return
	}
	p.advance(m)
	if p.channels.empty() {
		p.channels.base = p.last
	}
	l := &p.channels.counts[ch][what]
	*l = l.plus(1)
}

// MailSent, MailOpened and MailClicked record what became of a mail.
func (p *Inferred) MailSent(m Moment)    { p.Message(Mail, Sent, m) }
func (p *Inferred) MailOpened(m Moment)  { p.Message(Mail, Opened, m) }
func (p *Inferred) MailClicked(m Moment) { p.Message(Mail, Clicked, m) }

// An Engagement is how many messages were sent, opened and followed. Each counts
// 1, and half of that a half-life later.
type Engagement struct{ Sent, Opened, Clicked float64 }

// Engagement returns that of a channel as of [Inferred.Last].
func (p *Inferred) Engagement(ch Channel) Engagement {
	if ch >= numChannels {
		return Engagement{}
	}
	c := &p.channels.counts[ch]
	return Engagement{c[Sent].weight(), c[Opened].weight(), c[Clicked].weight()}
}

// Name returns "high" where at least half of the messages were opened or
// followed, "some" where a tenth was, "low" for less, and "" while fewer than two
// tell anything. Opening can be seen only where images are shown, and some mail
// programs open all of them for everybody: a link that was followed counts like
// three mails that were opened.
func (e Engagement) Name() string {
	met := e.Opened + 3*e.Clicked
	of := max(e.Sent, e.Opened, e.Clicked)
	switch {
	case of < 1.5:
		return ""
	case met >= 0.5*of:
		return "high"
	case met >= 0.1*of:
		return "some"
	}
	return "low"
}

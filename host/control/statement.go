package control

// Statement is the body of /.well-known/gpc.json: this site honours the Global
// Privacy Control signal (W3C Global Privacy Control, "GPC Support Resource").
// lastUpdate is the day on which how the edge treats the signal last changed.
const Statement = `{"gpc":true,"lastUpdate":"2026-11-21"}` + "\n"

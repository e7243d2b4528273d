package otlp

import (
	"encoding/binary"
	"time"

	"bespoke/host/watch"
)

// The numbers here are those of the fields in opentelemetry-proto 1.x:
// collector/trace/v1/trace_service.proto, trace/v1/trace.proto,
// common/v1/common.proto, resource/v1/resource.proto.

// Wire types (https://protobuf.dev/programming-guides/encoding/).
const (
	varint  = 0
	fixed64 = 1
	length  = 2
)

const (
	kindInternal = 1
	kindServer   = 2
	kindClient   = 3

	statusError = 2
)

// appendRequest appends an ExportTraceServiceRequest.
func appendRequest(b []byte, version string, traces []*watch.Trace) []byte {
	return message(b, 1, func(b []byte) []byte { // resource_spans
		b = message(b, 1, func(b []byte) []byte { // resource
			b = attribute(b, 1, "service.name", "bespoke")
			return attribute(b, 1, "service.version", version)
		})
		return message(b, 2, func(b []byte) []byte { // scope_spans
			b = message(b, 1, func(b []byte) []byte { return text(b, 1, "bespoke/host/edge") }) // scope
			for _, t := range traces {
				b = appendTrace(b, t)
			}
			return b
		})
	})
}

// appendTrace appends the spans of a trace, the exchange first.
func appendTrace(b []byte, t *watch.Trace) []byte {
	b = message(b, 2, func(b []byte) []byte {
		b = begin(b, t, t.Root, t.Parent, "exchange", kindServer, 0, t.Took)
		b = attribute(b, 9, "bespoke.tenant", t.Tenant)
		b = attribute(b, 9, "http.route", t.Route)
		b = attribute(b, 9, "bespoke.served", t.Served)
		b = number(b, 9, "http.response.status_code", t.Status)
		return fault(b, t.Fault)
	})
	for i := range t.Spans {
		s := &t.Spans[i]
		id, kind := t.Origin, byte(kindClient)
		if s.Kind != watch.SpanOrigin {
			newID(&id)
			kind = kindInternal
		}
		b = message(b, 2, func(b []byte) []byte {
			b = begin(b, t, id, t.Root, s.Kind.String(), kind, s.From, s.To)
			b = attribute(b, 9, "bespoke.tenant", t.Tenant)
			b = attribute(b, 9, "bespoke.policy", s.Policy)
			b = attribute(b, 9, "bespoke.phase", s.Phase)
			return fault(b, s.Fault)
		})
	}
	return b
}

// begin appends what all spans have.
func begin(b []byte, t *watch.Trace, id, parent [8]byte, name string, kind byte, from, to time.Duration) []byte {
	b = raw(b, 1, t.ID[:])
	b = raw(b, 2, id[:])
	if parent != [8]byte{} {
		b = raw(b, 4, parent[:])
	}
	b = text(b, 5, name)
	b = append(b, 6<<3|varint, kind)
	at := t.Began.UnixNano()
	b = binary.LittleEndian.AppendUint64(append(b, 7<<3|fixed64), uint64(at+int64(from)))
	return binary.LittleEndian.AppendUint64(append(b, 8<<3|fixed64), uint64(at+int64(max(from, to))))
}

// fault appends what went wrong: an attribute, and the status.
func fault(b []byte, what string) []byte {
	if what == "" {
		return b
	}
	b = attribute(b, 9, "error.type", what)
	return message(b, 15, func(b []byte) []byte { return append(b, 3<<3|varint, statusError) })
}

// attribute appends a KeyValue with a text, unless that is empty.
func attribute(b []byte, field int, key, value string) []byte {
	if value == "" {
		return b
	}
	return message(b, field, func(b []byte) []byte {
		b = text(b, 1, key)
		return message(b, 2, func(b []byte) []byte { return text(b, 1, value) })
	})
}

// number appends a KeyValue with an integer.
func number(b []byte, field int, key string, value int) []byte {
	return message(b, field, func(b []byte) []byte {
		b = text(b, 1, key)
		return message(b, 2, func(b []byte) []byte { return binary.AppendUvarint(append(b, 3<<3|varint), uint64(value)) })
	})
}

// message appends an embedded message. Its length stands before it, in four
// bytes, of which a small one does not need all: that is allowed.
func message(b []byte, field int, write func([]byte) []byte) []byte {
	b = append(b, byte(field<<3|length), 0x80, 0x80, 0x80, 0)
	mark := len(b)
	b = write(b)
	n := len(b) - mark
	b[mark-4] |= byte(n & 0x7f)
	b[mark-3] |= byte(n >> 7 & 0x7f)
	b[mark-2] |= byte(n >> 14 & 0x7f)
	b[mark-1] = byte(n >> 21 & 0x7f)
	return b
}

func text(b []byte, field int, s string) []byte {
	return append(binary.AppendUvarint(append(b, byte(field<<3|length)), uint64(len(s))), s...)
}

func raw(b []byte, field int, s []byte) []byte {
	return append(binary.AppendUvarint(append(b, byte(field<<3|length)), uint64(len(s))), s...)
}

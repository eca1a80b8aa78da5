package schemas

import (
	"encoding/binary"
	"math"
	"strings"
	"unicode/utf8"
)

// Branches of the unions: null stands first in each.
const (
	avroNull  = 0
	avroValue = 1
)

// appendAvroLong writes a number as Avro does: small ones of either sign short,
// seven bits a byte, the lowest first.
func appendAvroLong(dst []byte, v int64) []byte {
	u := uint64(v<<1) ^ uint64(v>>63)
	for u >= 0x80 {
		dst = append(dst, byte(u)|0x80)
		u >>= 7
	}
	return append(dst, byte(u))
}

func appendAvroString(dst []byte, s string) []byte {
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd")
	}
	return append(appendAvroLong(dst, int64(len(s))), s...)
}

func appendAvroFloat(dst []byte, v float32) []byte {
	return binary.LittleEndian.AppendUint32(dst, math.Float32bits(v))
}

func appendAvroFeatures(dst []byte, f *Features) []byte {
	for _, v := range f {
		if v == Missing {
			dst = append(dst, avroNull<<1)
		} else {
			dst = appendAvroLong(append(dst, avroValue<<1), int64(v))
		}
	}
	return dst
}

// AppendAvroApplication appends the application as AvroSchema has it.
func AppendAvroApplication(dst []byte, a *Application) []byte {
	dst = appendAvroString(dst, a.ApplicationID)
	dst = appendAvroLong(dst, int64(a.AppliedAt))
	return appendAvroFeatures(dst, &a.Features)
}

// AppendAvroPrediction appends the prediction as AvroSchema has it.
func AppendAvroPrediction(dst []byte, p *Prediction) []byte {
	dst = appendAvroString(dst, p.ApplicationID)
	dst = appendAvroLong(dst, int64(p.AppliedAt))
	dst = appendAvroLong(dst, int64(p.DecidedAt))
	dst = appendAvroString(dst, p.Channel)
	dst = appendAvroFloat(dst, p.DefaultProbability)
	dst = appendAvroLong(dst, int64(p.DefaultPrediction))
	dst = appendAvroString(dst, p.Decision)
	dst = appendAvroLong(dst, int64(p.Points))
	if len(p.Reasons) > 0 { // one block of all of them
		dst = appendAvroLong(dst, int64(len(p.Reasons)))
		for i := range p.Reasons {
			dst = appendAvroString(dst, p.Reasons[i].Code)
			dst = appendAvroFloat(dst, p.Reasons[i].Contribution)
		}
	}
	dst = append(dst, 0) // no further block
	dst = appendAvroString(dst, p.ModelVersion)
	dst = appendAvroString(dst, p.Engine)
	dst = appendAvroString(dst, p.Route)
	dst = appendAvroLong(dst, p.RouteRevision)
	dst = appendAvroString(dst, p.PolicyVersion)
	if s := p.Shadow; s == nil {
		dst = append(dst, avroNull<<1)
	} else {
		dst = append(dst, avroValue<<1)
		dst = appendAvroString(dst, s.ModelVersion)
		dst = appendAvroFloat(dst, s.DefaultProbability)
		dst = appendAvroString(dst, s.Decision)
	}
	return appendAvroFeatures(dst, &p.Features)
}

// AppendAvroOutcome appends the outcome as AvroSchema has it.
func AppendAvroOutcome(dst []byte, o *Outcome) []byte {
	dst = appendAvroString(dst, o.ApplicationID)
	dst = appendAvroLong(dst, int64(o.Defaulted))
	return appendAvroLong(dst, int64(o.ObservedAt))
}

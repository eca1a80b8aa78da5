package producer

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/schemas"
)

func anApplication(t testing.TB, n uint64) schemas.Application {
	t.Helper()
	g := newGenerator(shipped(t), 1, "A-")
	a := schemas.Application{ApplicationID: string(g.appendID(nil, n)), AppliedAt: 1_800_000_000_000_000}
	g.draw(n, weather{}, &a.Features)
	return a
}

// Every kind must break the contract in the way its name says, whichever field
// it falls on.
func TestEveryMalformedRecordBreaksTheContractItsOwnWay(t *testing.T) {
	t.Parallel()
	app := anApplication(t, 3)
	valid := schemas.AppendApplication(nil, &app)
	for kind := range NumKinds {
		seen := map[string]bool{}
		for variant := range uint64(400) {
			got := AppendMalformed([]byte("before"), nil, kind, variant, &app)
			value, kept := bytes.CutPrefix(got, []byte("before"))
			require.True(t, kept, "%s %d: appends", kind, variant)
			require.Equal(t, string(value), string(AppendMalformed(nil, nil, kind, variant, &app)), "%s %d: the same each time", kind, variant)
			seen[string(value)] = true

			var back schemas.Application
			err := schemas.DecodeApplication(value, &back)
			require.Error(t, err, "%s %d: %s", kind, variant, value)
			var (
				decode   *schemas.DecodeError
				contract *schemas.ContractError
				field    = schemas.FeatureRules[variant%schemas.NumFeatures].Name
			)
			switch kind {
			case NotJSON:
				require.ErrorAs(t, err, &decode, "%d: %s", variant, value)
			case DuplicateKey:
				require.ErrorContains(t, err, field, "%d: %s", variant, value)
				require.ErrorContains(t, err, "twice", "%d: %s", variant, value)
			case TooLarge:
				require.ErrorAs(t, err, &contract)
				require.Greater(t, len(value), tooLargeBytes)
				require.Equal(t, "application_id", contract.Violations[0].Field)
			default:
				require.ErrorAs(t, err, &contract, "%s %d: %s", kind, variant, value)
				require.Len(t, contract.Violations, 1)
				require.True(t, strings.HasSuffix(contract.Violations[0].Field, field), "%s %d: %s", kind, variant, contract)
			}
		}
		switch kind {
		case TooLarge:
			require.Len(t, seen, 1)
		case NotJSON:
			require.Len(t, seen, 4)
		default:
			require.GreaterOrEqual(t, len(seen), schemas.NumFeatures, "%s falls on every field", kind)
		}
	}
	require.NoError(t, schemas.DecodeApplication(valid, new(schemas.Application)))
	require.Equal(t, "Kind(6)", NumKinds.String())
}

func TestMalformedRecordsAreExactlyTheShareAskedForAndEveryKindInTurn(t *testing.T) {
	t.Parallel()
	f := func(share float64, applications uint64, want int) {
		t.Helper()
		m := newBlend(share)
		var kinds [NumKinds]int
		total, last := 0, uint64(0)
		for n := range applications {
			serial, ok := m.asked.at(n)
			if !ok {
				continue
			}
			if total > 0 {
				require.Equal(t, last+1, serial)
			}
			last = serial
			kinds[serial%uint64(NumKinds)]++
			total++
		}
		require.Equal(t, want, total, "share %v of %d", share, applications)
		for kind, n := range kinds {
			require.InDelta(t, float64(want)/float64(NumKinds), n, 1, "share %v: %s", share, Kind(kind))
		}
	}
	f(0, 10_000, 0)
	f(0.01, 10_000, 100)
	f(0.5, 10_001, 5_000)
	f(1, 777, 777)
	f(0.000_001, 3_000_000, 3)
	f(0.003, 1_000, 3)
}

func TestMalformedRecordsFollowTheApplicationTheyAreMadeFrom(t *testing.T) {
	t.Parallel()
	var m batch
	mix := newBlend(1)
	app := anApplication(t, 9)
	app.ApplicationID = strings.Repeat("é", schemas.MaxApplicationID/2)
	mix.add(&m, "t", 0, &app, &applicant{features: app.Features}, weather{})
	mix.add(&m, "t", 199, &app, &applicant{features: app.Features}, weather{fault: faultNull})
	require.Len(t, m.records, 3, "one asked for each, one of the broken feed")
	for i, r := range m.records {
		require.NotEqual(t, app.ApplicationID, string(r.Key), "nobody's second application")
		require.True(t, validID(r.Key), "%q", r.Key)
		require.Equal(t, "t", r.Topic)
		require.GreaterOrEqual(t, m.kinds[i], int8(0))
		require.Error(t, schemas.DecodeApplication(r.Value, new(schemas.Application)))
	}
	require.True(t, bytes.HasSuffix(m.records[2].Key, []byte("-broken")))
}

// The records of a batch share one buffer that moves when it grows.
func TestRecordsOfABatchKeepTheirBytes(t *testing.T) {
	t.Parallel()
	var b batch
	mix := newBlend(1)
	var want []string
	for n := range uint64(600) {
		app := anApplication(t, n)
		b.add("t", &app, whole, app.AppliedAt.Time())
		want = append(want, app.ApplicationID)
		mix.add(&b, "t", n, &app, &applicant{features: app.Features}, weather{})
	}
	require.Len(t, b.records, 1_200)
	for i, id := range want {
		var back schemas.Application
		require.NoError(t, schemas.DecodeApplication(b.records[2*i].Value, &back))
		require.Equal(t, id, back.ApplicationID)
		require.Equal(t, id, string(b.records[2*i].Key))
		var decode *schemas.DecodeError
		var contract *schemas.ContractError
		err := schemas.DecodeApplication(b.records[2*i+1].Value, &back)
		require.True(t, errors.As(err, &decode) || errors.As(err, &contract), "%v", err)
	}
}

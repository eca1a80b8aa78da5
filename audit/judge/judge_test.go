package judge

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/policy"
	"github.com/creditstream/creditstream/schemas"
	"github.com/creditstream/creditstream/scorer"
)

// half is the split of the made-up route.
var half = model.Split{Canary: "v2", Share: model.ShareScale / 2}

// idOf is an application_id that falls to one of the two arms.
func idOf(split model.Split, canary bool) string {
	for i := 0; ; i++ {
		if id := fmt.Sprintf("A-%d", i); split.IsCanary(id) == canary {
			return id
		}
	}
}

func limits() Limits {
	return Limits{
		MinN: 1000, MinOutcomes: 50, MaxApprovalChange: 0.05, MaxPSI: 0.1, MaxErrors: 0.001, MaxLatency: 1.5, MaxFlips: 0.1, MaxAUCLoss: 0.01,
	}
}

// madeUp is how a made-up model decides: log-odds are an applicant's risk, moved and
// blurred.
type madeUp struct {
	shift, noise float64
	latency      float64 // milliseconds, on average
	labels       float64 // share of outcomes that are known
}

// stream draws applicants that a model decides on one route.
type stream struct {
	t     *testing.T
	r     *rand.Rand
	tally *Tally
}

func newStream(t *testing.T) *stream {
	tally, err := NewTally(half)
	require.NoError(t, err)
	return &stream{t, rand.New(rand.NewPCG(11, 12)), tally}
}

func decision(p float32) string {
	switch {
	case p < 0.2:
		return schemas.Approve
	case p >= 0.45:
		return schemas.Decline
	}
	return schemas.Refer
}

func (s *stream) add(route string, n int, m madeUp, shadow *madeUp) *stream {
	for range n {
		risk := -1.5 + s.r.NormFloat64()
		probability := func(m madeUp) float32 {
			return float32(1 / (1 + math.Exp(-(risk + m.shift + m.noise*s.r.NormFloat64()))))
		}
		p := schemas.Prediction{Route: route, DefaultProbability: probability(m), DecidedAt: schemas.Timestamp(1e3 * m.latency * (0.5 + s.r.Float64()))}
		p.Decision = decision(p.DefaultProbability)
		if shadow != nil {
			q := probability(*shadow)
			p.Shadow = &schemas.Shadow{DefaultProbability: q, Decision: decision(q)}
		}
		defaulted := Unknown
		if s.r.Float64() < m.labels {
			if defaulted = 0; s.r.Float64() < 1/(1+math.Exp(-2*risk)) {
				defaulted = 1
			}
		}
		require.NoError(s.t, s.tally.Add(&p, defaulted))
	}
	return s
}

func result(j *Judgement, check string) *Check {
	for i := range j.Checks {
		if j.Checks[i].Name == check {
			return &j.Checks[i]
		}
	}
	return nil
}

func TestACanaryIsJudgedByItsArm(t *testing.T) {
	like := madeUp{latency: 5}
	f := func(name, verdict, check, checked string, n int, canary madeUp) *Judgement {
		t.Helper()
		s := newStream(t).add(schemas.RouteChampion, 9*n, like, nil).add(schemas.RouteCanary, n, canary, nil)
		j := s.tally.Canary("v2", limits())
		require.Equal(t, verdict, j.Verdict, "%s: %s", name, j.Why)
		require.Equal(t, checked, result(j, check).Result, name)
		require.EqualValues(t, n, j.N)
		require.EqualValues(t, 9*n, j.ChampionN)
		return j
	}
	j := f("the same", Promote, "AUC", Skipped, 4000, like)
	require.InDelta(t, 0.005, j.Latency[1].P50, 0.0005)
	require.InDelta(t, 0.0075, j.Latency[1].P99, 0.0005)
	f("too few", Hold, "approval rate", Unclear, 200, like)
	f("too few, however bad", Hold, "score PSI", Fail, 500, madeUp{shift: 2, latency: 5})
	f("all are riskier", RollBack, "approval rate", Fail, 2000, madeUp{shift: 1, latency: 5})
	f("all are safer", RollBack, "approval rate", Fail, 2000, madeUp{shift: -1, latency: 5})
	f("as many are approved, and others", RollBack, "score PSI", Fail, 3000, madeUp{noise: 1.5, shift: 0.3, latency: 5})
	require.Contains(t, f("at the limit", Hold, "approval rate", Unclear, 1500, madeUp{shift: 0.15, latency: 5}).Why, "approval rate is unclear")
	f("slow", RollBack, "latency", Fail, 3000, madeUp{latency: 50})
	f("slower by what nobody minds", Promote, "latency", Pass, 4000, madeUp{latency: 9})
	require.Contains(t, f("slower, perhaps", Hold, "latency", Unclear, 4000, madeUp{latency: 11.65}).Why, "latency is unclear")
	require.Contains(t, f("no error, of too few", Hold, "errors", Unclear, 3000, like).Why, "without an error 3838 decisions keep the limit")
}

func TestErrorsWeighBeforeThereAreManyDecisions(t *testing.T) {
	like := madeUp{latency: 5}
	errors := func(champion, canary int) *Judgement {
		s := newStream(t).add(schemas.RouteChampion, 900, like, nil).add(schemas.RouteCanary, 100, like, nil)
		for range champion {
			s.tally.AddError(idOf(half, false))
		}
		for range canary {
			s.tally.AddError(idOf(half, true))
		}
		return s.tally.Canary("v2", limits())
	}
	require.Equal(t, Hold, errors(0, 0).Verdict)
	require.Equal(t, Unclear, result(errors(0, 0), "errors").Result, "none in a hundred is not less than one in a thousand")
	require.Contains(t, result(errors(0, 0), "errors").Says, "without an error 3838 decisions keep the limit")
	require.Equal(t, Unclear, result(errors(0, 1), "errors").Result)
	require.Equal(t, Hold, errors(0, 1).Verdict)
	bad := errors(0, 10)
	require.Equal(t, RollBack, bad.Verdict)
	require.Contains(t, bad.Why, "10 of the candidate's 110 applications could not be scored, 0 of the champion's 900")
	require.Equal(t, Hold, errors(100, 10).Verdict, "the champion fares no better")
}

// A check that passes keeps its limit with the whole interval, one that fails breaks it.
func TestResultsAreThoseOfIntervals(t *testing.T) {
	like := madeUp{latency: 5, labels: 0.3}
	for _, n := range []int{10, 300, 1000, 3837, 3838, 6000} {
		for _, canary := range []madeUp{like, {latency: 9, shift: 0.1, labels: 0.3}, {latency: 17, shift: 0.5, labels: 0.3}, {latency: 60, noise: 1, labels: 0.3}} {
			s := newStream(t).add(schemas.RouteChampion, 3*n, like, &canary).add(schemas.RouteCanary, n, canary, nil)
			for _, j := range []*Judgement{s.tally.Canary("v2", limits()), s.tally.Shadow("v3", limits())} {
				for _, c := range j.Checks {
					if c.Result == Skipped || c.Name == "score PSI" {
						require.Nil(t, c.Lower, "nothing has an interval that was not worked out")
						continue
					}
					require.LessOrEqual(t, *c.Lower, c.Value, c.Name)
					require.GreaterOrEqual(t, *c.Upper, c.Value, c.Name)
					low, high := *c.Lower, *c.Upper
					switch c.Name {
					case "AUC":
						require.Equal(t, c.Result == Pass, low >= c.Limit)
						require.Equal(t, c.Result == Fail, high < c.Limit)
					case "approval rate":
						require.Equal(t, c.Result == Pass, low >= -c.Limit && high <= c.Limit)
						require.Equal(t, c.Result == Fail, low > c.Limit || high < -c.Limit)
					case "latency": // ten milliseconds more keep it too
						require.True(t, c.Result != Fail || low > c.Limit)
						require.True(t, c.Result == Pass || high > c.Limit)
					default:
						require.Equal(t, c.Result == Pass, high <= c.Limit, c.Name)
						require.Equal(t, c.Result == Fail, low > c.Limit, c.Name)
					}
				}
				if j.Role == roleCanary {
					require.Equal(t, n >= 3838, result(j, "errors").Result == Pass)
				}
			}
		}
	}
}

func TestKnownOutcomesAreThoseOfWhoeverHasOne(t *testing.T) {
	tally, err := NewTally(half)
	require.NoError(t, err)
	for i := range 400 {
		p := schemas.Prediction{Route: schemas.RouteChampion, DefaultProbability: float32(i%100+1) / 200, Decision: schemas.Decline}
		if i%4 == 0 {
			p.Route = schemas.RouteCanary
		}
		if i%10 == 1 || i%20 == 0 {
			p.Decision = schemas.Approve
		}
		p.Shadow = &schemas.Shadow{DefaultProbability: p.DefaultProbability, Decision: schemas.Approve}
		require.NoError(t, tally.Add(&p, int8(i/4%2)))
	}
	l := limits()
	l.MinOutcomes = 5
	require.Contains(t, result(tally.Canary("v2", l), "AUC").Says, "on 100 and 300 known outcomes (20 and 40 of them of approved applications)")
	require.Contains(t, result(tally.Shadow("v2", l), "AUC").Says, "on the same 300 known outcomes (40 of them of applications that the champion approved)")
}

func TestOutcomesCountOnceThereAreEnough(t *testing.T) {
	f := func(verdict, checked string, labels, noise float64) *Check {
		t.Helper()
		s := newStream(t).add(schemas.RouteChampion, 20_000, madeUp{latency: 5, labels: labels}, nil).
			add(schemas.RouteCanary, 20_000, madeUp{latency: 5, labels: labels, noise: noise, shift: -noise / 8}, nil)
		l := limits()
		l.MaxAUCLoss, l.MaxPSI, l.MaxApprovalChange = 0.02, 10, 1
		j := s.tally.Canary("v2", l)
		require.Equal(t, verdict, j.Verdict, j.Why)
		require.Equal(t, checked, result(j, "AUC").Result)
		return result(j, "AUC")
	}
	require.Contains(t, f(Promote, Skipped, 0, 0).Says, "too few outcomes")
	f(Promote, Skipped, 0.001, 3)
	f(Promote, Pass, 1, 0)
	f(RollBack, Fail, 1, 1)
	f(Hold, Unclear, 0.03, 0.1)
}

func TestAShadowIsJudgedOnTheChampionsApplications(t *testing.T) {
	f := func(verdict, check, checked string, n int, shadow madeUp, labels float64) *Judgement {
		t.Helper()
		s := newStream(t).add(schemas.RouteChampion, n, madeUp{latency: 5, labels: labels}, &shadow).
			add(schemas.RouteCanary, n, madeUp{latency: 5}, &madeUp{shift: 5}) // what it says of a canary's is not compared
		j := s.tally.Shadow("v2", limits())
		require.Equal(t, verdict, j.Verdict, j.Why)
		require.Equal(t, checked, result(j, check).Result)
		require.EqualValues(t, n, j.N)
		return j
	}
	f(Promote, "flips", Pass, 3000, madeUp{}, 0)
	f(Hold, "flips", Pass, 900, madeUp{}, 0)
	f(RollBack, "flips", Fail, 3000, madeUp{shift: 1}, 0)
	f(RollBack, "flips", Fail, 3000, madeUp{noise: 1}, 0)
	f(Promote, "AUC", Pass, 5000, madeUp{noise: 0.05}, 1)
	f(RollBack, "score PSI", Fail, 3000, madeUp{shift: 0.8}, 0)
	require.Equal(t, Fail, result(f(RollBack, "flips", Fail, 9000, madeUp{noise: 2}, 1), "AUC").Result)
}

func TestAJudgementIsReadable(t *testing.T) {
	s := newStream(t).add(schemas.RouteChampion, 9000, madeUp{latency: 5}, &madeUp{shift: 0.01}).add(schemas.RouteCanary, 1000, madeUp{latency: 5, shift: 2}, nil)
	var out bytes.Buffer
	require.NoError(t, s.tally.Canary("v2", limits()).Print(&out))
	require.NoError(t, s.tally.Shadow("v3", limits()).Print(&out))
	require.Regexp(t, `(?m)^  score PSI +pass +0\.\d{4} +- +0\.1 +PSI`, out.String(), "no interval is shown where there is none")
	require.Regexp(t, `(?m)^  flips +pass +0\.\d{4} +0\.\d{4} … 0\.\d{4} +0\.1 `, out.String())
	for _, want := range []string{"canary v2: ROLL BACK", "1000 decisions, the champion made 9000", "approval rate", "fail", "not judged", "latency p50", "shadow v3: PROMOTE", "every limit is kept", "9000 of the champion's decisions"} {
		require.Contains(t, out.String(), want)
	}
}

func TestNothingIsHeld(t *testing.T) {
	f := func(j *Judgement) {
		t.Helper()
		require.Equal(t, Hold, j.Verdict)
		require.Nil(t, j.Latency)
		for _, c := range j.Checks {
			require.Equal(t, c.Name != errorsName, c.Result == Skipped, c.Name)
		}
	}
	tally, err := NewTally(half)
	require.NoError(t, err)
	f(tally.Canary("v2", limits()))
	f(tally.Shadow("v2", limits()))
	f(newStream(t).add(schemas.RouteChampion, 5000, madeUp{}, nil).tally.Canary("v2", limits()))
	f(newStream(t).add(schemas.RouteCanary, 5000, madeUp{}, nil).tally.Canary("v2", limits()))
}

// An error counts for the arm that the scorer would have decided by, whatever the
// share, at the bucket below the share and at the share itself.
func TestErrors_CountForTheArmThatTheScorerTakes(t *testing.T) {
	m, err := model.Parse(shipped.Bundle, model.EngineNative)
	require.NoError(t, err)
	defer m.Close()
	canary := *m
	canary.Version = "v2"
	rules, err := policy.Parse(policy.DefaultText)
	require.NoError(t, err)
	var ids [model.ShareScale]string // one of each bucket
	for i, found := 0, 0; found < len(ids); i++ {
		id := fmt.Sprintf("A-%d", i)
		if b := half.Bucket(id); ids[b] == "" {
			ids[b] = id
			found++
		}
	}
	decide := scorer.New()
	for share := 1; share <= model.ShareScale; share++ {
		written := schemas.AppendRoute(nil, &schemas.Route{
			Champion: m.Version, Canary: &schemas.Canary{ModelVersion: "v2", Share: float64(share) / model.ShareScale}, Policy: policy.DefaultText,
		})
		var route schemas.Route
		require.NoError(t, schemas.DecodeRoute(written, &route))
		split, err := model.SplitOf(&route)
		require.NoError(t, err)
		set := &model.LiveSet{Champion: m, Canary: &canary, CanaryShare: split.Share, Policy: rules}
		apps := []schemas.Application{{ApplicationID: ids[share-1]}}
		if share < model.ShareScale {
			apps = append(apps, schemas.Application{ApplicationID: ids[share]})
		}
		predictions := make([]schemas.Prediction, len(apps))
		require.NoError(t, decide.Decide(set, schemas.ChannelStream, 0, apps, predictions))
		require.Equal(t, schemas.RouteCanary, predictions[0].Route, "share %d", share)
		tally, err := NewTally(split)
		require.NoError(t, err)
		for i := range predictions {
			champion, candidate := tally.champion.errors, tally.canary.errors
			tally.AddError(predictions[i].ApplicationID)
			if predictions[i].Route == schemas.RouteCanary {
				candidate++
			} else {
				champion++
			}
			require.Equal(t, []int64{champion, candidate}, []int64{tally.champion.errors, tally.canary.errors}, "share %d", share)
		}
	}
}

func TestErrors_WithoutAReadableIDCountForNeither(t *testing.T) {
	s := newStream(t).add(schemas.RouteChampion, 900, madeUp{latency: 5}, nil).add(schemas.RouteCanary, 100, madeUp{latency: 5}, nil)
	for range 60 {
		s.tally.AddUnreadable()
	}
	j := s.tally.Canary("v2", limits())
	require.EqualValues(t, 60, j.Unreadable)
	require.Zero(t, *result(j, errorsName).Champion)
	require.Zero(t, *result(j, errorsName).Subject)
	var out bytes.Buffer
	require.NoError(t, j.Print(&out))
	require.Contains(t, out.String(), "60 applications that could not be scored have no readable application_id: they count for neither")
}

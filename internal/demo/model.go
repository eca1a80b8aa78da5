package demo

import (
	"context"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/release"
	"github.com/creditstream/creditstream/model/shipped"
	"github.com/creditstream/creditstream/producer"
	"github.com/creditstream/creditstream/schemas"
)

const (
	// How many applicants the demo's reference is drawn from, and with which seed.
	referenceRows = 5_000
	referenceSeed = 1
	suffix        = "-demo"
	// WhyUngated is why the demo's bundle may serve without gates of its own.
	WhyUngated = "the demo's: the shipped graph, against a reference of the synthetic population"
)

// releaseModel releases and routes the demo's bundle unless the data directory
// holds a route already.
func (d *demo) releaseModel(ctx context.Context) error {
	config := d.services.Client("release")
	history, err := release.ReadAll(ctx, config, d.topics)
	if err != nil || history.Current() != nil {
		return err
	}
	bundle, err := Bundle(d.shipped)
	if err != nil {
		return err
	}
	released, err := release.Release(ctx, config, d.topics, bundle, model.EngineNative, WhyUngated)
	if err != nil {
		return err
	}
	_, err = release.Route(ctx, config, d.topics, release.RouteRequest{
		Change: release.Change{Champion: released.Model.Version}, By: "demo", At: schemas.At(d.config.Began), Why: "the demo starts", Engine: model.EngineNative,
	})
	return err
}

// Shipped is the model inside the binary.
func Shipped() (*model.Model, error) { return model.Parse(shipped.Bundle, model.EngineNative) }

// Bundle is the shipped graph with a reference drawn from the population that
// synthetic applicants come from: against the training data's, drift would be
// seen where nothing has changed.
func Bundle(m *model.Model) ([]byte, error) {
	population, err := producer.ShippedPopulation()
	if err != nil {
		return nil, err
	}
	counter := model.NewReferenceCounter(m.Reference)
	row, result := make([]float32, model.NumInputs), make([]model.Result, 1)
	for f := range producer.Applicants(population, referenceSeed, referenceRows) {
		f.Row(row)
		if err := m.Evaluate(row, result); err != nil {
			return nil, err
		}
		counter.Add(f, result[0].LogOdds)
	}
	return model.WithReference(shipped.Bundle, m.Version+suffix, counter.Reference())
}

// Truth is how likely synthetic applicants, the demo's and those of produce, are to
// default, in log-odds: what the shipped graph expects of them. By the population's own rule, which the model was not
// trained on, more would than it promises, and that would be told of where nothing
// happens.
func Truth(m *model.Model) func(*schemas.Features) float64 {
	row, result := make([]float32, model.NumInputs), make([]model.Result, 1)
	return func(f *schemas.Features) float64 {
		f.Row(row)
		if err := m.Evaluate(row, result); err != nil {
			panic(err) // one row is one row, and the native engine has no other reason
		}
		return float64(result[0].LogOdds)
	}
}

package main

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
	demoReferenceRows = 5_000
	demoReferenceSeed = 1
	demoSuffix        = "-demo"
	// Why the demo's bundle may serve without gates of its own.
	whyUngatedDemo = "the demo's: the shipped graph, against a reference of its own population"
)

// releaseModel releases and routes the demo's bundle unless the data directory
// holds a route already.
func (d *demo) releaseModel(ctx context.Context, p *process) error {
	config := d.kafka.config(p, "release")
	history, err := release.ReadAll(ctx, config, d.topics)
	if err != nil || history.Current() != nil {
		return err
	}
	bundle, err := demoBundle()
	if err != nil {
		return err
	}
	released, err := release.Release(ctx, config, d.topics, bundle, model.EngineNative, whyUngatedDemo)
	if err != nil {
		return err
	}
	_, err = release.Route(ctx, config, d.topics, release.RouteRequest{
		Champion: released.Model.Version, Policy: schemas.DefaultPolicyText, By: "demo", At: schemas.At(p.began), Why: "the demo starts", Engine: model.EngineNative,
	})
	return err
}

// demoBundle is the shipped graph with a reference drawn from the population that
// the demo's applicants come from: against the training data's, drift would be
// seen where nothing has changed.
func demoBundle() ([]byte, error) {
	m, err := model.Parse(shipped.Bundle, model.EngineNative)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	population, err := producer.ShippedPopulation()
	if err != nil {
		return nil, err
	}
	counter := model.NewReferenceCounter(m.Reference)
	row, result := make([]float32, model.NumInputs), make([]model.Result, 1)
	for f := range producer.Applicants(population, demoReferenceSeed, demoReferenceRows) {
		f.Row(row)
		if err := m.Evaluate(row, result); err != nil {
			return nil, err
		}
		counter.Add(f, result[0].LogOdds)
	}
	return model.WithReference(shipped.Bundle, m.Version+demoSuffix, counter.Reference())
}

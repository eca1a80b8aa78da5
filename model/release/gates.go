package release

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/creditstream/creditstream/model"
	"github.com/creditstream/creditstream/model/shipped"
)

// maxUngated bounds a reason's length: a record has room for the largest bundle and
// little more.
const maxUngated = 500

// CheckUngated says what is wrong with a reason to release what has been through no
// gate.
func CheckUngated(why string) error {
	switch {
	case strings.TrimSpace(why) == "":
		return errors.New("--ungated is empty: expected a reason, for those who ask why it serves")
	case len(why) > maxUngated:
		return fmt.Errorf("--ungated has %d bytes, expected at most %d", len(why), maxUngated)
	}
	return nil
}

// admit is the door: a bundle that failed a gate needs the reason that its manifest
// gives, one that has been through some but not all is refused, one that has been
// through none needs ungated. The shipped one needs neither,
// for it goes through the gates where the binary is built.
func admit(m *model.Model, ungated string) (model.Gates, error) {
	gates, err := m.Manifest.Gates()
	if err != nil {
		return gates, err
	}
	switch {
	case gates.Verdict == model.GatesFailed:
		failed := make([]string, len(gates.Failed))
		for i, g := range gates.Failed {
			failed[i] = g.String()
		}
		return gates, fmt.Errorf("model %s failed its gates, and its manifest does not say why it may pass: %s; expected every gate passed, or forced by retrain/credit-retrain gate --candidate FILE --record --force WHY", m.Version, strings.Join(failed, "; "))
	case gates.Verdict == model.GatesPart:
		return gates, fmt.Errorf("model %s has not been through every gate: its manifest's metrics.gates lacks %s; run retrain/credit-retrain gate --candidate FILE --record", m.Version, strings.Join(gates.Missing, "; "))
	case gates.Verdict == model.GatesNone && ungated == "" && m.Digest != model.Digest(shipped.Bundle):
		return gates, fmt.Errorf("model %s has been through no gate: its manifest has no metrics.gates; run retrain/credit-retrain gate --candidate FILE --record, or give the reason why it may serve ungated: --ungated WHY", m.Version)
	case ungated != "" && slices.Contains([]string{model.GatesPassed, model.GatesForced}, gates.Verdict):
		return gates, fmt.Errorf("--ungated %q: model %s has been through its gates (%s); leave it out", ungated, m.Version, gates.Verdict)
	}
	if ungated != "" {
		return gates, CheckUngated(ungated)
	}
	return gates, nil
}

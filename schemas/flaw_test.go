package schemas

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTopic_NamesSettingsThatLoseState(t *testing.T) {
	for _, c := range []struct {
		topic, setting, value string
		also                  map[string]string
		flaw                  string // setting that is named, "" none
		loses                 bool
	}{
		{"t.routes", "retention.ms", "60000", nil, "retention.ms", true},
		{"t.routes", "retention.bytes", "1000", nil, "retention.bytes", true},
		{"t.routes", "cleanup.policy", "compact", nil, "cleanup.policy", true},
		{"t.models", "cleanup.policy", "delete", map[string]string{"retention.ms": "60000"}, "retention.ms", true},
		{"t.models", "cleanup.policy", "compact,delete", map[string]string{"retention.ms": "60000"}, "retention.ms", true},
		{"t.models", "retention.ms", "60000", nil, "", false}, // compacted: it removes nothing
		{"t.models", "cleanup.policy", "delete", nil, "cleanup.policy", false},
		{"t.models", "max.message.bytes", "1048588", nil, "max.message.bytes", false},
		{"t.models", "max.message.bytes", "99999999", nil, "", false},
		{"t.replicas", "cleanup.policy", "delete", map[string]string{"retention.ms": "60000"}, "retention.ms", false},
		{"t.predictions", "message.timestamp.type", "CreateTime", nil, "message.timestamp.type", false},
		{"t.predictions", "retention.ms", "86400000", nil, "", false}, // whoever wants that
		{"t.predictions", "retention.ms", "3600000", nil, "", false},
		{"t.predictions", "retention.ms", "3599999", nil, "retention.ms", false},
		{"t.applications", "retention.ms", "2000", nil, "retention.ms", false},
		{"t.applications", "retention.ms", "-1", nil, "", false},
		{"t.predictions", "retention.bytes", "1000", nil, "retention.bytes", false},
		{"t.predictions", "retention.bytes", "104857600", nil, "", false},
		{"t.predictions", "cleanup.policy", "compact", nil, "cleanup.policy", false},
		{"t.drift.panes", "retention.ms", "60000", nil, "retention.ms", false},
		{"t.drift.panes", "retention.ms", "-1", nil, "", false},
	} {
		for _, topic := range Catalogue("t") {
			if topic.Name != c.topic {
				require.Empty(t, topic.Flaws(topic.Configs))
				continue
			}
			have := maps.Clone(topic.Configs)
			have[c.setting] = c.value
			maps.Copy(have, c.also)
			flaws := topic.Flaws(have)
			var named *Flaw
			loses := false
			for i := range flaws {
				loses = loses || flaws[i].Loses
				if flaws[i].Setting == c.flaw {
					named = &flaws[i]
				}
			}
			require.Equal(t, c.loses, loses, "%+v: %v", c, flaws)
			if c.flaw == "" {
				require.Empty(t, flaws, "%+v", c)
				continue
			}
			require.NotNil(t, named, "%+v: %v", c, flaws)
			require.Contains(t, named.String(), c.topic)
			require.Contains(t, named.String(), have[c.flaw])
		}
	}
}

package schemas

import "bytes"

var (
	routeNames  = []string{"champion", "policy", "by", "at", "why", "canary", "shadow"}
	canaryNames = []string{"model_version", "share"}
)

const optionalRoute = 1<<5 | 1<<6 // routeNames' canary and shadow

// DecodeRoute reads a route and checks its shape; policy.Parse checks the policy.
// The error is a *DecodeError or a *ContractError.
func DecodeRoute(value []byte, route *Route) error {
	*route = Route{}
	r := reader{scanner: scanner{b: bytes.Clone(value)}}
	if !r.open() {
		return r.err
	}
	seen := r.members(1, "", routeNames, func(i int) {
		switch name := routeNames[i]; name {
		case "champion":
			r.stringInto(name, &route.Champion, notEmpty, notEmptyRule)
		case "policy":
			r.stringInto(name, &route.Policy, notEmpty, notEmptyRule)
		case "by":
			r.stringInto(name, &route.By, anyText, textRule)
		case "at":
			r.timestampInto(name, &route.At)
		case "why":
			r.stringInto(name, &route.Why, anyText, textRule)
		case "shadow":
			if !r.null() {
				route.Shadow = new(string)
				r.stringInto(name, route.Shadow, notEmpty, "must be a model version or null")
			}
		case "canary":
			r.canaryInto(route)
		}
	})
	r.require("", routeNames, seen, optionalRoute)
	return r.done()
}

func (r *reader) canaryInto(route *Route) {
	if r.null() || !r.object("canary", 1, "must be an object or null") {
		return
	}
	c := &Canary{}
	seen := r.members(2, "canary.", canaryNames, func(i int) {
		if i == 0 {
			r.stringInto("canary.model_version", &c.ModelVersion, notEmpty, notEmptyRule)
			return
		}
		c.Share = r.doubleInto("canary.share", 0, 1, probabilityRule)
	})
	r.require("canary.", canaryNames, seen, 0)
	route.Canary = c
}

package config

// Provider is auth.providers.<id>. Whether its keys are settings or environments depends on the kind of provider, which
// config does not know: ask for Flat or for Envs.
type Provider struct {
	// ID is the config key and the route segment.
	ID string
	// Type is what `type` directly below the id says, "" if nothing.
	Type string

	entry Entry
}

// Entry is the configuration of one provider in one environment.
type Entry struct {
	// ID is the provider, Env the environment: "" for a flat entry.
	ID, Env string
	// Type is the explicit type of the entry or else of the provider, "" if there is none.
	Type string
	// Position is where the entry begins.
	Position Position

	node   *node
	key    string
	source string
}

// commonKeys are those that belong to every entry, whether or not the struct it is decoded into names them.
var commonKeys = []string{
	"type", "clientId", "clientSecret", "callbackUrl", "additionalScopes", "sessionDuration", "signIn",
}

// Flat returns the entry of a provider without environments: guest and the proxy providers.
func (p Provider) Flat() Entry { return p.entry }

// Envs returns an entry per environment, in the order of the file. One that is no object is among them, and reported
// when it is decoded.
func (p Provider) Envs() []Entry {
	var envs []Entry
	for _, f := range p.entry.node.fields {
		if f.value.absent() || f.name == "type" && f.value.form == text {
			continue
		}
		e := p.entry.below(f)
		e.Env = f.name
		envs = append(envs, e)
	}
	return envs
}

// below is the entry at a key of e.
func (e Entry) below(f field) Entry {
	e.Position, e.node, e.key = f.at, f.value, dotted(e.key, f.name)
	if t := f.value.get("type"); t != nil && t.form == text {
		e.Type = t.text
	}
	return e
}

// Has is true if the entry has a value for key.
func (e Entry) Has(key string) bool { return !e.node.get(key).absent() }

// Decode reads the entry into the struct that into points to, see the package's description. A key that the struct does
// not name is a problem, except for the keys that every entry has. The error is an *Errors with everything that is
// wrong, or says that into is no such pointer. Decoding twice is harmless.
func (e Entry) Decode(into any) error { return e.decode(into, true) }

// Read is Decode without the check for unknown keys: for whoever reads but a part of the entry.
func (e Entry) Read(into any) error { return e.decode(into, false) }

func (e Entry) decode(into any, strict bool) error {
	var ps problems
	var own struct {
		Type string `config:"type"`
	}
	loose := decoder{source: e.source, problems: &ps}
	_ = loose.decode(e.node, e.key, &own) // what is wrong is in ps
	d := decoder{strict: strict, also: commonKeys, source: e.source, problems: &ps}
	return d.decode(e.node, e.key, into)
}

// ResolverEntry is one item of signIn.resolvers.
type ResolverEntry struct {
	// Name is the resolver's.
	Name string
	// Position is where the item begins, Key its dotted key; both are for messages.
	Position Position
	Key      string
	// Decode reads the resolver's options strictly, as Entry.Decode does.
	Decode func(into any) error
}

// Resolvers returns the sign-in resolvers in order, nil if there are none (contract/core.md S1). The error is an *Errors.
func (e Entry) Resolvers() ([]ResolverEntry, error) {
	var ps problems
	var signIn struct {
		Resolvers []*node `config:"resolvers"`
		Admission *node   `config:"admission"`
	}
	n, key := e.node.get("signIn"), dotted(e.key, "signIn")
	d := decoder{strict: true, source: e.source, problems: &ps}
	if err := d.decode(n, key, &signIn); err != nil {
		return nil, err
	}
	var entries []ResolverEntry
	for i, item := range signIn.Resolvers {
		entries = append(entries, e.resolver(item, indexed(dotted(key, "resolvers"), i), &ps))
	}
	if err := ps.err(); err != nil {
		return nil, err
	}
	return entries, nil
}

// Admission returns what reads the section signIn.admission, strictly, as Decode does; nil if there is none.
func (e Entry) Admission() func(into any) error {
	n, key := e.node.get("signIn").get("admission"), dotted(dotted(e.key, "signIn"), "admission")
	if n.absent() {
		return nil
	}
	return func(into any) error {
		d := decoder{strict: true, source: e.source, problems: new(problems)}
		return d.decode(n, key, into)
	}
}

func (e Entry) resolver(n *node, key string, ps *problems) ResolverEntry {
	var item struct {
		Name string `config:"resolver,required"`
	}
	d := decoder{source: e.source, problems: ps}
	_ = d.decode(n, key, &item) // what is wrong is in ps
	return ResolverEntry{Name: item.Name, Position: n.at, Key: key, Decode: func(into any) error {
		d := decoder{strict: true, also: []string{"resolver"}, source: e.source, problems: new(problems)}
		return d.decode(n, key, into)
	}}
}

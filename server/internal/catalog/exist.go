package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
)

// The API's server reads 100 kB of a body, and its own client sends no more than this.
const (
	maxBatch      = 1_000
	maxBatchBytes = 90 << 10
)

// batch is the body of POST /entities/by-refs.
type batch struct {
	EntityRefs []string `json:"entityRefs"`
	Fields     []string `json:"fields"`
}

// EntitiesExist returns those of the given references, in their order, that no entity in the catalog has. A reference without
// a kind is missing. The error wraps ErrRefused or ErrUnavailable. Answers are not kept.
func (r *REST) EntitiesExist(ctx context.Context, refs []string) (missing []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	known := map[string]bool{}
	for asked := range batches(askable(refs)) {
		if err := r.askExist(ctx, asked, known); err != nil {
			return nil, err
		}
	}
	return missingFrom(refs, known), nil
}

// askable are the complete references that an entity can have at all, each once.
func askable(refs []string) []string {
	var all []string
	for _, ref := range refs {
		if ref = completeRef(ref, ""); ref != "" && len(ref) <= 3*maxSent && !slices.Contains(all, ref) {
			all = append(all, ref)
		}
	}
	return all
}

// batches cuts refs into pieces that one request can carry.
func batches(refs []string) func(yield func([]string) bool) {
	return func(yield func([]string) bool) {
		from, size := 0, 0
		for i, ref := range refs {
			size += len(ref) + len(`"",`)
			if i > from && (i-from >= maxBatch || size > maxBatchBytes) {
				if !yield(refs[from:i]) {
					return
				}
				from, size = i, len(ref)+len(`"",`)
			}
		}
		if from < len(refs) {
			yield(refs[from:])
		}
	}
}

// askExist marks in known those of the references that have an entity.
func (r *REST) askExist(ctx context.Context, refs []string, known map[string]bool) error {
	body, err := json.Marshal(batch{EntityRefs: refs, Fields: []string{"kind", "metadata.namespace", "metadata.name"}})
	if err != nil {
		return unavailable("write references", err)
	}
	var answer struct{ Items []remoteEntity }
	err = r.call(ctx, request{
		method: http.MethodPost, address: r.cfg.BaseURL() + "/entities/by-refs", body: body,
		read: func(body io.Reader) error {
			answer.Items = nil
			if err := json.NewDecoder(body).Decode(&answer); err != nil {
				return unavailable("read entities by reference", err)
			}
			if len(answer.Items) != len(refs) {
				return unavailable("read entities by reference", errNoCatalog)
			}
			return nil
		},
	})
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrLookup) { // about the route or the body, not about an entity
		return unavailable("ask for entities by reference", err)
	}
	if err != nil {
		return err
	}
	for i, e := range answer.Items {
		known[refs[i]] = known[refs[i]] || e.ref() == refs[i]
	}
	return nil
}

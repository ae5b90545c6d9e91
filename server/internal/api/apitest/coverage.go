package apitest

import (
	"slices"
	"sync"
)

// spoken are the operations of which an exchange was found in order.
var spoken sync.Map

func note(operation string) { spoken.Store(operation, true) }

// Uncovered returns the operationIds, sorted, of which no Client of this process has had an exchange in order. The last test
// of a package fails unless the list is empty. A document that does not load covers nothing: its error is the list then.
func Uncovered() []string {
	d, err := load()
	if err != nil {
		return []string{err.Error()}
	}
	var missing []string
	for _, p := range d.byPath {
		for _, op := range p.item.Operations() {
			if _, ok := spoken.Load(op.OperationID); !ok {
				missing = append(missing, op.OperationID)
			}
		}
	}
	slices.Sort(missing)
	return missing
}

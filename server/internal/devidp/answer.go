package devidp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
)

// answer is a response that was held back so that it can be changed.
type answer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func newAnswer() *answer { return &answer{status: http.StatusOK, header: http.Header{}} }

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(status int)      { a.status = status }
func (a *answer) Write(b []byte) (int, error) { return a.body.Write(b) }

func (a *answer) send(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, _ = a.body.WriteTo(w) // The caller has gone; nobody is left to tell.
}

// editJSON lets change edit the object that the body holds. Numbers stay as they are written.
func (a *answer) editJSON(change func(object map[string]any) error) error {
	object, err := decodeObject(a.body.Bytes())
	if err != nil {
		return fmt.Errorf("read healthy answer: %w", err)
	}
	if err := change(object); err != nil {
		return err
	}
	return a.setJSON(object)
}

func (a *answer) setJSON(object map[string]any) error {
	a.body.Reset()
	if err := json.NewEncoder(&a.body).Encode(object); err != nil {
		return fmt.Errorf("write changed answer: %w", err)
	}
	return nil
}

// replace puts a JSON object in place of what was there.
func (a *answer) replace(status int, object map[string]any) error {
	a.status = status
	a.header.Set("Content-Type", "application/json")
	return a.setJSON(object)
}

func decodeObject(data []byte) (map[string]any, error) {
	var object map[string]any
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil {
		return nil, fmt.Errorf("decode JSON object: %w", err)
	}
	return object, nil
}

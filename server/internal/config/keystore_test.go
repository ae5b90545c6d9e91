package config

import "testing"

func TestNodeTable(t *testing.T) {
	for yaml, want := range map[string]bool{
		"environment: production": false, "keyStore: {nodeTable: yes}": true, "keyStore: {provider: database, nodeTable: false}": false,
		"keyStore: {provider: memory, nodeTable: false}": false,
	} {
		if got := mustLoad(t, with("", yaml)).Auth.KeyStore.NodeTable; got != want {
			t.Errorf("%s: got %v, want %v", yaml, got, want)
		}
	}
}

package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"stagedoor/server/internal/config"
)

// secretFile is kept beside the database file.
const secretFile = ".secret"

// sessionSecrets returns the configured secrets, or for SQLite one that is made once and kept beside the database
// (design D11), followed by those of the rooms before. With PostgreSQL there is always one configured.
func sessionSecrets(cfg *config.Config, before *generation, k *kept, log *slog.Logger) ([]string, error) {
	var known []string
	if before != nil {
		known = before.secrets
	}
	switch configured := cfg.Auth.Session.Secrets; {
	case len(configured) > 0:
		all := k.secrets(configured, known, time.Now())
		if len(all) > len(configured) {
			log.Warn("auth.session.secret was replaced: what the one before sealed opens until the next start; list it second to keep it longer")
		}
		return all, nil
	case before != nil: // it was made, or read, at the start
		return known, nil
	}
	if cfg.Database.SQLite.Memory {
		return []string{newSecret()}, nil
	}
	path := cfg.Database.SQLite.File + secretFile
	secret, err := keptSecret(path)
	if err != nil {
		return nil, fmt.Errorf("keep a session secret, as auth.session.secret is not set: %w", err)
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		log.Warn("the kept session secret can be read by others, who can then read every session: chmod 600 it", "file", path)
	}
	log.Info("auth.session.secret is not set: using the one kept beside the database", "file", path)
	return []string{secret}, nil
}

func newSecret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails (crypto/rand, since Go 1.24)
	return base64.RawURLEncoding.EncodeToString(b)
}

// keptSecret reads the secret in the file, or makes it. The file appears whole or not at all, and the first of several processes
// wins: it is written under another name and linked to its own.
func keptSecret(path string) (string, error) {
	secret, err := readSecret(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	draft := path + "." + rand.Text()
	f, err := os.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(newSecret() + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Link(draft, path)
	}
	if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err = errors.Join(err, os.Remove(draft)); err != nil {
		return "", err
	}
	return readSecret(path)
}

func readSecret(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	secret := strings.TrimSpace(string(text))
	if secret == "" {
		return "", fmt.Errorf("%s is empty: restore it, or remove it to start over with everybody signed out", path)
	}
	return secret, nil
}

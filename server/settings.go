package main

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"

	"stagedoor/server/internal/store"
)

// sealSetting is the row that stands for the secret that seals.
const sealSetting = "auth.session.secret"

// compareSettings tells of what the last server on this database was started with and this one is not: replicas must agree on it. Nothing
// is changed but the note of it, and nobody is stopped: a change of the configuration looks the same from here.
func compareSettings(ctx context.Context, r *generation, db *store.Store, log *slog.Logger) error {
	cfg := r.cfg
	before, err := db.Settings(ctx)
	if err != nil {
		return err
	}
	proofs, err := secretProofs(r.secrets)
	if err != nil {
		return err
	}
	now := map[string]string{
		"backend.baseUrl": cfg.Backend.BaseURL, "auth.omitIdentityTokenOwnershipClaim": fmt.Sprint(cfg.Auth.OmitOwnership),
		"auth.backstageTokenExpiration": cfg.Auth.TokenExpiration.String(), "auth.signingKeys.rotation": cfg.Auth.SigningKeys.Rotation.String(),
		"auth.signingKeys.publishAhead": cfg.Auth.SigningKeys.PublishAhead.String(), sealSetting: proofs[0],
	}
	for name, value := range now {
		told := before[name]
		switch {
		case told == value:
			continue
		case told == "":
		case name == sealSetting && slices.Contains(proofs, told):
		case name == sealSetting:
			log.Warn("what is stored was sealed with a session secret that is not configured here: its sessions answer session_unreadable, its "+
				"signing keys are only published. Nothing is deleted: list that secret second, on every replica", "key", name,
				"tables", "stagedoor_sessions, stagedoor_signing_keys, stagedoor_plugin_keys")
		default:
			log.Warn("the server that used this database before was configured differently: replicas must agree", "key", name, "before", told, "now", value)
		}
		if err := db.SaveSetting(ctx, name, value); err != nil {
			return err
		}
	}
	return nil
}

// secretProofs tell secrets apart, and not what they are.
func secretProofs(secrets []string) ([]string, error) {
	var proofs []string
	for _, s := range secrets {
		key, err := hkdf.Key(sha256.New, []byte(s), nil, "stagedoor settings", 16)
		if err != nil {
			return nil, fmt.Errorf("derive proof of a secret: %w", err)
		}
		proofs = append(proofs, hex.EncodeToString(key))
	}
	return proofs, nil
}

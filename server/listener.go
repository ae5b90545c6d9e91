package main

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"time"

	"stagedoor/server/internal/config"
)

// What a slow or greedy client gets (design section 5). The write time covers the longest answer: a refresh that waits for its
// lease and then for the provider.
const (
	headerTime = 10 * time.Second
	readTime   = 30 * time.Second
	writeTime  = 60 * time.Second
	idleTime   = 75 * time.Second
	// headerBytes is 32 KiB; net/http adds 4 KiB of its own.
	headerBytes = 28 << 10
)

// newServer makes the HTTP server, with TLS if it is configured.
func newServer(cfg *config.Config, h *house, log *slog.Logger) *http.Server {
	limits := cfg.Backend.Server
	srv := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: cmp.Or(limits.HeadersTimeout, headerTime),
		ReadTimeout:       cmp.Or(limits.RequestTimeout, readTime),
		WriteTimeout:      cmp.Or(limits.Timeout, writeTime),
		IdleTimeout:       cmp.Or(limits.KeepAliveTimeout, idleTime),
		MaxHeaderBytes:    headerBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	if cfg.Backend.HTTPS == nil {
		return srv
	}
	srv.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: h.certificate}
	return srv
}

func certificate(b config.Backend) (tls.Certificate, error) {
	if b.HTTPS.SelfSigned {
		return selfSigned(b.BaseURL)
	}
	cert, err := tls.X509KeyPair([]byte(b.HTTPS.Certificate), []byte(b.HTTPS.Key))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read backend.https.certificate: %w", err)
	}
	return cert, nil
}

// selfSigned makes a certificate for the host of the base URL, for development.
func selfSigned(baseURL string) (tls.Certificate, error) {
	u, err := url.Parse(baseURL)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read backend.baseUrl: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make key: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: u.Hostname()},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 0, 30),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{u.Hostname()}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

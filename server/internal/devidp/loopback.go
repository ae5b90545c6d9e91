package devidp

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// ErrNotLoopback says that the issuer names a host that other machines may reach.
var ErrNotLoopback = errors.New("the development identity provider serves loopback only")

var errIssuer = errors.New("want http(s)://host[:port][/path] of plain segments, without query, fragment or user")

// mountPath keeps the issuer's path to what means the same to net/url, to http.ServeMux and in a cookie's Path.
var mountPath = regexp.MustCompile(`^(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*/?$`)

func parseIssuer(issuer string) (*url.URL, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil, fmt.Errorf("parse issuer: %w", errIssuer)
	}
	http := u.Scheme == "http" || u.Scheme == "https"
	if !http || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !mountPath.MatchString(u.Path) {
		return nil, fmt.Errorf("parse issuer: %w", errIssuer)
	}
	if !isLoopback(u.Hostname()) {
		return nil, fmt.Errorf("check issuer %s: %w", u.Host, ErrNotLoopback)
	}
	return u, nil
}

// isLoopback reports whether host, a name or an address without port, can only mean this machine (RFC 6761 §6.3,
// RFC 1122 §3.2.1.3, RFC 4291 §2.5.3).
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// loopbackOnly refuses requests that came from another machine, whatever they say, and those that were addressed to another
// name: a foreign one that somebody points at 127.0.0.1 (DNS rebinding).
func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = strings.Trim(r.Host, "[]")
		}
		if !isLoopback(host) || !fromLoopback(r.RemoteAddr) {
			http.Error(w, ErrNotLoopback.Error(), http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func fromLoopback(remote string) bool {
	addr, err := netip.ParseAddrPort(remote)
	return err == nil && addr.Addr().Unmap().IsLoopback()
}

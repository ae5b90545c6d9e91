package providers

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// samlConfig are the keys of auth.providers.<id>, with or without an environment. idpIssuer, idpMetadata, idpMetadataUrl,
// attributes and dangerouslyAllowIdpInitiated are ours.
type samlConfig struct {
	Common
	// EntryPoint is the provider's address for sign-in requests, LogoutURL that for logout requests.
	EntryPoint string `config:"entryPoint"`
	LogoutURL  string `config:"logoutUrl"`
	// Issuer is our own entity id, Audience what assertions must be meant for; empty means Issuer.
	Issuer   string `config:"issuer,required"`
	Audience string `config:"audience"`
	// Certificates are the provider's signing certificates: PEM, or its base64 alone.
	Certificates []string `config:"cert,list"`
	// IDPIssuer is the provider's entity id.
	IDPIssuer string `config:"idpIssuer"`
	// Metadata is the provider's metadata, MetadataURL where it is; they replace entryPoint, cert, idpIssuer and logoutUrl.
	Metadata    string `config:"idpMetadata"`
	MetadataURL string `config:"idpMetadataUrl"`
	// PrivateKey signs our requests, DecryptionKey opens encrypted assertions. Both are RSA keys in PEM.
	PrivateKey    string `config:"privateKey"`
	DecryptionKey string `config:"decryptionPvk"`
	// SignatureAlgorithm is sha256 or sha512. DigestAlgorithm does nothing: the redirect binding signs an address.
	SignatureAlgorithm string `config:"signatureAlgorithm"`
	DigestAlgorithm    string `config:"digestAlgorithm"`
	// AuthnContext are the classes that are asked for; an empty list asks for none.
	AuthnContext *[]string `config:"authnContext"`
	// NameIDFormat is the form of the name that is asked for.
	NameIDFormat string `config:"identifierFormat"`
	// SkewMS is how far the clocks may be apart, in milliseconds.
	SkewMS *int `config:"acceptedClockSkewMs"`
	// WantResponseSigned and WantAssertionSigned are true unless they are set to false.
	WantResponseSigned  *bool          `config:"wantAuthnResponseSigned"`
	WantAssertionSigned *bool          `config:"wantAssertionsSigned"`
	Attributes          samlAttributes `config:"attributes"`
	// AllowIDPInitiated accepts answers to requests that were never made.
	AllowIDPInitiated bool `config:"dangerouslyAllowIdpInitiated"`
	// Timeout bounds the reading of the metadata; 0 means 10 seconds.
	Timeout time.Duration `config:"timeout"`
}

// samlAttributes name the attributes that make the profile; empty means those of contract/providers.md section 4.
type samlAttributes struct {
	Email       string `config:"email"`
	DisplayName string `config:"displayName"`
	Picture     string `config:"picture"`
	Username    string `config:"username"`
}

// maxSAMLSkew bounds acceptedClockSkewMs.
const maxSAMLSkew = 5 * time.Minute

// checkSource demands one source of what is known of the provider.
func (c samlConfig) checkSource(development bool) error {
	given := 0
	for _, source := range []bool{c.EntryPoint != "" || len(c.Certificates) > 0, c.Metadata != "", c.MetadataURL != ""} {
		if source {
			given++
		}
	}
	switch {
	case given > 1:
		return errors.New("entryPoint with cert, idpMetadata and idpMetadataUrl exclude each other")
	case c.MetadataURL != "":
		return c.checkMetadataURL(development)
	case c.Metadata != "":
		return nil
	case c.EntryPoint == "" || len(c.Certificates) == 0:
		return errors.New("entryPoint and cert are required, or idpMetadata, or idpMetadataUrl")
	}
	err := checkAddress("entryPoint", c.EntryPoint)
	if c.LogoutURL != "" {
		err = errors.Join(err, checkAddress("logoutUrl", c.LogoutURL))
	}
	return err
}

// checkMetadataURL refuses to take keys from the open network.
func (c samlConfig) checkMetadataURL(development bool) error {
	if !isEndpoint(c.MetadataURL, !development) {
		return errors.New("idpMetadataUrl is not an https address: signing keys would come from the open network")
	}
	return nil
}

func (c samlConfig) checkAlgorithms() error {
	var errs []error
	for _, a := range []struct{ key, value string }{
		{"signatureAlgorithm", c.SignatureAlgorithm}, {"digestAlgorithm", c.DigestAlgorithm},
	} {
		if !slices.Contains([]string{"", "sha256", "sha512"}, a.value) {
			errs = append(errs, fmt.Errorf("%s is neither sha256 nor sha512", a.key))
		}
	}
	return errors.Join(errs...)
}

func (c samlConfig) checkStrictness() error {
	var errs []error
	if !c.wantsResponse() && !c.wantsAssertion() {
		errs = append(errs, errors.New("wantAuthnResponseSigned and wantAssertionsSigned cannot both be false"))
	}
	if c.SkewMS != nil && (*c.SkewMS < 0 || *c.SkewMS > int(maxSAMLSkew.Milliseconds())) {
		errs = append(errs, fmt.Errorf("acceptedClockSkewMs is not between 0 and %d; times are always checked", maxSAMLSkew.Milliseconds()))
	}
	if c.Timeout < 0 {
		errs = append(errs, errors.New("timeout is negative"))
	}
	return errors.Join(errs...)
}

func (c samlConfig) wantsResponse() bool { return c.WantResponseSigned == nil || *c.WantResponseSigned }

func (c samlConfig) wantsAssertion() bool {
	return c.WantAssertionSigned == nil || *c.WantAssertionSigned
}
func (c samlConfig) audience() string { return cmp.Or(c.Audience, c.Issuer) }

// skew is how far the clocks may be apart.
//
// Differs from Backstage: without the key it is a minute and not nothing.
func (c samlConfig) skew() time.Duration {
	if c.SkewMS == nil {
		return clockSkew
	}
	return time.Duration(*c.SkewMS) * time.Millisecond
}

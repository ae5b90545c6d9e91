// Part of /playground.js: a token read, and verified as every Backstage backend does.

const ecdsa = (namedCurve, hash) => ({ name: 'ECDSA', namedCurve, hash });
const pkcs1 = (hash) => ({ name: 'RSASSA-PKCS1-v1_5', hash });
const pss = (hash, saltLength) => ({ name: 'RSA-PSS', hash, saltLength });

/** The JWS algorithms (RFC 7518 section 3.1, RFC 8037) in the words of WebCrypto. */
const algorithms = new Map(Object.entries({
  ES256: ecdsa('P-256', 'SHA-256'), ES384: ecdsa('P-384', 'SHA-384'), ES512: ecdsa('P-521', 'SHA-512'),
  RS256: pkcs1('SHA-256'), RS384: pkcs1('SHA-384'), RS512: pkcs1('SHA-512'),
  PS256: pss('SHA-256', 32), PS384: pss('SHA-384', 48), PS512: pss('SHA-512', 64),
  EdDSA: { name: 'Ed25519' },
}));

const bytes = (base64url) =>
  Uint8Array.from(atob(base64url.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0));

const decodePart = (part) => JSON.parse(new TextDecoder().decode(bytes(part)));

/** Header and claims of a compact JWS (RFC 7515 section 3.1), unverified. Throws if it is none. */
function decode(token) {
  const [header, claims] = token.split('.');
  return { header: decodePart(header), claims: decodePart(claims) };
}

/** The key that the header names. The browser's cached set is enough unless the key is newer than that. */
async function findKey(header) {
  for (const cache of ['default', 'reload']) {
    const { keys = [] } = await call('/.well-known/jwks.json', { cache }) ?? {};
    const key = keys.find(({ kid }) => kid === header.kid);
    if (key) return key;
  }
  return null;
}

/** Checks the signature against the server's key set. state is "valid", "invalid", or "unknown" where it cannot be told. */
async function verify(token, header) {
  const algorithm = algorithms.get(header.alg);
  if (!algorithm) return { state: 'invalid', text: `Signature not valid: the algorithm ${header.alg} is not accepted` };
  if (!globalThis.crypto?.subtle) return { state: 'unknown', text: 'Signature not checked: the browser does so on https and localhost only' };
  const key = await findKey(header);
  if (!key) return { state: 'invalid', text: `Signature not valid: the key set has no key ${header.kid}` };
  if (key.alg !== header.alg) return { state: 'invalid', text: `Signature not valid: key ${header.kid} is for ${key.alg}` };
  const [head, claims, signature] = token.split('.');
  // Only the members that make the public key: use, alg and key_ops differ between servers and browsers.
  const { kty, crv, x, y, n, e } = key;
  const publicKey = await crypto.subtle.importKey('jwk', { kty, crv, x, y, n, e }, algorithm, false, ['verify']);
  const valid = await crypto.subtle.verify(algorithm, publicKey, bytes(signature), new TextEncoder().encode(`${head}.${claims}`));
  return valid
    ? { state: 'valid', text: `Signature valid: ${header.alg} by key ${header.kid}` }
    : { state: 'invalid', text: `Signature not valid: it does not match this token and key ${header.kid}` };
}

/** The verdict on a token whose verification threw: unknown if that is the network's or the browser's doing. */
function notVerified(error) {
  return error instanceof Failure || error.name === 'NotSupportedError'
    ? { state: 'unknown', text: `Signature not checked: ${error.message || 'this browser does not know the algorithm'}` }
    : { state: 'invalid', text: 'Signature not valid: token or key is malformed' };
}

/** What a verifier looks at beside the signature, as [passed, text]. */
const claimChecks = (header, claims, userEntityRef) => [
  [header.typ === 'vnd.backstage.user', `type ${header.typ}`],
  [claims.iss === api, `issuer ${claims.iss}`],
  [claims.aud === 'backstage', `audience ${claims.aud}`],
  [claims.sub === userEntityRef, `subject ${claims.sub}`],
  [claims.exp * 1000 > Date.now(), `expires ${new Date(claims.exp * 1000).toLocaleString()}`],
];

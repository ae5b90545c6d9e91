// Part of /playground.js: the sign-in API as a browser uses it, and what this browser remembers.
//
// Nothing is remembered but the provider last used: the session itself stays in the server's HttpOnly cookie, and tokens
// live in the memory of the page.

/** @typedef {{id: string, type: string, title: string, environments: string[], flows: string[]}} Provider */
/** @typedef {{provider: string, env?: string, proxied: boolean}} Login which session of this browser is meant */

const api = new URL(document.documentElement.dataset.base, location.href).href.replace(/\/+$/, '');
const apiOrigin = new URL(api).origin;

/** What went wrong, as the page shows it: the members of a Backstage error, with our code and attempt id if there are. */
class Failure extends Error {
  constructor({ name, message, code, attemptId }) {
    super(message || 'No reason was given.');
    Object.assign(this, { name: name || 'Error', code, attemptId });
  }
}

/** A query string as Backstage front ends write it: true is a bare name, undefined is left out. */
const query = (values) => Object.entries(values)
  .filter(([, value]) => value !== undefined)
  .map(([name, value]) => (value === true ? name : `${name}=${encodeURIComponent(value)}`))
  .join('&');

/** Calls the API and returns its JSON, or undefined for an empty body. Throws a Failure for everything else. */
async function call(path, init = {}) {
  let response, text;
  try {
    // A form of another site cannot send this header, which is why the server asks for it.
    response = await fetch(api + path, { headers: { 'X-Requested-With': 'XMLHttpRequest' }, credentials: 'include', ...init });
    text = await response.text();
  } catch {
    throw new Failure({ name: 'NetworkError', message: 'The server did not answer.' });
  }
  const body = parse(text);
  if (!response.ok || body?.error) {
    throw new Failure(body?.error ?? { name: `HTTP ${response.status}`, message: 'The server answered without a reason.' });
  }
  return body;
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const path = (login, operation, values) => `/${encodeURIComponent(login.provider)}/${operation}?${query(values)}`;

const startURL = (login, values) => api + path(login, 'start', { scope: '', origin: location.origin, env: login.env, ...values });

/** Refreshes in flight: whoever asks again meanwhile gets the same answer. */
const inFlight = new Map();

/** The session of login, or with optional also null, where nobody is signed in. */
function refresh(login, { optional } = {}) {
  const key = JSON.stringify([login.provider, login.env]);
  if (!inFlight.has(key)) {
    // Proxied providers authenticate each request by its headers, so they know neither environment nor scope.
    const values = login.proxied ? {} : { optional, scope: '', env: login.env };
    const request = call(path(login, 'refresh', values));
    inFlight.set(key, request.finally(() => inFlight.delete(key)));
  }
  return inFlight.get(key).then((session) => (session?.profile || session?.backstageIdentity ? session : null));
}

/** Opens the login page in a popup and waits for the message of its last page. */
function signInByPopup(login) {
  const left = screenX + (outerWidth - 450) / 2;
  const top = screenY + (outerHeight - 730) / 2;
  const popup = open(startURL(login, { flow: 'popup' }), '_blank', `popup,width=450,height=730,left=${left},top=${top}`);
  if (!popup) {
    throw new Failure({
      name: 'PopupBlockedError',
      message: 'The browser blocked the popup. Allow popups for this page, or sign in by redirect.',
    });
  }
  view.cancel.onclick = () => popup.close();
  return new Promise((resolve, reject) => awaitResult(popup, resolve, reject));
}

function awaitResult(popup, resolve, reject) {
  let closed = 'Login failed, popup was closed';
  const settle = (settler, value) => {
    clearInterval(watch);
    removeEventListener('message', receive);
    settler(value);
  };
  const receive = (event) => {
    // Any window may send messages here: only those of our popup count, and only while it shows a page of the API.
    if (event.source !== popup || event.origin !== apiOrigin) return;
    const { type, targetOrigin, response, error } = event.data ?? {};
    if (type === 'config_info' && targetOrigin !== location.origin) {
      closed = `Login failed, Incorrect app origin, expected ${targetOrigin}`;
    }
    if (type !== 'authorization_response') return;
    if (error || !response) settle(reject, new Failure(error ?? {}));
    else settle(resolve, response);
  };
  const watch = setInterval(() => {
    if (!popup.closed) return;
    clearInterval(watch);
    // A message posted just before the window closed may still be under way.
    setTimeout(() => settle(reject, new Failure({ name: 'PopupClosedError', message: closed })), 200);
  }, 100);
  addEventListener('message', receive);
}

const rememberedKey = 'stagedoor.playground.login';
const redirectingKey = 'stagedoor.playground.redirecting';

const remember = (login) => localStorage.setItem(rememberedKey, JSON.stringify(login));
const forget = () => localStorage.removeItem(rememberedKey);
const remembered = () => parse(localStorage.getItem(rememberedKey) ?? '');

function signInByRedirect(login) {
  remember(login);
  sessionStorage.setItem(redirectingKey, 'yes');
  location.assign(startURL(login, { redirectUrl: location.href, flow: 'redirect' }));
}

/**
 * Takes the outcome of a redirect flow out of the address bar and returns its Failure, if it is one. Only a tab that began
 * such a flow is told about errors, or else anybody's link could put words in this page's mouth.
 */
function takeRedirectFailure() {
  const url = new URL(location.href);
  const message = url.searchParams.get('error');
  const code = url.searchParams.get('error_code');
  const attemptId = url.searchParams.get('attempt_id');
  url.searchParams.delete('error');
  url.searchParams.delete('error_code');
  url.searchParams.delete('attempt_id');
  if (url.href !== location.href) history.replaceState(null, '', url);
  const expected = sessionStorage.getItem(redirectingKey);
  sessionStorage.removeItem(redirectingKey);
  return expected && message !== null ? new Failure({ message, code, attemptId }) : null;
}

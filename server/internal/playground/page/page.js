// Part of /playground.js: what the page shows and what a user can do. All that arrives from outside becomes text, never markup.

/** Every element with an id, by that id in camel case. */
const view = Object.fromEntries([...document.querySelectorAll('[id]')]
  .map((element) => [element.id.replace(/-(.)/g, (_, char) => char.toUpperCase()), element]));

/** What is shown: the login, its session, and when (ms since the epoch) that arrived; null while nobody is signed in. */
let current = null;

function create(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const show = (element, visible) => { element.hidden = !visible; };
const pretty = (value) => JSON.stringify(value, null, 2);

function showFailure(failure) {
  const facts = [['Error', failure.name], ['Code', failure.code], ['Attempt', failure.attemptId]].filter(([, value]) => value);
  view.error.replaceChildren(
    create('p', { id: 'error-message', textContent: failure.message }),
    create('dl', {}, ...facts.flatMap(([name, value]) => [
      create('dt', { textContent: name }), create('dd', { id: `error-${name.toLowerCase()}`, textContent: value }),
    ])),
  );
  show(view.error, true);
  view.error.scrollIntoView({ block: 'nearest' });
}

/** Runs a user's action: clears the last failure, says what is going on, and shows the failure that it ends with. */
async function act(doing, action) {
  show(view.error, false);
  view.status.textContent = doing;
  try {
    await action();
  } catch (failure) {
    showFailure(failure);
  }
  view.status.textContent = current ? `Signed in with ${title(current.login)}.` : 'Nobody is signed in.';
}

/** @type {Provider[]} */
let providers = [];

const title = (login) => providers.find(({ id }) => id === login.provider)?.title ?? login.provider;

const labels = { popup: 'Popup', redirect: 'Redirect', proxied: 'Sign in' };

/** @param {Provider} provider */
function providerCard(provider) {
  const logins = loginsOf(provider);
  const select = create('select', { id: `provider-${provider.id}-env` }, ...logins.map(({ env }) => create('option', { textContent: env })));
  const label = create('label', { hidden: logins.length < 2 }, 'Environment ', select);
  const buttons = provider.flows.filter((flow) => labels[flow]).map((flow, index) => {
    const suffix = flow === 'proxied' ? 'signin' : flow;
    const button = create('button', { type: 'button', id: `provider-${provider.id}-${suffix}`, textContent: labels[flow] });
    button.classList.toggle('primary', index === 0);
    button.ariaLabel = flow === 'proxied' ? `Sign in with ${provider.title}` : `${labels[flow]}: sign in with ${provider.title}`;
    button.onclick = () => signIn(flow, logins[select.selectedIndex]);
    return button;
  });
  const name = create('h3', { textContent: provider.title });
  return create('li', { className: 'card provider' }, name, create('code', { textContent: provider.type }), label,
    create('div', { className: 'actions' }, ...buttons));
}

/** @param {Provider} provider @returns {Login[]} what a user may sign in to, one for each environment */
function loginsOf({ id, environments, flows }) {
  if (flows.includes('proxied')) return [{ provider: id, proxied: true }];
  const names = environments.length > 0 ? environments : ['development'];
  return names.map((env) => ({ provider: id, proxied: false, env }));
}

function showSession(login, session) {
  current = { login, session, received: Date.now() };
  remember(login);
  show(view.empty, false);
  show(view.signedIn, true);
  showPerson();
  view.session.textContent = pretty(session);
  showToken();
  tick();
}

function showPerson() {
  const { login, session: { profile = {}, backstageIdentity } } = current;
  const { userEntityRef, ownershipEntityRefs = [] } = backstageIdentity?.identity ?? {};
  const name = profile.displayName || profile.email || userEntityRef || 'Somebody';
  view.whoName.textContent = name;
  view.whoEmail.textContent = profile.email ?? '';
  view.whoProvider.textContent = login.env ? `${login.provider} (${login.env})` : login.provider;
  view.whoEntity.textContent = userEntityRef ?? 'none: this provider is not configured to support sign-in';
  const owners = ownershipEntityRefs.map((ref) => create('code', { textContent: ref }));
  view.whoOwnership.replaceChildren(...(owners.length > 0 ? owners : ['none']));
  showPicture(name, profile.picture);
}

/** The picture if there is one that this page may load, else the person's initial. */
function showPicture(name, picture) {
  const url = URL.parse(picture ?? '', location.href);
  const initial = create('span', { textContent: [...name][0].toUpperCase() });
  view.whoPicture.replaceChildren(initial);
  if (!picture || !url || !(['https:', 'data:'].includes(url.protocol) || url.origin === location.origin)) return;
  const image = create('img', { alt: '', src: url.href });
  image.onload = () => initial.isConnected && view.whoPicture.replaceChildren(image);
}

async function showToken() {
  const shown = current;
  const identity = shown.session.backstageIdentity;
  show(view.token, Boolean(identity?.token));
  if (!identity?.token) return;
  view.checks.replaceChildren();
  showSignature({ state: 'pending', text: 'Checking the signature…' });
  const verdict = await inspect(identity).catch(notVerified);
  // Another session may have taken the place of this one meanwhile.
  if (shown === current) showSignature(verdict);
}

async function inspect({ token, identity }) {
  const { header, claims } = decode(token);
  view.tokenHeader.textContent = pretty(header);
  view.tokenClaims.textContent = pretty(claims);
  const checks = claimChecks(header, claims, identity?.userEntityRef);
  view.checks.replaceChildren(...checks.map(([passed, text]) => create('li', { className: passed ? 'ok' : 'bad', textContent: text })));
  return verify(token, header);
}

function showSignature({ state, text }) {
  view.signature.dataset.state = state;
  view.signature.textContent = text;
}

function tick() {
  if (!current) return;
  const { session: { backstageIdentity, providerInfo }, received } = current;
  const passed = Math.floor((Date.now() - received) / 1000);
  showExpiry(view.identityExpiry, backstageIdentity, passed);
  showExpiry(view.providerExpiry, providerInfo, passed);
}

function showExpiry(element, holder, passed) {
  const [text, state = ''] = expiry(holder, passed);
  element.textContent = text;
  element.dataset.state = state;
}

/** How long a token still lives, passed seconds after it came; a client renews one with less than three minutes. */
function expiry(holder, passed) {
  if (!holder) return ['none'];
  if (holder.expiresInSeconds === undefined) return ['no end given'];
  const left = holder.expiresInSeconds - passed;
  if (left <= 0) return ['expired', 'expired'];
  return left > 180 ? [`${duration(left)} left`] : [`${duration(left)} left, time to refresh`, 'stale'];
}

function duration(seconds) {
  const hours = Math.floor(seconds / 3600);
  return `${hours > 0 ? `${hours} h ` : ''}${Math.floor(seconds / 60) % 60} min ${Math.floor(seconds % 60)} s`;
}

function signIn(flow, login) {
  return act(flow === 'popup' ? 'Waiting for the popup…' : 'Signing in…', async () => {
    if (flow === 'redirect') return signInByRedirect(login);
    view.providers.inert = true;
    show(view.cancel, flow === 'popup');
    try {
      showSession(login, await (flow === 'popup' ? signInByPopup(login) : refreshed(login)));
      view.whoName.focus();
    } finally {
      show(view.cancel, false);
      view.providers.inert = false;
    }
  });
}

/** The session of login, where having none is a failure. */
async function refreshed(login) {
  const session = await refresh(login);
  if (!session) throw new Failure({ name: 'SessionError', message: 'The server answered without a session.' });
  return session;
}

async function renew() {
  const { login } = current;
  try {
    const session = await refreshed(login);
    // Signed out or signed in elsewhere meanwhile: then this answer is about the past.
    if (current?.login === login) showSession(login, session);
  } catch (failure) {
    // A passing fault leaves the session as it was; only the server knows whether this was one.
    if (!login.proxied && await refresh(login, { optional: true }).catch(() => current) === null) leave();
    throw failure;
  }
}

async function signOut() {
  const { login } = current;
  // Nothing is kept on the server for a proxied provider, so there is nothing to end.
  const answer = login.proxied ? null : await call(path(login, 'logout', { env: login.env }), { method: 'POST' });
  leave();
  const next = URL.parse(answer?.logoutUrl ?? '');
  if (next && (next.protocol === 'https:' || next.hostname === 'localhost')) location.assign(next);
}

function leave() {
  current = null;
  forget();
  show(view.signedIn, false);
  show(view.empty, true);
  view.emptyTitle.focus();
}

/** Finds the session that this browser already has: the last one used, else any. */
async function restore() {
  const logins = providers.flatMap(loginsOf);
  const last = logins.find((login) => login.provider === remembered()?.provider && login.env === remembered()?.env);
  if (last) {
    const session = await refresh(last, { optional: true });
    if (session) return showSession(last, session);
  }
  forget();
  // Nobody asked for the others, so their failures are not news, and none of them signs anybody in.
  const candidates = logins.filter(({ proxied }) => !proxied);
  const sessions = await Promise.all(candidates.map((login) => refresh(login, { optional: true }).catch(() => null)));
  const found = sessions.findIndex(Boolean);
  if (found >= 0) showSession(candidates[found], sessions[found]);
}

async function start() {
  if (apiOrigin !== location.origin) {
    view.status.replaceChildren('This page can only talk to its own origin. Open it at ', create('a', { href: apiOrigin, textContent: apiOrigin }), '.');
    return;
  }
  view.refresh.onclick = () => act('Refreshing…', renew);
  view.signout.onclick = () => act('Signing out…', signOut);
  setInterval(tick, 1000);
  const failure = takeRedirectFailure();
  await act('Looking for a session…', async () => {
    ({ providers } = await call('/v1/providers'));
    view.providers.replaceChildren(...providers.map(providerCard));
    if (providers.length === 0) view.providers.append(create('li', { className: 'card', textContent: 'No provider is configured.' }));
    await restore();
    if (failure) throw failure;
  });
}

await start();

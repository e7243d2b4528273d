// window.bespoke: what the visitor decided, for the site's own pages. Each call
// returns a promise; one that fails rejects with an Error that carries the
// problem (RFC 9457) that the edge answered: status, title, detail, code.
(() => {
  'use strict';
  const call = async (method, what, body) => {
    const json = body !== undefined;
    const r = await fetch('/_bespoke/api/' + what, {
      method, credentials: 'same-origin', cache: 'no-store',
      headers: json ? { 'Content-Type': 'application/json' } : {},
      body: json ? JSON.stringify(body) : undefined,
    });
    const answer = await r.json().catch(() => ({ title: r.statusText, status: r.status }));
    if (!r.ok) throw Object.assign(new Error(answer.detail || answer.title), answer);
    return answer;
  };
  // where() reads the place; a name, or {lat, lon}, sets it; null makes it automatic.
  const place = (where) => {
    if (where === undefined) return call('GET', 'place');
    if (where === null) return call('DELETE', 'place');
    return call('PUT', 'place', { mode: 'chosen', ...(typeof where === 'string' ? { name: where } : where) });
  };
  // place.exact() asks the browser, which asks the visitor. It needs the purpose locate.
  place.exact = () => new Promise((done, fail) => navigator.geolocation.getCurrentPosition(
    ({ coords }) => call('PUT', 'place', { mode: 'exact', lat: coords.latitude, lon: coords.longitude }).then(done, fail),
    fail, { timeout: 20000 }));
  window.bespoke = Object.freeze({
    choice: () => call('GET', 'choice'),
    choose: (purposes) => call('PATCH', 'choice', purposes),
    preferences: () => call('GET', 'preferences'),
    prefer: (some) => call('PATCH', 'preferences', some),
    profile: () => call('GET', 'profile'),
    erase: () => call('DELETE', 'profile'),
    place,
    event: (kind, item) => navigator.sendBeacon('/_bespoke/api/events', JSON.stringify({ kind, item })),
    hide: (...hide) => call('PATCH', 'hidden', { hide }),
    show: (...show) => call('PATCH', 'hidden', { show }),
  });
})();

// Keeps a page true while batches run: a long poll says that something changed, then the page is fetched
// again and only what differs is put in place. Without this script the page is a plain document.

import { keepAsking } from "./drawings.js";

const live = document.getElementById("live");
const connection = document.getElementById("connection");
const announce = document.getElementById("announce");
const POLL_S = 15; // less than a proxy in front waits for an answer
const LEAST_PAUSE_MS = 1000;
const LARGEST_SHARE = 8; // a page that takes long to make is made less often: this many times its own time apart
const leaving = new AbortController();

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

function visible() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
}

function localTimes(root) {
  const form = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.title = time.dateTime;
    time.textContent = form.format(new Date(time.dateTime));
  }
}

// Make `old` like `fresh` and keep every node that need not change, so that focus, scroll and images stay.
function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const keyed = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  let place = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    let match = child.id ? keyed.get(child.id) : null;
    if (!match && !child.id && place && !place.id && place.nodeName === child.nodeName) match = place;
    if (!match) {
      old.insertBefore(child, place);
      continue;
    }
    if (match === place) place = place.nextSibling;
    else old.insertBefore(match, place);
    if (match.nodeType === Node.ELEMENT_NODE) morph(match, child);
    else if (match.nodeValue !== child.nodeValue) match.nodeValue = child.nodeValue;
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" }, signal: leaving.signal });
  if (answer.redirected) return location.reload(); // the session has ended
  if (answer.status === 404) return location.reload(); // deleted meanwhile
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("live");
  localTimes(fresh);
  morph(live, fresh);
  const said = live.dataset.say || "";
  if (announce.textContent !== said) announce.textContent = said;
}

// Resolves when the watched batch has changed, or when its answer was held for as long as was asked.
async function changed() {
  const { poll, etag, idle } = live.dataset;
  if (!poll) return pause(1000 * Number(idle));
  const answer = await fetch(`${poll}?wait=${POLL_S}`, {
    headers: { "If-None-Match": etag },
    signal: leaving.signal,
  });
  if (answer.status >= 400 && answer.status !== 404 && answer.status !== 401) {
    throw new Error(`status ${answer.status}`);
  }
}

function connected(is, seconds) {
  connection.hidden = is;
  connection.textContent = is ? "" : `The service can't be reached. Next try in ${seconds} s.`;
}

async function watch() {
  let failures = 0;
  while (live.dataset.poll || live.dataset.idle) {
    await visible();
    const began = performance.now();
    let rest = LEAST_PAUSE_MS;
    try {
      await changed();
      const asked = performance.now();
      await refresh();
      rest = Math.max(rest, LARGEST_SHARE * (performance.now() - asked));
      failures = 0;
      connected(true);
    } catch (error) {
      if (leaving.signal.aborted) return;
      failures += 1;
      const seconds = Math.min(30, 2 ** failures);
      connected(false, seconds);
      await pause(1000 * seconds);
    }
    await pause(Math.max(0, rest - (performance.now() - began)));
  }
}

keepAsking(live);
live.addEventListener("submit", (event) => {
  const question = event.target.dataset.ask;
  if (question && !confirm(question)) event.preventDefault();
});
addEventListener("pagehide", () => leaving.abort());
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
localTimes(document);
watch();

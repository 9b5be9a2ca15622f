import { showAlerts } from "./alerts.js";
import { get, useKey } from "./api.js";
import { Detail } from "./detail.js";
import { age, milliseconds, second } from "./format.js";
import { alerts, Live } from "./live.js";
import { MarginTable } from "./table.js";
import { WhatIf } from "./whatif.js";

const byId = (id) => document.getElementById(id);
const ALERTS_MS = 5000;
const MONITOR_MS = 15000;
const SAID = {
  connecting: "Connecting",
  live: "Live",
  polling: "No stream; asking every 5 s",
  lost: "Connection lost",
  refused: "Refused; an API key is needed",
};

const quotes = new Map();
let skew = 0; // the service's clock less this one's, ms: ages are the service's
let known = 0; // when the service was last heard, ms of its clock
let connected = false;

const now = () => Date.now() + skew;
const detail = new Detail();
const whatIf = new WhatIf();
const table = new MarginTable({
  head: byId("margins-head"),
  body: byId("margins-body"),
  select: byId("sort"),
  said: byId("sorted"),
  chosen: (name) => {
    choose(name);
    byId("detail").scrollIntoView({ block: "nearest" });
  },
});

function choose(name) {
  table.selected = name;
  detail.choose(name);
  show();
  monitor();
}

function take(list, whole) {
  known = now();
  if (whole) {
    const names = new Set(list.map((quote) => quote.instrument));
    for (const name of quotes.keys()) if (!names.has(name)) quotes.delete(name);
  }
  for (const quote of list) {
    const held = quotes.get(quote.instrument);
    // A poll that was overtaken by the stream must not bring back an older quote.
    if (!held || quote.quoted_at >= held.quoted_at) quotes.set(quote.instrument, quote);
  }
  whatIf.instruments([...quotes.keys()].sort());
  if (!quotes.has(table.selected) && quotes.size) choose([...quotes.keys()].sort()[0]);
  show();
}

function show() {
  table.show(quotes, now());
  const quote = quotes.get(table.selected);
  if (quote) detail.quote(quote, now());
}

function state(name, why) {
  connected = name === "live" || name === "polling";
  const place = byId("connection");
  if (place.dataset.state !== name) {
    place.dataset.state = name;
    byId("connection-text").textContent = SAID[name];
  }
  if (name === "refused") byId("key").open = true;
  const banner = byId("lost");
  banner.hidden = connected;
  const said = quotes.size
    ? `${SAID[name]} (${why}). What is shown was last heard ${second(known)}; it is not live.`
    : `${SAID[name]} (${why}). Nothing has been heard yet.`;
  if (!connected && banner.textContent !== said) banner.textContent = said;
  document.body.classList.toggle("unconnected", !connected);
}

async function watchAlerts() {
  try {
    const sent = Date.now();
    const answer = await alerts();
    const heard = Date.now();
    skew = milliseconds(answer.now) - (sent + heard) / 2;
    showAlerts(byId("alerts"), answer.alerts);
  } catch {
    const place = byId("alerts");
    delete place.dataset.signature;
    if (place.textContent !== LOST_ALERTS) place.replaceChildren(quietly(LOST_ALERTS));
  }
  setTimeout(watchAlerts, ALERTS_MS);
}

const LOST_ALERTS = "Alerts cannot be read at the moment.";
function quietly(text) {
  const element = document.createElement("p");
  element.className = "quiet";
  element.textContent = text;
  return element;
}

async function monitor() {
  const name = table.selected;
  if (!name) return;
  try {
    detail.take(name, await get(`v1/monitor/${encodeURIComponent(name)}`));
  } catch {
    // The last series stays; the banner says that it is not live.
  }
}

function tick() {
  byId("clock").textContent = second(now()).slice(11);
  byId("clock").dateTime = new Date(now()).toISOString();
  byId("clock").title = known ? `last heard ${age((now() - known) / 1000)} ago` : "";
  show();
}

function themes() {
  const select = byId("theme");
  const set = (value) => { document.documentElement.dataset.theme = value; };
  try {
    select.value = localStorage.getItem("theme") ?? "auto";
  } catch { /* no storage: as the system */ }
  set(select.value);
  select.addEventListener("change", () => {
    set(select.value);
    try {
      localStorage.setItem("theme", select.value);
    } catch { /* it holds until the page is closed */ }
  });
}

themes();
const live = new Live({ quotes: take, state });
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey(byId("key-input").value);
  byId("key").open = false;
  live.retry();
});
live.start();
watchAlerts();
setInterval(tick, 1000);
setInterval(monitor, MONITOR_MS);
tick();

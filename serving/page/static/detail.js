// One instrument: what its margin rests on, how it has held, what is expected.

import { breached, Chart, pointsOf, runs } from "./chart.js";
import { age, bps, count, make, milliseconds, moment, percent, UNKNOWN, words } from "./format.js";
import { ageOf, chip, statusOf } from "./table.js";

const LEGEND = [["margin", "Predictive margin"], ["reactive", "Reactive margin"], ["loss", "Realised loss"], ["breach", "Loss above the margin"]];
const NEWEST = 200; // rows of the table; more help nobody, and the service has them all
const byId = (id) => document.getElementById(id);

export class Detail {
  constructor() {
    this.chart = new Chart({ svg: byId("chart"), cursor: byId("cursor"), readout: byId("readout"), summary: byId("chart-summary"), note: byId("chart-note") });
    for (const [kind, text] of LEGEND) byId("legend").append(make("li", kind, make("span", "swatch"), text));
    for (const radio of document.querySelectorAll("input[name=side]")) radio.addEventListener("change", () => this.redraw());
    byId("numbers").addEventListener("toggle", () => this.table());
  }

  get side() {
    return document.querySelector("input[name=side]:checked").value;
  }

  choose(name) {
    this.name = name;
    this.monitor = null;
    byId("detail").hidden = false;
    byId("detail-title").textContent = name;
    this.redraw();
  }

  // What the service knows of how the margins have held; null if it could not be read.
  take(name, monitor) {
    if (name !== this.name) return;
    this.monitor = monitor;
    this.redraw();
  }

  quote(quote, now) {
    this.quoted = quote;
    const made = quote.calculation;
    const facts = [
      ["Status", chip(statusOf(quote, now))],
      ["Basis", words(quote.basis)],
      ["Age", age(ageOf(quote, now))],
      ["Margin, long and short", `${bps(quote.long.initial_margin_bps)} and ${bps(quote.short.initial_margin_bps)}`],
      ["Maintenance", `${bps(quote.long.maintenance_margin_bps)} and ${bps(quote.short.maintenance_margin_bps)}`],
      ["Volatility over the horizon", made ? `${percent(made.sigma)} (90 %: ${percent(made.sigma_lower)} to ${percent(made.sigma_upper)})` : UNKNOWN],
      ["Regime", chip(made?.regime ?? "unknown")],
      ["Good until", moment(milliseconds(quote.valid_until))],
    ];
    if (quote.reason) facts.push(["Why not better", quote.reason]);
    if (made?.model) facts.push(["Model", made.model]);
    fill(byId("facts"), facts);
    this.stress(made);
    this.parts(quote);
  }

  redraw() {
    const monitor = this.monitor;
    const points = monitor ? pointsOf(monitor.series, this.side) : [];
    this.points = points;
    this.chart.show(points, {
      name: this.name,
      side: this.side,
      period: monitor?.period_s ? 1000 * monitor.period_s : undefined,
      horizon: monitor?.horizon_periods,
    });
    this.table();
    this.coverage(monitor);
    this.kept(monitor);
  }

  table() {
    if (!byId("numbers").open) return;
    const table = make("table", "", make("caption", "visually-hidden", `${this.name}, ${this.side}: margins and the losses that followed, newest first`));
    table.append(headRow(["Quoted from (UTC)", "Margin", "Reactive", "Loss", "Above the margin"]));
    const body = make("tbody");
    const all = runs(this.points, this.chart.period);
    const newest = [];
    for (const run of all.toReversed()) {
      if (newest.length) newest.push(null);
      newest.push(...run.toReversed());
    }
    for (const point of newest.slice(0, NEWEST)) {
      if (!point) {
        const cell = make("td", "gap-row", "no data");
        cell.colSpan = 5;
        body.append(make("tr", "", cell));
        continue;
      }
      const first = make("th", "", moment(point.time));
      first.scope = "row";
      const cells = [bps(point.margin), bps(point.reactive), bps(point.loss)].map((text) => make("td", "number", text));
      body.append(make("tr", "", first, ...cells, make("td", "", point.loss === null ? "not known yet" : breached(point) ? "yes" : "no")));
    }
    table.append(body);
    byId("numbers-body").replaceChildren(table);
  }

  coverage(monitor) {
    const place = byId("coverage");
    if (!monitor?.coverage.length) {
      place.replaceChildren(make("p", "quiet", "No margin has been judged by its loss yet."));
      return;
    }
    place.replaceChildren(...monitor.coverage.map(gauge));
  }

  // From when on the statistics know everything; read out only when it changes.
  kept(monitor) {
    const said = monitor ? keptSince(monitor) : "";
    if (byId("kept").textContent !== said) byId("kept").textContent = said;
  }

  stress(made) {
    const rows = [["Market stress over the horizon", made?.stress_probability], ["Liquidity stress over the horizon", made?.liquidity_stress_probability]];
    byId("stress").replaceChildren(...rows.map(([title, value]) => {
      const known = typeof value === "number";
      const text = make("p", "bar-text", make("span", "", title), make("strong", "", known ? percent(value, 1) : "not forecast by this rung"));
      return known ? make("div", "gauge", text, bar([["fill", value]], [])) : make("div", "gauge", text);
    }));
  }

  parts(quote) {
    const names = [...new Set([...Object.keys(quote.long.components), ...Object.keys(quote.short.components)])];
    const table = make("table", "", make("caption", "visually-hidden", "Parts of the initial margin, percent of notional"), headRow(["Part", "Long", "Short"]));
    const body = make("tbody");
    for (const name of names) body.append(row(words(name), quote.long.components[name], quote.short.components[name]));
    const total = row("Initial margin", quote.long.initial_margin_bps, quote.short.initial_margin_bps);
    total.className = "total";
    body.append(total);
    table.append(body);
    const bound = [...new Set([...quote.long.bound, ...quote.short.bound])];
    byId("parts").replaceChildren(table, ...(bound.length ? [make("p", "note", `Held by: ${bound.map(words).join(", ")}.`)] : []));
  }
}

function row(title, ...values) {
  const first = make("th", "", title);
  first.scope = "row";
  return make("tr", "", first, ...values.map((value) => make("td", "number", bps(value, 3))));
}

export function headRow(titles) {
  const cells = titles.map((title, i) => {
    const cell = make("th", i ? "number" : "", title);
    cell.scope = "col";
    return cell;
  });
  return make("thead", "", make("tr", "", ...cells));
}

function fill(list, facts) {
  list.replaceChildren(...facts.map(([term, value]) => make("div", "", make("dt", "", term), make("dd", "", value))));
}

// Bars and ticks from 0 to 1; the text beside it says the same.
function bar(fills, ticks) {
  const element = make("div", "bar");
  element.setAttribute("aria-hidden", "true");
  for (const [kind, share] of fills) {
    const part = make("span", kind);
    part.style.width = `${100 * Math.min(1, Math.max(0, share))}%`;
    element.append(part);
  }
  for (const share of ticks) {
    const tick = make("span", "tick");
    tick.style.left = `${100 * share}%`;
    element.append(tick);
  }
  return element;
}

function keptSince({ since, anew, catching_up: catchingUp }) {
  const from = typeof since === "number" ? `Statistics of all instruments are kept since ${moment(milliseconds(since))}.` : "";
  const lost = anew ? `What was before is lost: ${anew}.` : "";
  const behind = catchingUp ? "The journal is still being read: they are of the past." : "";
  return [from, lost, behind].filter(Boolean).join(" ");
}

// Margins are too low where losses are above them too often; too high where that is too rare.
function verdict({ alarmed, high }) {
  if (alarmed) return ["Too many: ", "fill bad"];
  if (high.alarmed) return ["Too few: ", "fill high"];
  return ["", "fill"];
}

function gauge(side) {
  const { recent_rate: rate, tail_probability: promised, high } = side;
  const full = Math.max(4 * promised, rate ?? 0);
  const [said, kind] = verdict(side);
  const text = make("p", "bar-text", make("span", "", words(side.side)),
    make("strong", "", `${said}${percent(rate)} of losses above the margin`));
  const few = side.judged < high.fewest && !high.alarmed ? `none before ${count(high.fewest)} losses` : evidence(high);
  const more = `${count(side.recent_breaches)} of the last ${count(side.recent_judged)} losses; ${percent(promised)} promised (tick). ` +
    `Evidence of too many: ${evidence(side)}; of too few: ${few} (100 % raises the alarm).`;
  const notes = [make("p", "note", more)];
  if (typeof high.ratio === "number") {
    const height = `On average ${high.ratio.toFixed(2)} times the reactive margin`;
    notes.push(high.far ? make("p", "note high", make("strong", "", `Far above: ${height.toLowerCase()}.`)) : make("p", "note", `${height}.`));
  }
  return make("div", "gauge", text, bar([[kind, (rate ?? 0) / full]], [promised / full]), ...notes);
}

// It begins again with an alarm, and would look like none.
const evidence = (test) => test.alarmed ? "alarm raised" : percent(Math.min(1, test.evidence), 1);

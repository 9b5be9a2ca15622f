// The table of margins: one row an instrument, sorted by any heading, chosen by its name.

import { age, bps, make, milliseconds, percent, UNKNOWN, words } from "./format.js";

const REGIMES = ["calm", "elevated", "stressed", "unknown"];
const STATUSES = ["ok", "degraded", "stale", "fallback", "expired"];
const BASES = ["network", "linear", "garch", "last-good", "fixed"];
const MARKS = { ok: "●", degraded: "◐", stale: "◔", fallback: "○", expired: "✕", calm: "▁", elevated: "▄", stressed: "█", unknown: "?" };

export const ageOf = (quote, now) => quote.observed_at ? (now - milliseconds(quote.observed_at)) / 1000 : NaN;
export const statusOf = (quote, now) => now > milliseconds(quote.valid_until) ? "expired" : quote.status;
const regimeOf = (quote) => quote.calculation?.regime ?? "unknown";
const stressOf = (quote) => quote.calculation?.stress_probability ?? NaN;

export function chip(kind) {
  const mark = make("span", "mark", MARKS[kind] ?? "•");
  mark.setAttribute("aria-hidden", "true");
  return make("span", `chip ${kind}`, mark, words(kind));
}

const COLUMNS = [
  { id: "instrument", title: "Instrument", value: (q) => q.instrument },
  { id: "long", title: "Long", number: true, value: (q) => q.long.initial_margin_bps, cell: (q) => bps(q.long.initial_margin_bps) },
  { id: "short", title: "Short", number: true, value: (q) => q.short.initial_margin_bps, cell: (q) => bps(q.short.initial_margin_bps) },
  { id: "regime", title: "Regime", value: (q) => REGIMES.indexOf(regimeOf(q)), cell: (q) => chip(regimeOf(q)) },
  { id: "stress", title: "Stress", number: true, value: stressOf, cell: (q) => percent(stressOf(q), 1) },
  { id: "status", title: "Status", value: (q, now) => STATUSES.indexOf(statusOf(q, now)), cell: (q, now) => chip(statusOf(q, now)) },
  { id: "basis", title: "Basis", value: (q) => BASES.indexOf(q.basis), cell: (q) => words(q.basis) },
  { id: "age", title: "Age", number: true, value: ageOf, cell: (q, now) => age(ageOf(q, now)) },
];

export class MarginTable {
  constructor({ head, body, select, said, chosen }) {
    Object.assign(this, { body, select, said, chosen });
    this.rows = new Map();
    this.sort = { id: "instrument", down: false };
    this.selected = "";
    this.headings = COLUMNS.map((column) => this.heading(column, head));
    for (const column of COLUMNS) select.append(new Option(column.title, column.id));
    select.addEventListener("change", () => this.sortBy(select.value, false));
    this.mark();
  }

  heading(column, head) {
    const arrow = make("span", "arrow");
    arrow.setAttribute("aria-hidden", "true");
    const button = make("button", "", ...(column.number ? [arrow, column.title] : [column.title, arrow]));
    button.type = "button";
    button.addEventListener("click", () => this.sortBy(column.id, this.sort.id === column.id && !this.sort.down));
    const cell = make("th", column.number ? "number" : "", button);
    cell.scope = "col";
    cell.setAttribute("role", "columnheader");
    head.append(cell);
    return { column, cell, arrow };
  }

  sortBy(id, down) {
    this.sort = { id, down };
    this.mark();
    this.order();
    const title = COLUMNS.find((column) => column.id === id).title;
    this.said.textContent = `Sorted by ${title.toLowerCase()}, ${down ? "descending" : "ascending"}`;
  }

  mark() {
    for (const { column, cell, arrow } of this.headings) {
      const here = column.id === this.sort.id;
      if (here) cell.setAttribute("aria-sort", this.sort.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
      arrow.textContent = here ? (this.sort.down ? "▼" : "▲") : "";
    }
    this.select.value = this.sort.id;
  }

  show(quotes, now) {
    this.quotes = quotes;
    this.now = now;
    for (const [name, row] of this.rows) {
      if (!quotes.has(name)) {
        row.element.remove();
        this.rows.delete(name);
      }
    }
    let more = false;
    for (const [name, quote] of quotes) {
      if (!this.rows.has(name)) {
        this.rows.set(name, this.row(name));
        more = true;
      }
      this.fill(this.rows.get(name), quote, now);
    }
    if (more || this.sort.id !== "instrument") this.order();
  }

  row(name) {
    const button = make("button", "name", name);
    button.type = "button";
    button.addEventListener("click", () => this.chosen(name));
    const first = make("th", "", button);
    first.scope = "row";
    first.setAttribute("role", "rowheader");
    const cells = COLUMNS.slice(1).map((column) => {
      const cell = make("td", column.number ? "number" : "");
      cell.setAttribute("role", "cell");
      cell.dataset.title = column.title;
      cell.dataset.column = column.id;
      return cell;
    });
    const element = make("tr", "", first, ...cells);
    element.setAttribute("role", "row");
    return { element, button, cells, shown: [] };
  }

  fill(row, quote, now) {
    const status = statusOf(quote, now);
    row.element.dataset.status = status;
    row.button.setAttribute("aria-pressed", String(quote.instrument === this.selected));
    row.element.classList.toggle("selected", quote.instrument === this.selected);
    COLUMNS.slice(1).forEach((column, i) => {
      const content = column.cell(quote, now) ?? UNKNOWN;
      const text = typeof content === "string" ? content : content.className + content.textContent;
      if (row.shown[i] === text) return;
      row.shown[i] = text;
      row.cells[i].replaceChildren(content);
    });
  }

  order() {
    const { value } = COLUMNS.find((column) => column.id === this.sort.id);
    const sign = this.sort.down ? -1 : 1;
    const names = [...this.rows.keys()].sort((a, b) => {
      const x = value(this.quotes.get(a), this.now);
      const y = value(this.quotes.get(b), this.now);
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y) || a.localeCompare(b);
      const by = typeof x === "string" ? x.localeCompare(y) : x - y;
      return sign * by || a.localeCompare(b);
    });
    // Moved only where it is out of place: a row that is moved loses the focus within it.
    names.forEach((name, i) => {
      const { element } = this.rows.get(name);
      if (this.body.children[i] !== element) {
        const held = element.contains(document.activeElement) ? document.activeElement : null;
        this.body.insertBefore(element, this.body.children[i] ?? null);
        held?.focus();
      }
    });
  }
}

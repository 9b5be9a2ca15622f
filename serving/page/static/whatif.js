// The margin of a portfolio that somebody thinks of.

import { post } from "./api.js";
import { make, quantity, words } from "./format.js";
import { headRow } from "./detail.js";

const byId = (id) => document.getElementById(id);
let made = 0;

export class WhatIf {
  constructor() {
    this.names = [];
    byId("add").addEventListener("click", () => this.add().querySelector("select").focus());
    byId("whatif").addEventListener("submit", (event) => {
      event.preventDefault();
      this.simulate();
    });
    this.add();
  }

  instruments(names) {
    if (names.join("\n") === this.names.join("\n")) return;
    this.names = names;
    for (const select of byId("positions").querySelectorAll("select")) this.options(select);
  }

  options(select) {
    const chosen = select.value;
    select.replaceChildren(...this.names.map((name) => new Option(name, name)));
    if (this.names.includes(chosen)) select.value = chosen;
  }

  add() {
    made += 1;
    const select = make("select");
    select.id = `instrument-${made}`;
    this.options(select);
    const notional = make("input");
    Object.assign(notional, { id: `notional-${made}`, type: "text", inputMode: "decimal", autocomplete: "off" });
    const remove = make("button", "quiet-button", "Remove");
    remove.type = "button";
    const row = make("fieldset", "position", make("legend", "visually-hidden", `Position ${made}`),
      labelled("Instrument", select), labelled("Notional", notional), remove);
    remove.setAttribute("aria-label", `Remove position ${made}`);
    remove.addEventListener("click", () => {
      row.remove();
      if (!byId("positions").children.length) this.add();
      byId("add").focus();
    });
    byId("positions").append(row);
    return row;
  }

  // Positions, or null after saying what is wrong with the first that is none.
  positions() {
    const out = [];
    for (const row of byId("positions").children) {
      const field = row.querySelector("input");
      const text = field.value.replaceAll(/[\s,_]/g, "");
      field.removeAttribute("aria-invalid");
      field.removeAttribute("aria-describedby");
      if (text === "" || !Number.isFinite(Number(text))) {
        field.setAttribute("aria-invalid", "true");
        field.setAttribute("aria-describedby", "whatif-error");
        this.fail(text === "" ? "Give a notional for every position." : `A notional must be a number, was “${field.value}”; write -250000 for a short.`);
        field.focus();
        return null;
      }
      out.push({ instrument: row.querySelector("select").value, notional: Number(text) });
    }
    return out;
  }

  fail(text) {
    byId("whatif-error").replaceChildren(make("p", "error", text));
    byId("whatif-result").replaceChildren();
  }

  async simulate() {
    const positions = this.positions();
    if (!positions) return;
    byId("simulate").disabled = true;
    try {
      const result = await post("v1/portfolios:simulate", { positions });
      byId("whatif-error").replaceChildren();
      byId("whatif-result").replaceChildren(...show(result));
    } catch (error) {
      this.fail(error.name === "TimeoutError" ? "The service did not answer in time." : error instanceof TypeError ? "The service cannot be reached." : error.message);
    } finally {
      byId("simulate").disabled = false;
    }
  }
}

function labelled(text, control) {
  const label = make("label", "field", make("span", "label", text), control);
  label.htmlFor = control.id;
  return label;
}

const plain = (value) => value === null || typeof value !== "object";
const text = (value) => typeof value === "number" ? quantity(value) : value === null ? "–" : String(value);

// Whatever the service says, as it says it: plain values first, then a table for every list and part.
function show(result) {
  const facts = make("dl", "facts");
  const tables = [];
  for (const [name, value] of Object.entries(result)) {
    if (plain(value)) facts.append(make("div", name === "margin" ? "headline" : "", make("dt", "", words(name)), make("dd", "", text(value))));
    else tables.push(listing(name, value));
  }
  return [...(facts.children.length ? [facts] : []), ...tables.filter(Boolean)];
}

function listing(name, value) {
  const rows = Array.isArray(value) ? value.map((item) => plain(item) ? { value: item } : item)
    : Object.values(value).every(plain) ? Object.entries(value).map(([key, item]) => ({ [words(name)]: words(key), value: item }))
      : Object.entries(value).map(([key, item]) => ({ [words(name)]: key, ...(plain(item) ? { value: item } : item) }));
  if (!rows.length) return null;
  const columns = [...new Set(rows.flatMap((item) => Object.keys(item)))];
  const table = make("table", "", make("caption", "", words(name)), headRow(columns.map(words)));
  const body = make("tbody");
  for (const item of rows) {
    body.append(make("tr", "", ...columns.map((column, i) => {
      const cell = make(i ? "td" : "th", i ? "number" : "", plain(item[column]) ? text(item[column] ?? null) : JSON.stringify(item[column]));
      if (!i) cell.scope = "row";
      return cell;
    })));
  }
  table.append(body);
  const scroll = make("div", "scroll", table);
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", words(name));
  return scroll;
}

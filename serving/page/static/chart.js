// Margin against the loss that followed, as SVG drawn here. A margin holds until the next one, so it
// is a step; a period without data is a gap, and no line crosses it.

import { bps, day, milliseconds, minute, moment, percent } from "./format.js";

const NS = "http://www.w3.org/2000/svg";
const EDGE = { top: 14, right: 14, bottom: 46, left: 58 };
const MINUTE = 60000;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7200, 10080, 20160, 43200, 129600, 525600].map((m) => m * MINUTE);
const DAY = 1440 * MINUTE;
const GAP = 1.5; // periods
const BPS = 1e4;

function draw(name, attributes = {}, text) {
  const element = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// Columns of the service to points of one side; times in ms.
export function pointsOf(series, side) {
  return series.time.map((time, i) => ({
    time: milliseconds(time),
    margin: series[`${side}_margin_bps`][i],
    reactive: series[`${side}_reactive_bps`][i],
    loss: series[`${side}_loss_bps`][i],
  }));
}

export const breached = (point) => point.loss !== null && point.margin !== null && point.loss > point.margin;

// Runs of points without a gap between them.
export function runs(points, period) {
  const out = [];
  points.forEach((point, i) => {
    if (!i || point.time - points[i - 1].time > GAP * period) out.push([]);
    out.at(-1).push(point);
  });
  return out;
}

function usualStep(points) {
  const steps = points.slice(1).map((point, i) => point.time - points[i].time).sort((a, b) => a - b);
  return steps.length ? steps[steps.length >> 1] : DAY;
}

export class Chart {
  constructor({ svg, cursor, readout, summary, note }) {
    Object.assign(this, { svg, cursor, readout, summary, note });
    this.points = [];
    cursor.addEventListener("input", () => this.move(Number(cursor.value)));
    svg.addEventListener("pointermove", (event) => this.point(event));
    svg.addEventListener("pointerdown", (event) => this.point(event));
    new ResizeObserver(() => this.paint()).observe(svg.parentElement);
  }

  show(points, { period, name, side, horizon }) {
    const follow = this.at === undefined || this.at >= this.points.length - 1 || name !== this.name;
    Object.assign(this, { points, name, side, horizon, period: period ?? usualStep(points) });
    this.at = follow ? points.length - 1 : Math.min(this.at, points.length - 1);
    this.cursor.disabled = !points.length;
    this.cursor.max = Math.max(0, points.length - 1);
    this.paint();
    this.describe();
  }

  describe() {
    const { points, name, side } = this;
    if (!points.length) {
      this.summary.textContent = `${name}, ${side}: no margin has been quoted at a close yet.`;
      this.note.textContent = this.summary.textContent;
      return;
    }
    const judged = points.filter((point) => point.loss !== null);
    const breaches = judged.filter(breached).length;
    const gaps = runs(points, this.period).length - 1;
    const margins = points.map((point) => point.margin).filter((value) => value !== null);
    this.summary.textContent = `${name}, ${side}, ${moment(points[0].time)} to ${moment(points.at(-1).time)}: ` +
      `margin from ${bps(Math.min(...margins))} to ${bps(Math.max(...margins))}, now ${bps(points.at(-1).margin)}; ` +
      `${breaches} of ${judged.length} known losses were above it; ${gaps} gaps. The chart as a table follows.`;
    this.note.textContent = `A loss stands where its margin was quoted; it is known ${this.horizon ?? "some"} ` +
      `period${this.horizon === 1 ? "" : "s"} later. Gains are not drawn. ${gaps ? "Shaded: no data." : ""}`;
  }

  paint() {
    const width = this.svg.parentElement.clientWidth;
    const height = width < 480 ? 250 : 320;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("height", height);
    this.svg.replaceChildren();
    if (!this.points.length || width < 120) return;
    this.scale(width, height);
    this.axes(width, height);
    this.gaps();
    this.losses();
    this.line("reactive");
    this.line("margin");
    this.breaches();
    this.rule = draw("line", { class: "rule", y1: EDGE.top, y2: height - EDGE.bottom });
    this.svg.append(this.rule);
    this.move(this.at);
  }

  scale(width, height) {
    const first = this.points[0].time;
    const last = this.points.at(-1).time + this.period;
    let top = 1;
    for (const { margin, reactive, loss } of this.points) top = Math.max(top, margin ?? 0, reactive ?? 0, loss ?? 0);
    const step = niceStep(top / 4);
    this.top = Math.ceil(top * 1.02 / step) * step;
    this.step = step;
    this.first = first;
    this.last = last;
    const [w, h] = [width - EDGE.left - EDGE.right, height - EDGE.top - EDGE.bottom];
    this.x = (time) => EDGE.left + w * (time - first) / (last - first);
    this.y = (value) => EDGE.top + h * (1 - value / this.top);
    this.time = (x) => first + (last - first) * (x - EDGE.left) / w;
  }

  axes(width, height) {
    const group = draw("g", { class: "axes" });
    const digits = this.step % 100 === 0 ? 0 : this.step % 10 === 0 ? 1 : 2;
    for (let value = 0; value <= this.top + 1e-9; value += this.step) {
      const y = this.y(value);
      group.append(draw("line", { class: value ? "grid" : "base", x1: EDGE.left, x2: width - EDGE.right, y1: y, y2: y }));
      group.append(draw("text", { x: EDGE.left - 8, y: y + 4, "text-anchor": "end" }, percent(value / BPS, digits)));
    }
    const middle = (EDGE.top + height - EDGE.bottom) / 2;
    group.append(draw("text", { class: "title", "text-anchor": "middle", transform: `translate(12 ${middle}) rotate(-90)` }, "percent of notional"));
    const room = width - EDGE.left - EDGE.right;
    const every = STEPS.find((step) => room * step / (this.last - this.first) >= 74) ?? STEPS.at(-1);
    let before = "";
    for (let time = Math.ceil(this.first / every) * every; time <= this.last; time += every) {
      const x = this.x(time);
      group.append(draw("line", { class: "base", x1: x, x2: x, y1: height - EDGE.bottom, y2: height - EDGE.bottom + 5 }));
      const date = day(time);
      const upper = every >= DAY ? date : minute(time);
      group.append(draw("text", { x, y: height - EDGE.bottom + 18, "text-anchor": "middle" }, upper));
      if (every < DAY && date !== before) group.append(draw("text", { class: "title", x, y: height - EDGE.bottom + 33, "text-anchor": "middle" }, date));
      before = date;
    }
    group.append(draw("text", { class: "title", x: width - EDGE.right, y: height - 1, "text-anchor": "end" }, every >= DAY ? "date (UTC)" : "time (UTC)"));
    this.svg.append(group);
  }

  gaps() {
    const all = runs(this.points, this.period);
    for (let i = 1; i < all.length; i += 1) {
      const from = this.x(all[i - 1].at(-1).time + this.period);
      const to = this.x(all[i][0].time);
      this.svg.append(draw("rect", { class: "gap", x: from, width: Math.max(1, to - from), y: EDGE.top, height: this.y(0) - EDGE.top }));
    }
  }

  losses() {
    const path = this.points.filter((point) => point.loss > 0 && !breached(point))
      .map((point) => `M${this.x(point.time).toFixed(1)} ${this.y(0)}V${this.y(point.loss).toFixed(1)}`).join("");
    this.svg.append(draw("path", { class: "loss", d: path || "M0 0" }));
  }

  breaches() {
    for (const point of this.points.filter(breached)) {
      const [x, y] = [this.x(point.time).toFixed(1), this.y(point.loss).toFixed(1)];
      this.svg.append(draw("path", { class: "breach", d: `M${x} ${this.y(0)}V${y}` }));
      this.svg.append(draw("path", { class: "breach-mark", d: `M${x} ${y - 5}l5 5l-5 5l-5 -5z` }));
    }
  }

  line(column) {
    let d = "";
    for (const run of runs(this.points, this.period)) {
      let on = false;
      run.forEach((point, i) => {
        if (point[column] === null) {
          on = false;
          return;
        }
        const [x, y] = [this.x(point.time).toFixed(1), this.y(point[column]).toFixed(1)];
        d += on ? `V${y}` : `M${x} ${y}`;
        const end = i + 1 < run.length ? run[i + 1].time : point.time + this.period;
        d += `H${this.x(end).toFixed(1)}`;
        on = true;
      });
    }
    this.svg.append(draw("path", { class: column, d: d || "M0 0" }));
  }

  point(event) {
    if (!this.points.length || !this.time) return;
    const time = this.time(event.clientX - this.svg.getBoundingClientRect().left);
    let best = 0;
    this.points.forEach((point, i) => {
      if (Math.abs(point.time - time) < Math.abs(this.points[best].time - time)) best = i;
    });
    this.move(best);
  }

  move(at) {
    this.at = at;
    const point = this.points[at];
    if (!point) return;
    const x = this.x(point.time);
    this.rule?.setAttribute("x1", x);
    this.rule?.setAttribute("x2", x);
    const loss = point.loss === null ? "loss not known yet"
      : point.loss > 0 ? `lost ${bps(point.loss)}${breached(point) ? ", above the margin" : ""}` : `gained ${bps(-point.loss)}`;
    const text = `${moment(point.time)}: margin ${bps(point.margin)}, reactive ${bps(point.reactive)}, ${loss}`;
    this.readout.textContent = text;
    this.cursor.value = at;
    this.cursor.setAttribute("aria-valuetext", text);
  }
}

function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
  return power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough && Number.isInteger(factor * power));
}

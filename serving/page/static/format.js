// Numbers and moments as they are shown. What is not known is a dash, never a zero.

export const UNKNOWN = "–";
const NS_PER_MS = 1e6;
const whole = new Intl.NumberFormat("en-US");
const number = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 6 });
const money = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });

const known = (value) => typeof value === "number" && Number.isFinite(value);

export const milliseconds = (ns) => ns / NS_PER_MS;
export const percent = (share, digits = 2) => known(share) ? `${(100 * share).toFixed(digits)} %` : UNKNOWN;
export const bps = (value, digits = 2) => known(value) ? percent(value / 1e4, digits) : UNKNOWN;
export const count = (value) => known(value) ? whole.format(value) : UNKNOWN;

export function quantity(value) {
  if (!known(value)) return UNKNOWN;
  return Math.abs(value) >= 100 ? money.format(value) : number.format(value);
}

export function age(seconds) {
  if (!known(seconds)) return "never";
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

const iso = (ms) => new Date(ms).toISOString();
export const moment = (ms) => known(ms) ? `${iso(ms).slice(0, 10)} ${iso(ms).slice(11, 16)} UTC` : UNKNOWN;
export const second = (ms) => `${iso(ms).slice(0, 10)} ${iso(ms).slice(11, 19)} UTC`;
export const day = (ms) => iso(ms).slice(5, 10);
export const minute = (ms) => iso(ms).slice(11, 16);

export function words(name) {
  if (name === "ok") return "OK";
  const text = String(name).replaceAll("_", " ").replaceAll("-", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// An element with a class, text or children; text is never read as markup.
export function make(tag, className = "", ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

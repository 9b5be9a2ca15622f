// Requests and the stream of events. Events are read with fetch and not with EventSource, which
// could neither send a key nor say why it was refused.

let key = "";
export const useKey = (value) => { key = value.trim(); };

export class Refused extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

function headers(more = {}) {
  return key ? { ...more, Authorization: `Bearer ${key}` } : more;
}

async function refusal(response) {
  let detail = `the service answered ${response.status}`;
  try {
    const problem = await response.json();
    detail = problem.detail || problem.title || detail;
  } catch { /* a body that is no problem document says nothing more than the status */ }
  return new Refused(response.status, detail);
}

export async function get(path, { timeout = 10000 } = {}) {
  const response = await fetch(path, { headers: headers(), signal: AbortSignal.timeout(timeout) });
  if (!response.ok) throw await refusal(response);
  return response.json();
}

export async function post(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: headers({ "Content-Type": "application/json" }),
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(20000),
  });
  if (!response.ok) throw await refusal(response);
  return response.json();
}

export async function allQuotes() {
  const quotes = [];
  let after = "";
  do {
    const page = await get(`v1/margins?limit=500${after ? `&after=${encodeURIComponent(after)}` : ""}`);
    quotes.push(...page.quotes);
    after = page.next || "";
  } while (after);
  return quotes;
}

// Calls `event` with every message, until the stream ends or is silent for too long; both throw.
export async function follow(path, { last, silence, open, event }) {
  const stop = new AbortController();
  let timer = setTimeout(() => stop.abort(), silence);
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => stop.abort(), silence);
  };
  const resume = last ? { "Last-Event-ID": last } : {};
  try {
    const response = await fetch(path, {
      headers: headers({ Accept: "text/event-stream", ...resume }),
      cache: "no-store",
      signal: stop.signal,
    });
    if (!response.ok) throw await refusal(response);
    open();
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    const parse = parser(event);
    for (;;) {
      const { value, done } = await reader.read();
      if (done) throw new Error("the stream ended");
      heard();
      parse(value);
    }
  } finally {
    clearTimeout(timer);
    stop.abort();
  }
}

// WHATWG HTML 9.2.6: lines of fields, an empty line sends.
export function parser(event) {
  let rest = "";
  let message = { id: undefined, data: [] };
  const line = (text) => {
    if (text === "") {
      if (message.data.length) event({ id: message.id, data: message.data.join("\n") });
      message = { id: undefined, data: [] };
      return;
    }
    const colon = text.indexOf(":");
    if (colon === 0) return; // a comment keeps the connection awake
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(colon + 1).replace(/^ /, "");
    if (field === "data") message.data.push(value);
    if (field === "id" && !value.includes("\0")) message.id = value;
  };
  return (chunk) => {
    rest += chunk;
    let end;
    while ((end = rest.search(/\r\n|\n|\r(?!$)/)) >= 0) {
      const width = rest.startsWith("\r\n", end) ? 2 : 1;
      line(rest.slice(0, end));
      rest = rest.slice(end + width);
    }
  };
}

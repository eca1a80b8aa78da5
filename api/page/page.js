"use strict";
// Everything that comes from outside is put into the page as text, never as HTML.
const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");
const MAX_ROWS = 50;

function el(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

// --- asking -----------------------------------------------------------------

let key = sessionStorage.getItem("key") || "";

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (key) headers.Authorization = "Bearer " + key;
  const response = await fetch(path, { ...options, headers });
  if (response.status === 401 || response.status === 403) askForKey(response.status === 403);
  return response;
}

// problemOf reads the problem document of an answer that is none.
async function problemOf(response) {
  try {
    return await response.json();
  } catch {
    return { title: "The server answered " + response.status };
  }
}

function askForKey(wrong) {
  $("access").hidden = false;
  $("access-error").textContent = wrong && key ? "This key is not known." : "";
  $("key").select();
}

$("access").addEventListener("submit", (event) => {
  event.preventDefault();
  key = $("key").value.trim();
  sessionStorage.setItem("key", key);
  $("access").hidden = true;
  follow();
});

async function showModel() {
  try {
    const response = await ask("model");
    if (!response.ok) return;
    const m = await response.json();
    let text = `model ${m.model_version} · ${m.engine} engine · policy ${m.policy.policy_version}`;
    const auc = m.metrics && m.metrics.test && m.metrics.test.auc;
    if (auc) text += ` · AUC ${auc.toFixed(3)} on the hold-out`;
    if (m.canary) text += ` · canary ${m.canary.model_version} ${Math.round(m.canary.share * 1e4) / 100} %`;
    if (m.shadow) text += ` · shadow ${m.shadow.model_version}`;
    $("model").textContent = text;
    for (const g of m.reason_groups) texts.set(g.code, g.text);
  } catch {
    // The stream says that the server is away.
  }
}

// --- decisions as they come -------------------------------------------------

const texts = new Map(); // of reasons, by code
let paused = false, held = false;
let waiting = []; // decisions that came while rows stand still
let following = null;
let lastNew = 0; // when something was decided last, as the page saw it
// The server says something every 15 s; after this long without, it is gone.
const SILENCE = 40000;
const QUIET = 3000;

// state is "on" while decisions can come, "away" when the connection is lost.
function state(text, kind) {
  if ($("state").textContent !== text) $("state").textContent = text;
  $("state").classList.toggle("on", kind === "on");
  $("state").classList.toggle("away", kind === "away");
  $("live").classList.toggle("away", kind === "away");
  if (kind !== "on") $("rate").textContent = "–";
}

function clock(date) {
  return date.toLocaleTimeString([], { hourCycle: "h23" });
}

setInterval(() => {
  if (!$("state").classList.contains("on")) return;
  const quiet = lastNew && Date.now() - lastNew > QUIET;
  state(quiet ? "nothing new since " + clock(new Date(lastNew)) : "live", "on");
}, 1000);

// follow reads server-sent events by hand: EventSource cannot send a key.
async function follow() {
  if (following) following.abort();
  const mine = (following = new AbortController());
  for (;;) {
    let pause = 2000;
    const connection = new AbortController(); // of this try; mine ends all
    mine.signal.addEventListener("abort", () => connection.abort(), { signal: connection.signal });
    try {
      const response = await ask("decisions/stream", { signal: connection.signal });
      if (response.ok) {
        state("live", "on");
        showModel(); // another may serve since
        await readEvents(response.body.getReader(), connection);
        state("connection lost, trying again…", "away");
      } else if (response.status === 401 || response.status === 403) {
        state("a key is needed");
        return;
      } else {
        const p = await problemOf(response);
        state(p.title);
        pause = 1000 * (Number(response.headers.get("Retry-After")) || 2);
      }
    } catch {
      if (mine.signal.aborted) return;
      state("connection lost, trying again…", "away");
    }
    connection.abort();
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (mine.signal.aborted) return;
  }
}

async function readEvents(reader, connection) {
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const silence = setTimeout(() => connection.abort(), SILENCE);
    const { value, done } = await reader.read().finally(() => clearTimeout(silence));
    if (done) return;
    text += decoder.decode(value, { stream: true });
    for (let end; (end = text.indexOf("\n\n")) >= 0; text = text.slice(end + 2)) {
      let name = "", data = "";
      for (const line of text.slice(0, end).split("\n")) {
        if (line.startsWith("event: ")) name = line.slice(7);
        if (line.startsWith("data: ")) data += line.slice(6);
      }
      if (data) onFeed(name, JSON.parse(data));
    }
  }
}

function onFeed(name, feed) {
  const total = number.format(feed.total);
  if (name === "snapshot" || $("total").textContent !== total) lastNew = Date.now();
  $("total").textContent = total;
  const rate = feed.per_second;
  $("rate").textContent = number.format(rate < 10 ? rate : Math.round(rate));
  for (const d of ["approve", "refer", "decline"]) {
    const n = feed.by_decision[d];
    $(d).textContent = number.format(n);
    document.querySelector("#shares ." + d).style.flexGrow = n;
  }
  if (name === "snapshot") {
    waiting = [];
    shown = [];
  }
  waiting = merge(waiting, feed.decisions);
  if (!paused && !held) showWaiting();
}

let shown = []; // what the rows show, newest first

function newestFirst(a, b) {
  return Date.parse(b.decided_at) - Date.parse(a.decided_at) || (a.application_id < b.application_id ? 1 : -1);
}

// merge keeps the newest: updates overlap, since partitions come one after another.
function merge(a, b) {
  return a.concat(b).sort(newestFirst).slice(0, MAX_ROWS);
}

const elements = new WeakMap(); // of decisions: a row that stays is the same one

function showWaiting() {
  if (!waiting.length && shown.length) return;
  shown = merge(shown, waiting);
  waiting = [];
  const rows = shown.map((d) => {
    if (!elements.has(d)) elements.set(d, row(d));
    return elements.get(d);
  });
  const keep = new Set(rows);
  for (const tr of [...$("rows").children]) if (!keep.has(tr)) tr.remove();
  rows.forEach((tr, i) => {
    const there = $("rows").children[i];
    if (there !== tr) $("rows").insertBefore(tr, there || null);
  });
  if (!rows.length) {
    const tr = el("tr", "empty");
    const td = el("td", "", "Nothing decided yet.");
    td.colSpan = 6;
    tr.append(td);
    $("rows").append(tr);
  }
}

function row(d) {
  const tr = el("tr");
  tr.append(el("td", "time", clock(new Date(d.decided_at))));
  const id = el("td", "id");
  const open = el("button", "link", d.application_id);
  open.type = "button";
  open.title = d.application_id;
  open.addEventListener("click", () => show(d.application_id));
  id.append(open);
  open.title = d.application_id;
  const decision = el("td", "what");
  decision.append(el("span", "badge " + d.decision, d.decision));
  tr.append(id, decision, el("td", "n", percent(d.default_probability)), el("td", "n", d.points));
  tr.append(el("td", "why", d.reasons.length ? d.reasons[0].text : "–"));
  return tr;
}

function percent(p) {
  return (100 * p).toFixed(1) + " %";
}

$("pause").addEventListener("click", () => {
  paused = !paused;
  $("pause").setAttribute("aria-pressed", String(paused));
  $("pause").textContent = paused ? "Go on" : "Pause";
  if (!paused) showWaiting();
});

// Rows stand still while one is pointed at, or reached by keyboard: what moves
// cannot be clicked.
function hold(on) {
  held = on;
  $("held").hidden = !on || paused;
  if (!held && !paused) showWaiting();
}
$("rows").addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") hold(true); });
$("rows").addEventListener("pointerleave", () => hold(false));
$("rows").addEventListener("focusin", (event) => { if (event.target.matches(":focus-visible")) hold(true); });
$("rows").addEventListener("focusout", () => hold(false));

// --- one decision -----------------------------------------------------------

// bar is a share as a line; its number stands beside it.
function bar(share) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("aria-hidden", "true");
  const rect = document.createElementNS(svg.namespaceURI, "rect");
  rect.setAttribute("width", 100 * share + "%");
  rect.setAttribute("height", "100%");
  svg.append(rect);
  return svg;
}

// result shows a decision: the answer of predict, or a prediction.
function result(d, withInputs) {
  const box = el("div", "result");
  const verdict = el("p", "verdict");
  verdict.append(el("span", "badge " + d.decision, d.decision));
  for (const [value, unit] of [[percent(d.default_probability), "risk of default"], [d.points, "points"]]) {
    const s = el("span");
    s.append(el("b", "", value), " " + unit);
    verdict.append(s);
  }
  box.append(verdict);
  if (d.reasons.length) {
    const list = el("ol", "reasons");
    const most = d.reasons[0].contribution;
    for (const r of d.reasons) {
      const text = r.text || texts.get(r.code) || r.code;
      const item = el("li", "", text + " ");
      item.append(el("small", "", "+" + r.contribution.toFixed(3)));
      item.append(bar(r.contribution / most));
      list.append(item);
    }
    box.append(list);
  } else {
    box.append(el("p", "", "Nothing spoke against the applicant."));
  }
  box.append(el("p", "facts", `${d.application_id} · model ${d.model_version} (${d.route}) · policy ${d.policy_version} · ${new Date(d.decided_at).toLocaleString([], { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" })}`));
  if (withInputs) {
    const inputs = el("dl", "inputs");
    for (const [name, value] of Object.entries(d.features)) {
      const pair = el("div");
      pair.append(el("dt", "", name), el("dd", "", value === null ? "missing" : number.format(value)));
      inputs.append(pair);
    }
    box.append(inputs);
  }
  return box;
}

async function show(id) {
  $("detail-title").textContent = "Application " + id;
  $("detail-body").replaceChildren(el("p", "facts", "looking it up…"));
  if (!$("detail").open) $("detail").showModal();
  try {
    const look = () => ask("predictions/" + encodeURIComponent(id));
    let response = await look();
    if (response.status === 404) { // the view may be a moment behind
      await new Promise((resolve) => setTimeout(resolve, 1000 * Number(response.headers.get("Retry-After"))));
      response = await look();
    }
    if (response.ok) {
      $("detail-body").replaceChildren(result(await response.json(), true));
    } else {
      const p = await problemOf(response);
      $("detail-body").replaceChildren(el("p", "error", p.title + (p.detail ? ". " + p.detail : "")));
    }
  } catch {
    $("detail-body").replaceChildren(el("p", "error", "The server cannot be reached. Try again."));
  }
}

$("find").addEventListener("submit", (event) => {
  event.preventDefault();
  show($("id").value);
});

// --- the form ---------------------------------------------------------------

const inputs = [...$("form").querySelectorAll("input")];

function clearErrors() {
  $("form-error").textContent = "";
  for (const i of inputs) {
    i.removeAttribute("aria-invalid");
    $("e-" + i.name).textContent = "";
  }
}

function showProblem(p) {
  const others = [];
  let first = null;
  for (const e of p.errors || []) {
    const i = inputs.find((x) => "features." + x.name === e.field);
    if (!i) {
      others.push(`${e.field} ${e.rule}`);
      continue;
    }
    i.setAttribute("aria-invalid", "true");
    $("e-" + i.name).textContent = `${i.labels[0].textContent}: ${e.rule.replace("or null", "or empty")}`;
    first = first || i;
  }
  $("form-error").textContent = [p.title, p.detail, ...others].filter(Boolean).join(". ");
  if (first) first.focus();
}

// featureJSON writes what was typed, as it was typed: judging it is the server's.
function featureJSON(input) {
  if (input.validity.badInput) return JSON.stringify("not a number");
  const text = input.value.trim();
  if (text === "") return "null";
  return /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text) ? text : JSON.stringify(text);
}

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  clearErrors();
  const members = inputs.map((i) => `${JSON.stringify(i.name)}:${featureJSON(i)}`);
  $("submit").disabled = true;
  try {
    const response = await ask("predict", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: `{"features":{${members.join(",")}}}`,
    });
    if (response.ok) {
      $("answer").replaceChildren(result(await response.json(), false));
      $("answer").scrollIntoView({ block: "nearest" });
    } else {
      $("answer").replaceChildren();
      showProblem(await problemOf(response));
    }
  } catch {
    $("form-error").textContent = "The server cannot be reached. Try again.";
  } finally {
    $("submit").disabled = false;
  }
});

$("form").addEventListener("reset", () => {
  clearErrors();
  $("answer").replaceChildren();
});

// --- drift ------------------------------------------------------------------

const signs = { quiet: "●", watch: "▲", act: "■" };

async function showDrift() {
  if (document.hidden || $("state").classList.contains("away") || !$("access").hidden) return;
  try {
    const response = await ask("drift/alerts");
    if (!response.ok) return;
    const d = await response.json();
    const sign = signs[d.state];
    $("drift-state").className = "badge " + (d.stale ? "stale" : d.state);
    $("drift").classList.toggle("stale", d.stale);
    const text = d.stale ? "○ old" : sign ? sign + " " + d.state : d.state === "none" ? "not looked at yet" : "not known";
    if ($("drift-state").textContent !== text) $("drift-state").textContent = text;
    const watched = d.watched.slice(0, 4).join(", ") + (d.watched.length > 4 ? ` and ${d.watched.length - 4} more` : "");
    $("drift-at").textContent = d.stale ? `was ${d.state} ${ago(d.age_seconds)} ago, at ${clock(new Date(d.evaluated_at))}; no evaluator works, so no alert can come` : (watched ? "worth a look: " + watched + "; " : "") + (d.evaluated_at ? "as of " + clock(new Date(d.evaluated_at)) : "");
    $("loans").replaceChildren(...d.outcomes.flatMap((o) => loansText(o, d.outcomes.length > 1)));
    $("alerts").replaceChildren(...alertItems(d.alerts));
  } catch {
    // The stream says that the server is away.
  }
}

// What components wait for, as they report it themselves: /readyz says the same of each.
const MAX_WAITS = 6;
async function showWaits() {
  if (document.hidden || !$("state").classList.contains("on") || !$("access").hidden) return;
  try {
    const response = await ask("replicas");
    if (!response.ok) return;
    const waits = (await response.json()).replicas.filter((r) => r.live && (r.pending || !r.ready));
    const items = waits.slice(0, MAX_WAITS).map((r) => {
      const item = el("li", r.ready ? "watch" : "act");
      item.append(el("b", "", `${r.component}/${r.instance}`), ` ${r.ready ? "waits" : "is not ready"}: ${r.ready ? r.pending : r.reason}`);
      return item;
    });
    if (waits.length > MAX_WAITS) items.push(el("li", "watch", `and ${waits.length - MAX_WAITS} more`));
    const said = items.map((i) => i.textContent).join("\n");
    if ($("waits").dataset.said === said) return; // a screen reader is told of what is new only
    $("waits").dataset.said = said;
    $("waits").replaceChildren(...items);
  } catch {
    // The stream says that the server is away.
  }
}

// ago is a time in its largest unit.
function ago(seconds) {
  for (const [unit, name] of [[86400, "days"], [3600, "hours"], [60, "minutes"]]) if (seconds >= 2 * unit) return Math.floor(seconds / unit) + " " + name;
  return seconds + " seconds";
}

// loansText says how often loans were not paid back, and how often their scores said.
function loansText(o, named) {
  const parts = [`Of ${number.format(o.loans)} loans${named ? ` by ${o.model_version}` : ""} `, el("b", "", percent(o.observed)), " were not paid back; the model expected ", el("b", "", percent(o.expected)), ". "];
  parts[1].title = `95 % interval ${percent(o.lower)} to ${percent(o.upper)}`;
  return parts;
}

// alertItems are what fires, and the newest of what is over: the rest is in the report.
const MAX_OVER = 3;
function alertItems(alerts) {
  const over = alerts.filter((a) => a.state !== "firing").sort((a, b) => Date.parse(b.since) - Date.parse(a.since));
  const items = [...alerts.filter((a) => a.state === "firing"), ...over.slice(0, MAX_OVER)].map(alertItem);
  if (over.length > MAX_OVER) items.push(el("li", "resolved", `and ${over.length - MAX_OVER} more that are over`));
  return items;
}

function alertItem(a) {
  const item = el("li", a.state);
  const firing = a.state === "firing";
  item.append(el("span", "badge " + a.state, (firing ? "■ " : "✓ ") + a.alert));
  const own = a.contributors.find((c) => a.alert.endsWith("/" + c.feature));
  const remark = a.alert === "no-decisions" ? "nothing was counted " : ""; // decisions may have been made all the same
  item.append(el("small", "", ` ${remark}${own && firing ? `PSI ${own.psi.toFixed(2)} when it fired, ` : ""}${firing ? "since" : "over since"} ${clock(new Date(a.since))}`));
  const moved = a.contributors.map((c) => `${c.feature} (PSI ${c.psi.toFixed(2)})`).join(", ");
  item.title = `${a.statistic} ${a.value.toPrecision(3)}, threshold ${a.threshold.toPrecision(3)}, over ${number.format(a.window.decisions)} ${a.window.name === "outcomes" ? "loans" : "decisions"} when it ${firing ? "fired" : "was over"}${a.now ? `, now ${a.now.value.toPrecision(3)} of ${a.now.threshold.toPrecision(3)}` : ""}${moved ? "; moved: " + moved : ""}`;
  return item;
}

// A link sends no key: with one the report is fetched and opened from memory.
$("drift-report").addEventListener("click", async (event) => {
  if (!key) return;
  event.preventDefault();
  try {
    const response = await ask("drift/report");
    if (response.ok) window.open(URL.createObjectURL(await response.blob()));
    else $("drift-at").textContent = (await problemOf(response)).title;
  } catch {
    $("drift-at").textContent = "The server cannot be reached.";
  }
});

// In a demo visitors choose what happens.
async function scenario(options) {
  try {
    const response = await ask("demo/scenario", options);
    if (response.ok) $("scenario").value = (await response.json()).scenario;
  } catch {
    // The stream says that the server is away.
  }
}

if ($("scenario")) {
  $("scenario").addEventListener("change", () => scenario({
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ scenario: $("scenario").value }),
  }));
  scenario();
}

showDrift();
setInterval(showDrift, 2000);
setInterval(showWaits, 3000);

// A route may take effect while the page is open.
setInterval(() => { if ($("state").classList.contains("on")) showModel(); }, 30000);
follow();

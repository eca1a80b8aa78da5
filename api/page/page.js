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
}

$("access").addEventListener("submit", (event) => {
  event.preventDefault();
  key = $("key").value.trim();
  sessionStorage.setItem("key", key);
  $("access").hidden = true;
  showModel();
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
let paused = false;
let waiting = []; // decisions that came while paused
let following = null;

function state(text, on) {
  $("state").textContent = text;
  $("state").classList.toggle("on", Boolean(on));
}

// follow reads server-sent events by hand: EventSource cannot send a key.
async function follow() {
  if (following) following.abort();
  const mine = (following = new AbortController());
  for (;;) {
    let pause = 2000;
    try {
      const response = await ask("decisions/stream", { signal: mine.signal });
      if (response.ok) {
        state("live", true);
        await readEvents(response.body.getReader());
        state("connecting…");
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
      state("the server is away");
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (mine.signal.aborted) return;
  }
}

async function readEvents(reader) {
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
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
  $("total").textContent = number.format(feed.total);
  $("rate").textContent = number.format(Math.round(feed.per_second));
  for (const d of ["approve", "refer", "decline"]) {
    const n = feed.by_decision[d];
    $(d).textContent = number.format(n);
    document.querySelector("#shares ." + d).style.flexGrow = n;
  }
  if (name === "snapshot") {
    waiting = [];
    $("rows").replaceChildren();
  }
  waiting = feed.decisions.concat(waiting).slice(0, MAX_ROWS);
  if (!paused) showWaiting();
}

function showWaiting() {
  const rows = $("rows");
  rows.prepend(...waiting.map(row));
  waiting = [];
  while (rows.children.length > MAX_ROWS) rows.lastElementChild.remove();
  const empty = rows.querySelector(".empty");
  if (empty && rows.children.length > 1) empty.remove();
  if (!rows.children.length) {
    const tr = el("tr", "empty");
    const td = el("td", "", "Nothing decided yet.");
    td.colSpan = 6;
    tr.append(td);
    rows.append(tr);
  }
}

function row(d) {
  const tr = el("tr");
  tr.append(el("td", "", new Date(d.decided_at).toLocaleTimeString([], { hourCycle: "h23" })));
  const id = el("td");
  const open = el("button", "link", d.application_id);
  open.type = "button";
  open.title = d.application_id;
  open.addEventListener("click", () => show(d.application_id));
  id.append(open);
  const decision = el("td");
  decision.append(el("span", "badge " + d.decision, d.decision));
  tr.append(id, decision, el("td", "n", percent(d.default_probability)), el("td", "n", d.points));
  tr.append(el("td", "", d.reasons.length ? d.reasons[0].text : "–"));
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

// --- one decision -----------------------------------------------------------

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
      const bar = el("meter");
      bar.max = most;
      bar.value = r.contribution;
      bar.setAttribute("aria-label", text);
      item.append(bar);
      list.append(item);
    }
    box.append(list);
  } else {
    box.append(el("p", "", "Nothing spoke against the applicant."));
  }
  box.append(el("p", "facts", `${d.application_id} · model ${d.model_version} (${d.route}) · policy ${d.policy_version} · ${new Date(d.decided_at).toLocaleString()}`));
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
    const response = await ask("predictions/" + encodeURIComponent(id));
    if (response.ok) {
      $("detail-body").replaceChildren(result(await response.json(), true));
    } else {
      const p = await problemOf(response);
      $("detail-body").replaceChildren(el("p", "error", p.title + (p.detail ? ". " + p.detail : "")));
    }
  } catch {
    $("detail-body").replaceChildren(el("p", "error", "The server is away."));
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
    $("e-" + i.name).textContent = e.rule;
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
    $("form-error").textContent = "The server is away.";
  } finally {
    $("submit").disabled = false;
  }
});

$("form").addEventListener("reset", () => {
  clearErrors();
  $("answer").replaceChildren();
});

showModel();
follow();

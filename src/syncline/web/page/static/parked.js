// Parked records: choosing, retrying, discarding, looking at one.

import { announce, byId, list, make, show, text } from "./dom.js";
import { read, send } from "./feed.js";
import { ago, moment, number, plural, timeOfDay } from "./words.js";

const chosen = new Set();
let first = []; // the newest state's rows
let further = []; // those that were asked for by hand
let now = 0;
let busy = 0; // actions under way

const shown = () => {
  const ids = new Set(first.map((row) => row.id));
  return [...first, ...further.filter((row) => !ids.has(row.id))];
};

let seen = 0;

export function parked(state) {
  now = state.time;
  const found = state.parked;
  if (!found && seen) { // what is in somebody's hands stays there, and says how old it is
    text(byId("parked-summary"), `not known at present; as of ${timeOfDay(seen)}`);
    return;
  }
  if (found) seen = now;
  show(byId("parked-scroll"), Boolean(found?.records));
  show(byId("parked-tools"), Boolean(found?.records));
  show(byId("parked-empty"), !found?.records);
  text(byId("parked-empty"), found ? "None. Every record that changed is in MongoDB or on its way." : `Not known at present${state.detailsError ? `: ${state.detailsError}` : ""}.`);
  text(byId("parked-summary"), found?.records ? `${plural(found.records, "record")}, ${plural(found.changes, "change")} behind them` : "");
  first = found?.rows ?? [];
  if (!found?.records) further = [];
  show(byId("parked-more"), Boolean(found) && found.records > shown().length);
  render();
}

function render() {
  const rows = shown();
  const ids = new Set(rows.map((row) => row.id));
  for (const id of chosen) if (!ids.has(id)) chosen.delete(id);
  if (list(byId("parked-rows"), rows, (row) => row.id, create)) byId("parked-title").focus();
  count(rows);
}

function count(rows) {
  text(byId("chosen"), chosen.size ? `${number(chosen.size)} chosen` : "none chosen");
  for (const id of ["retry-chosen", "discard-chosen"]) byId(id).disabled = !chosen.size || busy > 0;
  byId("choose-all").checked = rows.length > 0 && chosen.size === rows.length;
  byId("choose-all").indeterminate = chosen.size > 0 && chosen.size < rows.length;
}

function create(row) {
  const name = `${row.entity} ${row.key}`;
  const box = make("input", { type: "checkbox", "aria-label": `Choose ${name}`, onchange: () => {
    if (box.checked) chosen.add(row.id);
    else chosen.delete(row.id);
    count(shown());
  } });
  const entity = make("span", { class: "entity" }, row.entity);
  const key = make("button", { type: "button", class: "link", "aria-label": `Details of ${name}`, onclick: () => look(row) }, row.key);
  const code = make("span", { class: "code" });
  const error = make("span", { class: "error" });
  const tries = make("td", { class: "number", "data-label": "Tries" });
  const changes = make("td", { class: "number", "data-label": "Changes" });
  const since = make("time");
  const retry = make("button", { type: "button", "aria-label": `Retry ${name}`, onclick: () => act("retry", [row.id], name) }, "Retry");
  const discard = make("button", { type: "button", class: "danger", "aria-label": `Discard ${name}`, onclick: () => sure([row.id], name) }, "Discard");
  const element = make("tr", {}, make("td", { class: "choose" }, box), make("td", { "data-label": "Record", class: "record" }, entity, " ", key),
    make("td", { "data-label": "Error", class: "wide" }, code, " ", error), tries, changes, make("td", { "data-label": "Since" }, since),
    make("td", { class: "do" }, retry, " ", discard));
  element.update = (newest) => {
    box.checked = chosen.has(newest.id);
    text(code, newest.code);
    text(error, newest.error);
    text(tries, number(newest.retryCount));
    text(changes, number(newest.changes));
    text(since, ago(newest.parkedAt, now));
    since.dateTime = newest.parkedAt;
    since.title = moment(newest.parkedAt);
  };
  return element;
}

async function act(action, ids, name) {
  busy += 1;
  count(shown());
  try {
    const { records } = await send(`parked/${action}`, { ids });
    for (const id of ids) chosen.delete(id);
    if (action === "discard") further = further.filter((row) => !ids.includes(row.id));
    const what = name ?? plural(records, "record");
    announce(action === "retry" ? `${what}: a worker tries again` : `${what}: discarded`);
    toast(action === "retry" ? `${what}: a worker tries again` : `${what}: discarded`);
  } catch (problem) {
    announce(`Not done: ${problem.message}`);
    toast(`Not done: ${problem.message}`, true);
  } finally {
    busy -= 1;
    render();
  }
}

let asked = null;

// Asks before something; `yes` is the word on the button that does it.
export function question(title, body, yes, act) {
  const dialog = byId("sure");
  text(byId("sure-title"), title);
  text(byId("sure-text"), body);
  text(byId("sure-yes"), yes);
  text(byId("sure-no"), yes === "Discard" ? "Keep" : "Cancel");
  dialog.returnValue = "no";
  asked = act;
  dialog.showModal();
}

function sure(ids, name) {
  question(`Discard ${name ?? plural(ids.length, "record")}?`, "MongoDB keeps what it has; the two databases will not be equal there until the next change. A notice stays as a trace.",
    "Discard", () => act("discard", ids, name));
}

// The event comes some time after the dialog was closed: it may be open again by then, for another question.
function answer() {
  const dialog = byId("sure");
  if (dialog.open || !asked) return;
  const go = asked;
  asked = null;
  if (dialog.returnValue === "yes") go();
}

let looked = 0;

async function look(row) {
  const mine = ++looked;
  const dialog = byId("record");
  text(byId("record-title"), `${row.entity} ${row.key}`);
  const facts = byId("record-facts");
  const parts = byId("record-parts");
  facts.replaceChildren();
  parts.replaceChildren(make("p", { class: "muted" }, "reading …"));
  dialog.showModal();
  try {
    const one = await read(`parked/${row.id}`);
    if (mine !== looked) return; // somebody looks at another one by now
    const tell = [["Entity", one.entity], ["Key", one.key], ["What", one.verdict ?? one.note], ["Error", `${one.code}: ${one.error}`],
      ["Event", one.eventType], ["Tries", number(one.retryCount)], ["Changed", moment(one.createdAt)], ["Parked", moment(one.parkedAt)], ["Last tried", moment(one.triedAt)]];
    facts.replaceChildren(...tell.filter(([, value]) => value).flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, String(value))]));
    parts.replaceChildren(...part("Payload of the event", one.payload && pretty(JSON.parse(one.payload)), "none: the event carries no payload, what counts is the row as it is"),
      ...("row" in one ? part("Row in the source", one.row && pretty(one.row), "there is no such row any more") : []),
      ...("row" in one ? part("Document in MongoDB", one.document && pretty(one.document), one.targetError ?? "there is none") : []));
  } catch (problem) {
    if (mine === looked) parts.replaceChildren(make("p", { class: "problem" }, problem.message));
  }
}

export async function explain(entity, key) {
  if (!entity || !key) return;
  const mine = ++looked;
  const dialog = byId("record");
  text(byId("record-title"), `${entity} ${key}`);
  const facts = byId("record-facts");
  const parts = byId("record-parts");
  facts.replaceChildren();
  parts.replaceChildren(make("p", { class: "muted" }, "reading …"));
  if (!dialog.open) dialog.showModal();
  try {
    const one = await read(`explain?${new URLSearchParams({ entity, key })}`);
    if (mine !== looked) return;
    const tell = [["What", one.verdict], ["Both sides", comparison(one)], ["Table", one.table], ["Collection", one.collection],
      ["Lane", `${one.lane.lane}, ${one.lane.owner ? `owned by ${one.lane.owner}` : "no owner"}`],
      ["Ticket", one.ticket && `epoch ${number(one.ticket.epoch)}, batch ${number(one.ticket.batch)}`],
      ["Waiting", one.pending.length ? one.pending.map((event) => `${event.eventType}, ${moment(event.at)}`).join("; ") : "nothing"],
      ["Second delete", one.deferred.map((mark) => moment(mark.due)).join("; ")],
      ["Unfinished", one.tasks.map((task) => `${task.kind} (${task.reason})${task.running ? ", running" : ""}`).join("; ")],
      ["Error", one.parked && `${one.parked.code}: ${one.parked.error}`], ["Tries", one.parked && number(one.parked.retryCount)],
      ["Parked", one.parked && moment(one.parked.parkedAt)]];
    facts.replaceChildren(...tell.filter(([, value]) => value).flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, String(value))]));
    parts.replaceChildren(...(one.differences.length ? part("Fields that differ", one.differences.map(difference).join("\n")) : []),
      ...part("Row in the source", one.row && pretty(one.row), "there is no such row"),
      ...part("Document in MongoDB", one.document && pretty(one.document), one.targetError ?? "there is none"),
      ...part("Applied lately", one.history.map((event) => `${moment(event.processedAt)}  ${event.eventType}`).join("\n"), "nothing in the history"));
  } catch (problem) {
    if (mine === looked) parts.replaceChildren(make("p", { class: "problem" }, problem.message));
  }
}

function comparison(one) {
  if (one.equal) return "equal";
  if (one.equal === false) return one.differences.length ? `${plural(one.differences.length, "field")} differ${one.differences.length === 1 ? "s" : ""}` : "not equal";
  return one.notCompared ? `not compared: ${one.notCompared}` : "";
}

export const difference = ({ field, source, target }) => `${field}\n  source  ${JSON.stringify(source)}\n  target  ${JSON.stringify(target)}`;

export const pretty = (value) => JSON.stringify(value, null, 2);

export function part(title, content, otherwise) {
  const body = content ? make("pre", { tabindex: "0", "aria-label": title }, content) : make("p", { class: "muted" }, otherwise);
  return [make("h3", {}, title), body];
}

let timer = 0;
export function toast(message, bad = false) {
  let element = byId("toast");
  if (!element) {
    element = make("div", { id: "toast", "aria-hidden": "true" });
    document.body.append(element);
  }
  element.textContent = message;
  element.className = bad ? "bad shown" : "shown";
  clearTimeout(timer);
  timer = setTimeout(() => element.classList.remove("shown"), 6000);
}

export function prepare() {
  byId("sure").addEventListener("close", answer);
  byId("choose-all").addEventListener("change", (event) => {
    chosen.clear();
    if (event.target.checked) for (const row of shown()) chosen.add(row.id);
    render();
  });
  byId("retry-chosen").addEventListener("click", () => act("retry", [...chosen].slice(0, 500)));
  byId("discard-chosen").addEventListener("click", () => sure([...chosen].slice(0, 500)));
  byId("parked-more").addEventListener("click", async () => {
    const { rows } = await read(`parked?after=${shown().at(-1)?.id ?? 0}`);
    further.push(...rows);
    show(byId("parked-more"), rows.length > 0);
    render();
    announce(`${plural(rows.length, "record")} more`);
  });
}

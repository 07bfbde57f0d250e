// Collections of documents: phases, what waits, what was rejected, verifications, shadow reads.

import { announce, byId, classes, list, make, show, text } from "./dom.js";
import { read, send } from "./feed.js";
import { difference, part, pretty, question, toast } from "./parked.js";
import { ago, duration, moment, number, plural } from "./words.js";

const phases = { off: "waiting", dual_write: "healthy", shadow: "healthy", ramp: "healthy", live: "healthy", complete: "healthy" };
const said = { dual_write: "dual write" };
const serving = (one) => one.phase === "live" || one.phase === "complete";

const consequences = "It is verified first; what diverges is marked, and a worker writes those documents again.";

export const sides = { source: "MongoDB", target: "PostgreSQL" };

// Which side is the truth, in the order of the databases.
export function roles(collections) {
  const over = collections.filter(serving).length;
  if (!over) return ["source of truth", "kept equal to it"];
  if (over === collections.length) return ["written after PostgreSQL", "source of truth"];
  const share = `of ${over} of ${collections.length} collections`;
  return [`source of truth but ${share}`, `source of truth ${share}`];
}

export function collections(state) {
  const found = state.collections ?? [];
  document.body.classList.toggle("documents", Boolean(state.collections));
  show(byId("collections-section"), Boolean(state.collections));
  show(byId("rejected-section"), Boolean(state.collections));
  if (!state.collections) return;
  const proofs = new Map(state.certificates.map((certificate) => [certificate.entity, certificate]));
  text(byId("find-what"), "Collection");
  byId("find-key").placeholder = "an ObjectId's characters, or the _id as JSON";
  text(byId("phases-error"), state.phasesError ? `phases are not known at present: ${state.phasesError}` : "");
  text(byId("collections-verified"), proved(found, proofs));
  list(byId("collections"), found, (one) => one.name, row, { proofs, time: state.time, jobs: state.jobs, verifying: state.verifying });
  rejected(state);
}

function proved(found, proofs) {
  const equal = found.filter((one) => proofs.get(one.name)?.verdict === "equal" && !one.rejected).map((one) => proofs.get(one.name));
  if (equal.length < found.length) return `${equal.length} of ${found.length} proved equal; prove it with: syncline verify`;
  const oldest = equal.reduce((least, one) => (one.asOf < least ? one.asOf : least), equal[0].asOf);
  return `all proved equal: ${plural(equal.reduce((sum, one) => sum + one.records, 0), "document")}, as of ${moment(oldest)}`;
}

function row() {
  const name = make("span");
  const tables = make("span", { class: "muted tables" });
  const phase = make("span", { class: "pill" });
  const since = make("span", { class: "muted" });
  const behind = make("span", { class: "problem" });
  const numbers = ["Waiting", "Lag", "Parked"].map((label) => make("td", { "data-label": label, class: "number" }));
  const verdict = make("span", { class: "pill" });
  const when = make("span", { class: "muted" });
  const reads = make("td", { "data-label": "Shadow reads" });
  const buttons = ["verify", "repair"].map((what) => make("button", { type: "button" }, what));
  const element = make("tr", {}, make("th", { scope: "row" }, name, " ", tables), make("td", { "data-label": "Phase" }, phase, " ", since, " ", behind),
    ...numbers, make("td", { "data-label": "Verified" }, verdict, " ", when), reads, make("td", { class: "do" }, ...buttons));
  buttons.forEach((button) => button.addEventListener("click", () => ask(button.textContent, element.dataset.entity)));
  element.update = (one, { proofs, time, jobs, verifying }) => {
    element.dataset.entity = one.name;
    const busy = (jobs ?? []).some((job) => job.entity === one.name && job.state === "running");
    for (const button of buttons) {
      button.disabled = busy;
      button.setAttribute("aria-label", `${button.textContent} ${one.name}`);
    }
    text(name, one.name);
    text(tables, `→ ${one.tables.join(", ")}`);
    classes(phase, `pill ${one.behind?.length ? "degraded" : phases[one.phase] ?? "waiting"}`);
    text(phase, one.phase ? `${said[one.phase] ?? one.phase}${one.phase === "ramp" ? ` ${one.percent} %` : ""}` : "not known");
    text(since, one.since ? `since ${ago(one.since, time)}` : "");
    text(behind, one.behind?.length ? `not in effect yet in ${one.behind.join(", ")}` : "");
    const oldest = Math.max(one.oldestSeconds ?? 0, one.back?.oldestSeconds ?? 0);
    const late = one.waiting || one.back?.waiting ? duration(oldest) : one.waiting === 0 ? "none" : number(null);
    const values = [both(one.waiting, one.back?.waiting), late, both(one.rejected, one.back?.rejected)];
    values.forEach((value, place) => text(numbers[place], value));
    verification(one, proofs.get(one.name), verifying, time, { verdict, when });
    text(reads, shadow(one));
    classes(reads, one.shadow?.mismatches || one.shadow?.unproved ? "problem" : "");
  };
  return element;
}

// There, and back: what waits in PostgreSQL for MongoDB.
const both = (there, back) => (back ? `${number(there)}, ${number(back)} back` : number(there));

function verification(one, proof, verifying, time, { verdict, when }) {
  const spoiled = proof?.verdict === "equal" && one.rejected > 0; // what was rejected since is not equal any more
  classes(verdict, `pill ${spoiled ? "degraded" : { equal: "healthy", divergent: "unhealthy" }[proof?.verdict] ?? "waiting"}`);
  text(verdict, spoiled ? `${number(one.rejected)} parked since` : proof?.verdict ?? "never");
  const under = (verifying ?? []).find((pass) => pass.entity === one.name && pass.running);
  const proved = proof ? `${plural(proof.records, "document")}, as of ${ago(proof.asOf, time)}` : "";
  text(when, [proved, under && `${plural(under.records, "document")} of the next pass`].filter(Boolean).join("; "));
  when.title = proof ? moment(proof.asOf) : "";
}

function shadow(one) {
  if (!one.shadow) return one.phase ? "not known" : "";
  const { compared, mismatches, unproved } = one.shadow;
  if (!compared && !mismatches && !unproved) return "none";
  const wrong = [mismatches && `${plural(mismatches, "mismatch").replace("mismatchs", "mismatches")}`, unproved && `${number(unproved)} unproved`].filter(Boolean);
  return `${number(compared)} compared, ${wrong.length ? wrong.join(", ") : "no mismatch"}`;
}

function ask(what, entity) {
  const go = () => begin(what, entity);
  if (what === "repair") question(`Repair ${entity}?`, consequences, "Repair", go);
  else go();
}

async function tried(work, done) {
  try {
    await work();
    announce(done);
    toast(done);
  } catch (problem) {
    announce(`Not done: ${problem.message}`);
    toast(`Not done: ${problem.message}`, true);
  }
}

const begin = (what, entity) => tried(() => send(`entities/${what}`, { entity }), `${what} of ${entity}: asked for`);

function rejected(state) {
  const found = state.rejected;
  show(byId("rejected-scroll"), Boolean(found?.documents));
  show(byId("rejected-empty"), !found?.documents);
  text(byId("rejected-empty"), found ? "None. Every document that was written is in PostgreSQL or on its way." : "Not known at present.");
  const shown = found?.rows.length ?? 0;
  text(byId("rejected-summary"), found?.documents ? `${plural(found.documents, "document")}${shown < found.documents ? `, ${shown} shown` : ""}` : "");
  if (list(byId("rejected-rows"), found?.rows ?? [], (one) => `${one.entity} ${one.key}`, rejection, state)) byId("rejected-title").focus();
}

function rejection(one) {
  const name = `${one.entity} ${one.key}`;
  const error = make("span", { class: "error" });
  const given = make("span", { class: "pill unhealthy" }, "given up");
  const tries = make("td", { class: "number", "data-label": "Tries" });
  const since = make("time");
  const key = make("button", { type: "button", class: "link", "aria-label": `Everything about ${name}`, onclick: () => explainDocument(one.entity, one.key) }, one.key);
  const retry = make("button", { type: "button", "aria-label": `Retry ${name}`, onclick: () => tried(() => send("rejected/retry", { entity: one.entity, key: one.key }), `${name}: a worker tries again`) }, "Retry");
  const element = make("tr", {}, make("th", { scope: "row", class: "record" }, make("span", { class: "entity" }, one.entity), " ", key),
    make("td", { "data-label": "Reason", class: "wide" }, given, " ", error), tries, make("td", { "data-label": "Since" }, since), make("td", { class: "do" }, retry));
  element.update = (newest, { time }) => {
    show(given, newest.givenUp);
    text(error, newest.error);
    text(tries, number(newest.tries));
    text(since, ago(newest.since, time));
    since.dateTime = newest.since;
    since.title = moment(newest.since);
  };
  return element;
}

let looked = 0;

export async function explainDocument(entity, key) {
  if (!entity || !key) return;
  const mine = ++looked;
  const dialog = byId("record");
  const facts = byId("record-facts");
  const parts = byId("record-parts");
  text(byId("record-title"), `${entity} ${key}`);
  facts.replaceChildren();
  parts.replaceChildren(make("p", { class: "muted" }, "reading …"));
  if (!dialog.open) dialog.showModal();
  try {
    const one = await read(`explain?${new URLSearchParams({ entity, key })}`);
    if (mine !== looked) return;
    const tell = [["What", one.verdict], ["Version", one.version], ["Mark", one.mark], ["Deleted", one.tombstone ? "there is a tombstone" : ""],
      ["PostgreSQL has", one.kept && `version ${one.kept.version}${one.kept.deleted ? ", deleted" : ""}`], ["Rejected", one.parked]];
    facts.replaceChildren(...tell.filter(([, value]) => value).flatMap(([term, value]) => [make("dt", {}, term), make("dd", {}, String(value))]));
    parts.replaceChildren(...(one.differences.length ? part("Fields that differ", one.differences.map(difference).join("\n")) : []),
      ...part("Document in MongoDB", one.document && pretty(one.document), "there is none"),
      ...Object.entries(one.rows).flatMap(([table, rows]) => part(`Rows of ${table}`, rows.length ? pretty(rows) : "", "there is none")));
  } catch (problem) {
    if (mine === looked) parts.replaceChildren(make("p", { class: "problem" }, problem.message));
  }
}

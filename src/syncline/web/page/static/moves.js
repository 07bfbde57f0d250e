// Where tables that move to a database of their own stand, step by step.

import { byId, classes, list, make, show, text } from "./dom.js";
import { ago, duration, moment, number, plural } from "./words.js";

const steps = ["schema", "copy", "follow", "switch", "finish"];
const reached = { schema: 0, copying: 1, following: 2, back: 2, switching: 3, switched: 3, finished: 5, aborted: -1 };
const words = { switching: "changing sides", back: "brought back", aborted: "given up" };

const plain = (words) => words.replaceAll("`", "");

function pill(word) {
  if (word === "switching" || word === "aborted") return "degraded";
  return word === "switched" || word === "finished" ? "healthy" : "waiting";
}

// What is said in a line each; nothing where there is nothing to say.
function facts(move, time) {
  const guard = move.guard;
  return [
    ["Serves", move.serving ?? "neither side accepts writes at the moment"],
    ...(move.changes ?? []).slice(0, 3).map((one, place) => [place ? "Before" : "Last change", `to ${one.to}, ${ago(one.at, time)}${one.pausedMs === null ? "" : `; writers were paused for ${number(one.pausedMs)} ms`}`]),
    ...Object.entries(move.links).map(([side, link]) => [`Written on ${side}`, `${plural(link.queueSize, "change")} waiting, ${duration(link.lagSeconds)} of lag, ${plural(link.workers, "worker")}${link.parked ? `, ${number(link.parked)} parked` : ""}`]),
    guard && ["Boundary guard", `clean for ${duration(guard.cleanSeconds)}; ${plural(guard.statements, "statement")} looked at, ${plural(guard.findings, "finding")}${guard.latest ? `, the last one ${guard.latest}` : ""}`],
    move.rehearsed && ["Rehearsed", `${ago(move.rehearsed.at, time)}: ${duration(move.rehearsed.seconds)}, writers were paused for ${number(move.rehearsed.switchPausedMs)} ms, and ${number(move.rehearsed.backPausedMs)} ms on the way back`],
    ...move.forced.map((one) => ["Forced", `${one.what}, ${ago(one.at, time)}: ${one.reason}`]),
    ["Next", plain(move.next)],
  ].filter(Boolean);
}

function tables(move) {
  const proofs = new Map(move.verified.map((one) => [one.table, one]));
  const tests = new Map(move.wayBack.map((one) => [one.entity, one]));
  return move.tables.map((table) => {
    const proof = proofs.get(table);
    const entity = proof?.entity;
    const held = Object.values(move.links).some((link) => link.held.includes(entity));
    const copying = Object.values(move.links).some((link) => link.copying.includes(entity));
    return { table, proof, test: tests.get(entity), state: held ? "stopped" : copying ? "being copied" : proof ? "follows" : "" };
  });
}

function row() {
  const state = make("td", { "data-label": "Rows" });
  const verdict = make("span", { class: "pill" });
  const when = make("span", { class: "muted" });
  const tested = make("td", { "data-label": "Way back", class: "wide" });
  const name = make("th", { scope: "row" });
  const element = make("tr", {}, name, state, make("td", { "data-label": "Verified" }, verdict, " ", when), tested);
  element.update = (one, { time }) => {
    text(name, one.table);
    text(state, one.state);
    const old = one.proof?.verdict && !one.proof.sinceTheCopy;
    classes(verdict, `pill ${old ? "degraded" : { equal: "healthy", divergent: "unhealthy" }[one.proof?.verdict] ?? "waiting"}`);
    text(verdict, one.proof?.verdict ?? "never");
    text(when, one.proof?.asOf ? `${ago(one.proof.asOf, time)}${old ? ", before the copy, a way back or an alteration" : ""}` : "");
    when.title = one.proof?.asOf ? moment(one.proof.asOf) : "";
    classes(tested, one.test?.problem ? "wide problem" : "wide");
    text(tested, one.test ? one.test.problem ?? `tested ${ago(one.test.testedAt, time)}` : "not tested");
  };
  return element;
}

function card(move) {
  const word = make("span", { class: "pill" });
  const way = make("ol", { class: "steps" });
  const told = make("dl");
  const against = make("ul", { class: "plain" });
  const body = make("tbody");
  const heads = ["Table", "Rows", "Verified", "Way back"].map((head) => make("th", { scope: "col" }, head));
  const table = make("table", { class: "stack" }, make("caption", { class: "unseen" }, `Tables of ${move.database}`), make("thead", {}, make("tr", {}, ...heads)), body);
  const scroll = make("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": `Tables of ${move.database}` }, table);
  const element = make("article", { class: "card move" }, make("div", { class: "title" }, make("h3", {}, move.database), word), way, told, against, scroll);
  element.update = (newest, state) => {
    const at = reached[newest.phase] ?? 0;
    classes(word, `pill ${pill(newest.phase)}`);
    text(word, words[newest.phase] ?? newest.phase);
    list(way, steps, (step) => step, step, { at });
    list(told, facts(newest, state.time), ([name], place) => `${name} ${place}`, fact);
    list(against, newest.against, (line) => line, (line) => {
      const item = make("li", { class: "alert warning" }, make("b", {}, newest.serving === newest.database ? "Speaks against the way back:" : "Speaks against a switch:"), ` ${plain(line)}`);
      item.update = () => {};
      return item;
    });
    list(body, tables(newest), (one) => one.table, row, state);
  };
  return element;
}

function step(name) {
  const place = steps.indexOf(name);
  const how = make("span", { class: "unseen" });
  const element = make("li", {}, name, how);
  element.update = (_, { at }) => {
    const now = place === at;
    classes(element, place < at ? "done" : now ? "now" : "");
    text(how, place < at ? ": done" : now ? ": at present" : ": not yet");
    if (now) element.setAttribute("aria-current", "step");
    else element.removeAttribute("aria-current");
  };
  return element;
}

function fact([name]) {
  const what = make("dd");
  const element = make("div", { class: "fact" }, make("dt", {}, name), what);
  element.update = ([, newest]) => text(what, newest);
  return element;
}

export function moves(state) {
  const found = state.moves ?? [];
  show(byId("moves-section"), found.length > 0 || Boolean(state.movesError));
  text(byId("moves-error"), state.movesError ? `not known at present: ${state.movesError}` : "");
  list(byId("moves"), found, (move) => move.database, card, state);
}

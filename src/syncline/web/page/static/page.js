// Puts each new state into the page.

import { collections, explainDocument, roles, sides } from "./collections.js";
import { announce, byId, classes, list, make, show, text } from "./dom.js";
import { follow, send } from "./feed.js";
import { moves } from "./moves.js";
import { explain, parked, prepare, question, toast } from "./parked.js";
import { Plot } from "./plot.js";
import { ago, duration, milliseconds, moment, number, plural, ranges, short, timeOfDay } from "./words.js";

const plots = {
  queue: new Plot({ column: "queue", title: "Queue", what: "Changes", kind: "queue", unit: short, format: number, read: (v) => plural(v, "change"), least: 4 }),
  lag: new Plot({ column: "lag", title: "Lag", what: "Seconds", kind: "lag", unit: (v) => `${short(v)} s`, format: duration, least: 1 }),
  rate: new Plot({ column: "rate", title: "Throughput", what: "Records per second", kind: "rate", unit: short, format: (v) => `${short(v)}/s`, read: (v) => `${short(v)} records/s`, least: 4 }),
};
const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const names = { postgresql: "PostgreSQL", cockroachdb: "CockroachDB", mongodb: "MongoDB", ...sides };
let past = null;
let before = null;

function keep(point) {
  const last = past.points.at(-1);
  if (last && last[0] === point[0]) past.points[past.points.length - 1] = point;
  else past.points.push(point);
  while (past.points.length && past.points[0][0] < point[0] - past.span) past.points.shift();
}

function health(state) {
  classes(byId("health"), `pill ${state.status}`);
  text(byId("health"), state.status);
  document.title = `${state.status === "healthy" ? "" : `${state.status}: `}Syncline operations`;
  const told = [`${state.status}`, ...Object.entries(state.databases).filter(([, d]) => d.state !== "connected").map(([name]) => `${names[name] ?? name} is disconnected`),
    ...state.alerts.map((alert) => alert.message)].join("; ");
  banner(state);
  if (before !== null && before !== told) announce(`Status: ${told}`);
  before = told;
}

const meant = { degraded: "Degraded: nothing is lost; readers of the other side may see older data.", unhealthy: "Unhealthy: somebody must look at this now." };

function banner(state) {
  const element = byId("banner");
  show(element, state.status !== "healthy");
  classes(element, `banner ${state.status}`);
  text(element, meant[state.status] ?? state.status);
}

function alerts(state) {
  show(byId("alerts"), state.alerts.length > 0);
  list(byId("alert-list"), state.alerts, (alert) => `${alert.name} ${alert.severity} ${alert.threshold ? "" : alert.message}`, () => {
    const severity = make("strong");
    const name = make("span", { class: "code" });
    const message = make("span");
    const help = make("a", {}, "what to do");
    const element = make("li", {}, severity, " ", name, " ", message, " ", help);
    element.update = (alert) => {
      help.href = `runbook?${new URLSearchParams({ for: alert.name })}`;
      classes(element, `alert ${alert.severity}`);
      text(severity, alert.severity);
      text(name, alert.name);
      text(message, alert.message);
    };
    return element;
  });
}

function databases(state) {
  const role = roles(state.collections ?? []);
  const found = Object.entries(state.databases).map(([name, database], place) => ({ name, ...database, role: role[place] ?? "", address: state.addresses?.[place] ?? "" }));
  list(byId("databases"), found, (d) => d.name, (d) => {
    const pill = make("span", { class: "pill" });
    const detail = make("p", { class: "muted detail" });
    const element = make("article", { class: "card database" }, make("div", { class: "title" }, make("h3", {}, names[d.name] ?? d.name), pill), make("p", { class: "muted" }, d.role), make("p", { class: "code address" }, d.address), detail);
    element.update = (newest) => {
      const up = newest.state === "connected";
      classes(pill, `pill ${up ? "healthy" : "unhealthy"}`);
      text(pill, newest.state);
      classes(detail, up ? "muted detail" : "problem detail");
      text(detail, up ? [newest.version && `version ${newest.version}`, newest.latencyMs !== null && `${newest.latencyMs} ms`].filter(Boolean).join(" · ") : newest.error);
    };
    return element;
  });
}

function curves(state) {
  if (state.point) keep(state.point);
  const sync = state.sync;
  const common = { history: past, now: state.time, range };
  plots.queue.show({ ...common, bounds: state.thresholds.queue, current: sync.queueSize, note: sync.heldByCopy ? `and ${plural(sync.heldByCopy, "change")} until their tables are copied` : sync.deferredDeletes ? `and ${plural(sync.deferredDeletes, "second delete")} not yet due` : "changes on their way" });
  plots.lag.show({ ...common, bounds: state.thresholds.lag, current: sync.syncLagSeconds, note: waits(state.recent?.latencyMs) });
  plots.rate.show({ ...common, current: state.rate, note: state.collections ? "documents written to PostgreSQL" : "records written to MongoDB" });
  const watched = state.time - state.watchedSince;
  text(byId("since"), watched < past.span ? `watched since this page's server started, ${duration(watched)} ago` : "");
}

// From commit to visible, of the changes of the last minute.
function waits(latency) {
  if (!latency?.changes) return "age of the oldest of them";
  return `commit to visible: p50 ${milliseconds(latency.p50)}, p99 ${milliseconds(latency.p99)}`;
}

let range = 0; // seconds that the curves show; 0: what was watched
let newest = null;

function ranged() {
  for (const button of document.querySelectorAll("#range button")) {
    button.addEventListener("click", () => {
      range = Number(button.dataset.seconds);
      for (const other of document.querySelectorAll("#range button")) other.setAttribute("aria-pressed", String(other === button));
      if (newest) curves(newest);
    });
  }
}

function events(state) {
  const found = state.recent?.events ?? [];
  show(byId("events-scroll"), found.length > 0);
  show(byId("events-empty"), !found.length);
  text(byId("events-empty"), state.recent === undefined ? "Not known at present." : state.recent === null ? "No history is kept: see [history] in the configuration." : "None yet.");
  list(byId("events"), found, (event) => `${event.entity} ${event.key} ${event.eventType} ${event.createdAt} ${event.processedAt}`, (event) => {
    const when = make("time");
    const key = make("button", { type: "button", class: "link", "aria-label": `Everything about ${event.entity} ${event.key}`, onclick: () => explain(event.entity, event.key) }, event.key);
    const took = make("td", { class: "number", "data-label": "Took" }, milliseconds(new Date(event.processedAt) - new Date(event.createdAt)));
    const element = make("tr", {}, make("th", { scope: "row" }, event.eventType), make("td", { "data-label": "Record" }, make("span", { class: "entity" }, event.entity), " ", key), took, make("td", { "data-label": "Applied" }, when));
    element.update = (_, { time }) => stamp(when, event.processedAt, time);
    return element;
  }, state);
}

function jobs(state) {
  list(byId(state.collections ? "document-jobs" : "jobs"), state.jobs ?? [], (job) => job.id, (job) => {
    const pill = make("span", { class: "pill" });
    const told = make("span");
    const element = make("li", {}, make("strong", {}, `${job.what} ${job.entity}`), " ", pill, " ", told);
    element.update = ({ state: how, message, done, total }) => {
      classes(pill, `pill ${{ running: "waiting", done: "healthy" }[how] ?? "unhealthy"}`);
      text(pill, how);
      text(told, message || (total ? `${number(done)} of about ${number(total)}` : ""));
    };
    return element;
  });
}

function workers(state) {
  const found = state.workers;
  const owners = state.laneOwners ?? [];
  const signs = new Map(found.map((worker, place) => [worker.id, letters[place % letters.length]]));
  const context = { found, owners, signs, now: state.time };
  const known = state.lanes.total !== undefined || (Boolean(state.collections) && state.databases.target?.state === "connected");
  show(byId("workers-scroll"), found.length > 0);
  show(byId("workers-empty"), !found.length);
  text(byId("workers-empty"), known ? "None is running. Changes wait; start one with: syncline worker" : "Not known at present.");
  text(byId("lanes-summary"), state.lanes.total !== undefined ? `${number(state.lanes.owned)} of ${number(state.lanes.total)} lanes are owned` : "");
  list(byId("lanes"), owners.map((owner, lane) => ({ owner, lane })), (one) => one.lane, (one) => {
    const element = make("li");
    element.update = ({ owner }, { signs, found }) => {
      const sign = signs.get(owner) ?? "";
      classes(element, sign ? `lane w${letters.indexOf(sign) % 6}` : "lane free");
      text(element, sign);
      element.title = `lane ${one.lane}: ${found.find((worker) => worker.id === owner)?.name ?? "free"}`;
    };
    return element;
  }, context);
  list(byId("workers"), found, (worker) => worker.id, () => {
    const sign = make("span", { class: "lane", "aria-hidden": "true" });
    const name = make("span");
    const version = make("span", { class: "muted" });
    const pill = make("span", { class: "pill" });
    const trouble = make("span", { class: "error" });
    const cells = ["Lanes", "Records/s", "Applied", "Stale", "Parked"].map((label, place) => make("td", { "data-label": label, class: place ? "number" : "of-tables" }));
    const since = make("time");
    const element = make("tr", {}, make("th", { scope: "row" }, sign, " ", name, " ", version), make("td", { "data-label": "State" }, pill, " ", trouble), ...cells, make("td", { "data-label": "Started" }, since));
    element.update = (worker, { owners, signs, now }) => {
      const own = owners.flatMap((owner, lane) => (owner === worker.id ? [lane] : []));
      const report = worker.report;
      classes(sign, `lane w${letters.indexOf(signs.get(worker.id)) % 6}`);
      text(sign, signs.get(worker.id));
      text(name, worker.name);
      text(version, worker.version);
      classes(pill, `pill ${worker.alive ? "healthy" : "unhealthy"}`);
      text(pill, worker.alive ? "alive" : "gone");
      text(trouble, report.targetError ?? "");
      text(cells[0], own.length ? `${own.length} (${ranges(own)})` : "none");
      text(cells[1], worker.alive ? short(report.rate) : "");
      text(cells[2], number((report.applied ?? 0) + (report.deleted ?? 0)));
      text(cells[3], number(report.stale));
      text(cells[4], number(report.rejected));
      stamp(since, worker.startedAt, now);
    };
    return element;
  }, context);
}

function tasks(state) {
  show(byId("tasks-empty"), !state.tasks.length);
  text(byId("tasks-empty"), state.sync.queueSize === null ? "Not known at present." : "None is running.");
  list(byId("tasks"), state.tasks, (task) => task.id, (task) => {
    const name = `${task.kind === "backfill" ? "Backfill" : "Sweep"} of ${task.entity}`;
    const bar = make("progress", { "aria-label": name });
    const told = make("span", { class: "muted" });
    const pill = make("span", { class: "pill" });
    const element = make("li", { class: "card task" }, make("strong", {}, name), " ", make("span", { class: "muted" }, `(${task.reason})`), " ", pill, bar, told);
    element.update = ({ progress, running, createdAt: created }, { time }) => {
      const { done = 0, total = null, marked = 0 } = progress;
      classes(pill, `pill ${running ? "healthy" : "waiting"}`);
      text(pill, running ? "running" : "waiting for a worker");
      if (total) {
        bar.max = Math.max(total, done);
        bar.value = done;
      } else bar.removeAttribute("value");
      const share = total ? ` of about ${number(total)}, ${Math.min(100, Math.floor((100 * done) / total))} %` : "";
      text(told, `${number(done)}${share} · ${number(marked)} marked · asked for ${ago(created, time)}`);
    };
    return element;
  }, state);
}

function entities(state) {
  const found = state.entities ?? [];
  const proofs = new Map(state.certificates.map((certificate) => [certificate.entity, certificate]));
  show(byId("entities-scroll"), found.length > 0);
  show(byId("entities-empty"), !found.length);
  text(byId("entities-empty"), state.entities ? "None is installed: syncline install" : "Not known at present.");
  text(byId("verified"), state.entities ? proved(found, state.certificates) : "");
  list(byId("entities"), found, (entity) => entity.name, () => {
    const cells = ["Entity", "From → to", "Capture", "Waiting", "Parked"].map((label, place) => make(place ? "td" : "th", place ? { "data-label": label, class: place > 2 ? "number" : "" } : { scope: "row" }));
    const pill = make("span", { class: "pill" });
    const when = make("span", { class: "muted" });
    const rate = make("td", { "data-label": "Changes/s", class: "number" });
    const buttons = ["verify", "repair", "backfill"].map((what) => make("button", { type: "button" }, what));
    cells.splice(3, 0, rate);
    const element = make("tr", {}, ...cells, make("td", { "data-label": "Verified" }, pill, " ", when), make("td", { class: "do" }, ...buttons));
    buttons.forEach((button) => button.addEventListener("click", () => ask(button.textContent, element.dataset.entity)));
    element.update = (entity, { proofs, now, recent, jobs }) => {
      element.dataset.entity = entity.name;
      const busy = (jobs ?? []).some((job) => job.entity === entity.name && job.state === "running");
      for (const button of buttons) {
        button.disabled = busy;
        button.setAttribute("aria-label", `${button.textContent} ${entity.name}`);
      }
      const proof = proofs.get(entity.name);
      const values = [entity.name, `${entity.table} → ${entity.collection}`, entity.capture, recent ? short(recent.rates[entity.name] ?? 0) : "", number(entity.waiting), number(entity.parked)];
      values.forEach((value, place) => text(cells[place], value));
      const spoiled = proof?.verdict === "equal" && entity.parked > 0; // what is parked since is not equal any more
      classes(pill, `pill ${spoiled ? "degraded" : { equal: "healthy", divergent: "unhealthy" }[proof?.verdict] ?? "waiting"}`);
      text(pill, spoiled ? `${number(entity.parked)} parked since` : proof?.verdict ?? "never");
      text(when, proof ? `${plural(proof.records, "record")}${spoiled ? " were equal" : ""}, as of ${ago(proof.asOf, now)}` : "");
      when.title = proof ? moment(proof.asOf) : "";
    };
    return element;
  }, { proofs, now: state.time, recent: state.recent, jobs: state.jobs });
  offer((state.collections ?? found).map((entity) => entity.name));
}

const consequences = {
  repair: "It is verified first; what diverges is marked, and a worker writes those records again.",
  backfill: "Every record is marked: a worker writes them all again, and removes documents without a row.",
};

function ask(what, entity) {
  const go = () => begin(what, entity);
  if (consequences[what]) question(`${what === "repair" ? "Repair" : "Backfill"} ${entity}?`, consequences[what], what === "repair" ? "Repair" : "Backfill", go);
  else go();
}

async function begin(what, entity) {
  try {
    await send(`entities/${what}`, { entity });
    toast(`${what} of ${entity}: asked for`);
    announce(`${what} of ${entity}: asked for`);
  } catch (problem) {
    announce(`Not done: ${problem.message}`);
    toast(`Not done: ${problem.message}`, true);
  }
}

function offer(wanted) {
  const select = byId("find-entity");
  if (wanted.join("\0") === [...select.options].map((option) => option.value).join("\0")) return;
  const chosen = select.value;
  select.replaceChildren(...wanted.map((name) => make("option", { value: name }, name)));
  if (wanted.includes(chosen)) select.value = chosen;
}

function proved(found, certificates) {
  if (!found.length) return "";
  const parkedNow = new Set(found.filter((entity) => entity.parked).map((entity) => entity.name));
  const equal = certificates.filter((certificate) => certificate.verdict === "equal" && !parkedNow.has(certificate.entity));
  if (equal.length < found.length) return `${equal.length} of ${found.length} proved equal; prove it with: syncline verify`;
  const oldest = equal.reduce((least, one) => (one.asOf < least ? one.asOf : least), equal[0].asOf);
  return `all proved equal: ${plural(equal.reduce((sum, one) => sum + one.records, 0), "record")}, as of ${moment(oldest)}`;
}

function notices(state) {
  show(byId("notices-empty"), !state.notices.length);
  text(byId("notices-empty"), state.sync.queueSize === null ? "Not known at present." : "None.");
  list(byId("notices"), state.notices, (notice) => `${notice.id} ${notice.message}`, (notice) => {
    const when = make("time");
    const resolve = make("button", { type: "button", "aria-label": `Resolve ${notice.name}`, onclick: () => resolved(notice) }, "Resolve");
    const element = make("li", { class: notice.severity }, when, " ", make("strong", {}, notice.name), " ", make("span", {}, notice.message), " ", resolve);
    element.update = (newest, { time, collections }) => {
      show(resolve, !newest.resolvedAt && newest.severity !== "info" && !collections); // a verification settles those of documents
      stamp(when, newest.at, time);
    };
    return element;
  }, state);
}

async function resolved(notice) {
  try {
    await send("notices/resolve", { ids: [notice.id] });
    announce(`${notice.name}: resolved`);
    toast(`${notice.name}: resolved`);
  } catch (problem) {
    announce(`Not done: ${problem.message}`);
    toast(`Not done: ${problem.message}`, true);
  }
}

function stamp(element, iso, now) {
  text(element, ago(iso, now));
  if (element.dateTime !== iso) {
    element.dateTime = iso;
    element.title = moment(iso);
  }
}

function feed(way) {
  const told = { live: "live", polling: "looking every 5 s", lost: "no connection, trying again" }[way];
  classes(byId("feed"), `feed ${way}`);
  if (byId("feed-text").textContent.split(",")[0] !== told.split(",")[0] && way === "lost") announce("The connection to the page's server is lost");
  text(byId("feed-text"), told);
}

byId("plots").append(...Object.values(plots).map((plot) => plot.element));
byId("logout").addEventListener("click", async () => {
  await send("logout", {}).catch(() => null);
  location.assign("login");
});
prepare();
ranged();
byId("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const find = newest?.collections ? explainDocument : explain;
  find(byId("find-entity").value, byId("find-key").value.trim());
});
follow({
  feed,
  history: (found) => {
    past = found;
  },
  state: (state) => {
    newest = state;
    for (const part of [health, alerts, databases, collections, moves, curves, parked, workers, tasks, entities, jobs, events, notices]) {
      try {
        part(state);
      } catch (problem) {
        reportError(problem); // one part that cannot be shown does not hide the others
      }
    }
    document.body.dataset.seen = timeOfDay(state.time);
  },
});

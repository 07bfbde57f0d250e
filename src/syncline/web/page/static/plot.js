// A curve of the last hour as SVG: gaps where nothing was known, bounds where they are near, a cursor for pointer and keys.

import { make, text } from "./dom.js";
import { timeOfDay } from "./words.js";

const NS = "http://www.w3.org/2000/svg";
const HEIGHT = 150;
const LEFT = 44;
const RIGHT = 8;
const TOP = 10;
const BOTTOM = 20;
const SPANS = [300, 900, 1800]; // seconds that are shown while less than the whole hour was watched

function draw(parent, tag, attributes, content) {
  const element = document.createElementNS(NS, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (content !== undefined) element.textContent = content;
  parent.append(element);
  return element;
}

function niceTop(value, least) {
  const top = Math.max(value * 1.1, least);
  const power = 10 ** Math.floor(Math.log10(top));
  return [1, 2, 4, 6, 8, 10].map((factor) => factor * power).find((candidate) => candidate >= top);
}

export class Plot {
  // column: name in the history; format: for people; read: with its unit, for the read-out; least: smallest top of the scale
  constructor({ column, title, unit, format, read = format, least, kind, what }) {
    Object.assign(this, { column, title, unit, format, read, least, what });
    this.points = [];
    this.chosen = null;
    this.value = make("p", { class: "value" }, "–");
    this.note = make("p", { class: "muted note" });
    this.readout = make("p", { class: "readout", "aria-live": "polite" });
    this.svg = document.createElementNS(NS, "svg");
    this.svg.setAttribute("role", "img");
    this.svg.setAttribute("height", HEIGHT);
    const area = make("div", { class: "area", tabindex: "0", role: "group", "aria-label": `${title}: left and right arrow read single values` });
    area.append(this.svg);
    this.rows = make("tbody");
    const table = make("table", {}, make("caption", { class: "unseen" }, `${title}, highest of every five minutes`),
      make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Time"), make("th", { scope: "col", class: "number" }, what))), this.rows);
    this.details = make("details", { ontoggle: () => this.tabulate() }, make("summary", {}, "As a table"), table);
    this.element = make("figure", { class: `plot ${kind}` },
      make("figcaption", {}, make("h3", {}, title), this.value, this.note), area, this.readout, this.details);
    area.addEventListener("pointermove", (event) => this.point(event));
    area.addEventListener("pointerleave", () => this.choose(null));
    area.addEventListener("blur", () => this.choose(null));
    area.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.render()).observe(area);
    this.area = area;
  }

  show({ history, now, bounds, current, note, range }) {
    const at = history.names.indexOf("time");
    const column = history.names.indexOf(this.column);
    const source = history.names.indexOf("sourceUp");
    const target = history.names.indexOf("targetUp");
    this.points = history.points.map((p) => ({ at: p[at], value: p[column], down: !p[source] ? "source" : !p[target] ? "target" : "" }));
    const watched = now - (this.points[0]?.at ?? now);
    const least = SPANS.find((span) => span >= watched) ?? history.span;
    Object.assign(this, { now, bounds: bounds ?? [], span: range ? Math.min(range, history.span) : least, step: history.step });
    text(this.value, this.format(current));
    text(this.note, note ?? "");
    const level = current === null || current === undefined ? "" : this.bounds.filter((bound) => current > bound).length;
    this.value.dataset.level = level;
    this.render();
    if (this.details.open) this.tabulate();
  }

  render() {
    const width = this.area.clientWidth;
    if (!width || !this.now) return;
    const inner = { x: LEFT, y: TOP, width: width - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM };
    const start = this.now - this.span;
    const known = this.points.filter((p) => p.value !== null && p.at + this.step >= start);
    const highest = known.reduce((most, p) => Math.max(most, p.value), 0);
    const top = niceTop(highest, this.least);
    const x = (at) => inner.x + Math.min(1, Math.max(0, (at - start) / this.span)) * inner.width;
    const y = (value) => inner.y + (1 - value / top) * inner.height;
    this.place = { x, y, start, inner };
    this.svg.replaceChildren();
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.setAttribute("aria-label", this.summary(known, highest));
    for (const part of [0, 0.5, 1]) {
      const level = y(top * part);
      draw(this.svg, "line", { x1: inner.x, x2: inner.x + inner.width, y1: level, y2: level, class: "grid" });
      draw(this.svg, "text", { x: inner.x - 6, y: level + 4, "text-anchor": "end" }, this.unit(top * part));
    }
    const every = this.span / (inner.width > 420 ? 6 : 3);
    for (let at = Math.ceil((start + 1) / every) * every; at < this.now; at += every) {
      if (x(at) < inner.x + 14 || x(at) > inner.x + inner.width - 14) continue;
      draw(this.svg, "line", { x1: x(at), x2: x(at), y1: inner.y + inner.height, y2: inner.y + inner.height + 4, class: "grid" });
      draw(this.svg, "text", { x: x(at), y: HEIGHT - 3, "text-anchor": "middle" }, timeOfDay(at));
    }
    this.shade(x, inner, start);
    this.bounds.forEach((bound, severity) => {
      if (bound > top) return;
      draw(this.svg, "line", { x1: inner.x, x2: inner.x + inner.width, y1: y(bound), y2: y(bound), class: severity ? "critical" : "warning" });
    });
    this.curve(x, y, inner, start);
    this.cursor = draw(this.svg, "g", { class: "cursor" });
    this.mark();
  }

  shade(x, inner, start) {
    const first = this.points[0]?.at ?? this.now;
    if (first > start + this.step) {
      const width = x(first) - inner.x;
      draw(this.svg, "rect", { x: inner.x, y: inner.y, width, height: inner.height, class: "unwatched" });
      if (width > 90) draw(this.svg, "text", { x: inner.x + width / 2, y: inner.y + inner.height / 4 + 4, "text-anchor": "middle" }, "not watched yet");
    }
    let from = null;
    this.points.forEach((p, place) => {
      if (!p.down || p.at + this.step < start) return;
      from ??= p.at;
      const next = this.points[place + 1];
      if (next && next.down === p.down) return;
      draw(this.svg, "rect", { x: x(from), y: inner.y, width: Math.max(1, x(p.at + this.step) - x(from)), height: inner.height, class: `down-${p.down}` });
      from = null;
    });
  }

  curve(x, y, inner, start) {
    let run = [];
    const bottom = inner.y + inner.height;
    const flush = () => {
      if (run.length) {
        const line = run.map(([px, py], place) => `${place ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`).join("");
        draw(this.svg, "path", { d: `${line}L${run.at(-1)[0].toFixed(1)} ${bottom}L${run[0][0].toFixed(1)} ${bottom}Z`, class: "fill" });
        draw(this.svg, "path", { d: run.length > 1 ? line : `${line}h2`, class: "line" });
      }
      run = [];
    };
    let before = null;
    for (const p of this.points) {
      if (p.at + this.step < start) continue;
      if (p.value === null || (before !== null && p.at - before > this.step * 3)) flush();
      if (p.value !== null) run.push([x(Math.min(p.at + this.step / 2, this.now)), y(p.value)]);
      before = p.at;
    }
    flush();
  }

  summary(known, highest) {
    if (!known.length) return `${this.title}: nothing known yet`;
    const when = known.find((p) => p.value === highest);
    return `${this.title} over the last hour: now ${this.format(known.at(-1).value)}, highest ${this.format(highest)} at ${timeOfDay(when.at)}`;
  }

  point(event) {
    if (!this.place) return;
    const { inner, start } = this.place;
    const at = start + ((event.clientX - this.svg.getBoundingClientRect().left - inner.x) / inner.width) * this.span;
    const near = this.points.reduce((best, p) => (best === null || Math.abs(p.at + this.step / 2 - at) < Math.abs(best.at + this.step / 2 - at) ? p : best), null);
    this.choose(near && Math.abs(near.at - at) < this.step * 3 ? near.at : null);
  }

  key(event) {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const place = this.points.findIndex((p) => p.at === this.chosen);
    if (event.key === "Escape") this.choose(null);
    else if (event.key === "Home") this.choose(this.points[0]?.at ?? null);
    else if (event.key === "End") this.choose(this.points.at(-1)?.at ?? null);
    else if (move) this.choose(this.points[place < 0 ? this.points.length - 1 : Math.min(this.points.length - 1, Math.max(0, place + move))]?.at ?? null);
    else return;
    event.preventDefault();
  }

  choose(at) {
    this.chosen = at;
    this.mark();
  }

  mark() {
    if (!this.cursor) return;
    this.cursor.replaceChildren();
    const p = this.points.find((one) => one.at === this.chosen);
    text(this.readout, p ? `${timeOfDay(p.at)}  ${p.value === null ? (p.down ? `${p.down} down` : "not known") : this.read(p.value)}` : "");
    if (!p) return;
    const { x, y, inner } = this.place;
    const at = x(Math.min(p.at + this.step / 2, this.now));
    draw(this.cursor, "line", { x1: at, x2: at, y1: inner.y, y2: inner.y + inner.height });
    if (p.value !== null) draw(this.cursor, "circle", { cx: at, cy: y(p.value), r: 4 });
  }

  tabulate() {
    if (!this.details.open) return;
    const blocks = new Map();
    for (const p of this.points) {
      const block = Math.floor(p.at / 300) * 300;
      if (p.value !== null) blocks.set(block, Math.max(blocks.get(block) ?? 0, p.value));
      else if (!blocks.has(block)) blocks.set(block, null);
    }
    this.rows.replaceChildren(...[...blocks].map(([at, value]) =>
      make("tr", {}, make("th", { scope: "row" }, timeOfDay(at)), make("td", { class: "number" }, value === null ? "not known" : this.format(value)))));
  }
}

// Making and changing elements. Values from the databases become text, never markup.

export const byId = (id) => document.getElementById(id);

// On a telephone tables are laid out as blocks, which takes their roles away: so they are said.
const roles = { table: "table", thead: "rowgroup", tbody: "rowgroup", tr: "row", td: "cell" };

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  if (tag === "th") element.setAttribute("role", attributes.scope === "row" ? "rowheader" : "columnheader");
  else if (roles[tag]) element.setAttribute("role", roles[tag]);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children);
  return element;
}

export function text(element, value) {
  const wanted = value === null || value === undefined ? "" : String(value);
  if (element.textContent !== wanted) element.textContent = wanted;
  return element;
}

export function classes(element, value) {
  if (element.className !== value) element.className = value;
}

export function show(element, shown) {
  if (element.hidden === shown) element.hidden = !shown;
}

// Keeps the children of `parent` in step with `items`, by key: what stays is changed in place, so that focus, choice and
// selection stay too. `create` makes a child with a function `update`, which is given the item and the `state` each time
// (what `create` sees itself is soon old). Returns whether the focus was in what went away.
const children = new WeakMap();

export function list(parent, items, key, create, state) {
  const known = children.get(parent) ?? new Map();
  children.set(parent, known);
  const wanted = new Set(items.map(key));
  let lost = false;
  for (const [id, child] of known) {
    if (wanted.has(id)) continue;
    lost ||= child.contains(document.activeElement);
    child.remove();
    known.delete(id);
  }
  items.forEach((item, place) => {
    const id = key(item);
    let child = known.get(id);
    if (!child) {
      child = create(item);
      known.set(id, child);
    }
    child.update(item, state);
    if (parent.children[place] !== child) parent.insertBefore(child, parent.children[place] ?? null);
  });
  return lost;
}

let said = "";
export function announce(message) {
  said = message === said ? `${message}\u00a0` : message; // the same once more is read out only if it is another text
  byId("announce").textContent = said;
}

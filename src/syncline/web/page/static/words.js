// Numbers and times for people.

const whole = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" });
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });

export const unknown = "–";

export const number = (value) => (value === null || value === undefined ? unknown : whole.format(Math.round(value)));

export function short(value) {
  if (value === null || value === undefined) return unknown;
  if (value >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
  if (value >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
  return value >= 10 || Number.isInteger(value) ? whole.format(Math.round(value)) : String(+value.toFixed(1));
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return unknown;
  if (seconds < 60) return `${+seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.round((seconds % 86400) / 3600)} h`;
}

export function milliseconds(value) {
  if (value === null || value === undefined) return unknown;
  return value < 1000 ? `${+value.toPrecision(2)} ms` : duration(value / 1000);
}

export const timeOfDay = (seconds) => clock.format(new Date(seconds * 1000));
export const moment = (iso) => exact.format(new Date(iso));

export function ago(iso, now) {
  const seconds = new Date(iso).getTime() / 1000 - now;
  for (const [unit, size] of [["day", 86400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= size) return relative.format(Math.round(seconds / size), unit);
  }
  return relative.format(Math.min(0, Math.round(seconds)), "second");
}

export function ranges(numbers) {
  const parts = [];
  for (const n of numbers) {
    const last = parts.at(-1);
    if (last && last[1] === n - 1) last[1] = n;
    else parts.push([n, n]);
  }
  return parts.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(", ");
}

export const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

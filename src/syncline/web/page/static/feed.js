// The state as it comes: server-sent events; where they do not come through, polling.

const SILENT = 15000; // a stream that says nothing for so long is blocked on its way
const POLL = 5000;
const AGAIN = 60000;

export function follow({ history, state, feed }) {
  let stream = null;
  let watchdog = 0;
  let polling = 0;

  const heard = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(poll, SILENT);
  };

  function listen() {
    clearTimeout(polling);
    stream?.close();
    stream = new EventSource("events");
    stream.addEventListener("history", (event) => {
      heard();
      history(JSON.parse(event.data));
    });
    stream.addEventListener("state", (event) => {
      heard();
      feed("live");
      state(JSON.parse(event.data));
    });
    stream.addEventListener("error", () => {
      feed("lost");
      if (stream.readyState === EventSource.CLOSED) poll(); // refused: perhaps the session is over
    });
    heard();
  }

  let until = 0;
  async function poll() {
    clearTimeout(watchdog);
    clearTimeout(polling);
    if (stream) {
      stream.close();
      stream = null;
      until = Date.now() + AGAIN;
    }
    try {
      const response = await fetch("state", { headers: { Accept: "application/json" } });
      if (response.status === 401) return location.assign("login");
      if (!response.ok) throw new Error(response.statusText);
      const found = await response.json();
      history(found.history);
      feed("polling");
      state(found.state);
    } catch {
      feed("lost");
      until = 0; // the server is gone or new: try events again with the next look
    }
    polling = setTimeout(Date.now() > until ? listen : poll, POLL);
  }

  listen();
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && stream?.readyState === EventSource.CLOSED) listen();
  });
}

export async function send(path, body) {
  const token = document.querySelector('meta[name="syncline-form"]').content;
  const response = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Syncline-Form": token },
    body: JSON.stringify(body),
  });
  return answered(response);
}

export async function read(path) {
  return answered(await fetch(path));
}

async function answered(response) {
  if (response.status === 401) location.assign("login");
  if (response.status === 204) return null;
  const found = await response.json().catch(() => ({}));
  if (response.ok) return found;
  throw new Error([found.detail || response.statusText, found.hint].filter(Boolean).join("; "));
}

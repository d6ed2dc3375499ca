// Requests to the server beside this page, with a key where it wants one; what goes wrong is one sentence.

const KEY = "harken-key";
let asking = null; // one question for the key, however many requests need it

/** Something went wrong: `message` says what and how to mend it, `code` is the server's word for it, where it has one. */
export class Wrong extends Error {
  constructor(message, code = null) {
    super(message);
    this.code = code;
  }
}

/** A response that is well; null body: GET. Throws Wrong, and AbortError where `signal` stopped it. */
async function respond(path, body, signal) {
  for (;;) {
    const key = sessionStorage.getItem(KEY);
    const headers = { ...(key ? { authorization: "Bearer " + key } : {}), ...(body ? { "content-type": "application/json" } : {}) };
    let response;
    try {
      response = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal, cache: "no-store" });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Wrong("The server does not answer: see whether it still runs, then try again.");
    }
    if (response.ok) return response;
    const { message, code } = await said(response);
    if (response.status !== 401) throw new Wrong(message, code);
    if (key === sessionStorage.getItem(KEY)) await (asking ??= keyed(key, message).finally(() => { asking = null; }));
  }
}

async function said(response) {
  try {
    const { message, code } = (await response.json()).error;
    return { message: sentence(message), code };
  } catch {
    return { message: `The server answered ${response.status}: its log says more.` };
  }
}

/** A message of the server as a sentence. */
export const sentence = text => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

/** Ask for the key, and keep it for this tab. */
function keyed(old, message) {
  const dialog = document.getElementById("key"), input = document.getElementById("key-value");
  document.getElementById("key-why").textContent = old ? sentence(message) : "Whoever started it has given one with --api-key.";
  input.value = "";
  dialog.showModal();
  return new Promise((resolve, reject) => {
    dialog.addEventListener("close", () => {
      if (!input.value.trim()) return reject(new Wrong("Without a key this server answers nothing: load the page again to give one."));
      sessionStorage.setItem(KEY, input.value.trim());
      resolve();
    }, { once: true });
  });
}

/** What the server says, as JSON. */
export const ask = async (path, body = null, signal = undefined) => (await respond(path, body, signal)).json();

const TURN = 30;

/** Lets the page draw itself and hear clicks: reading what is there already gives it no turn. */
const turn = () => new Promise(resolve => {
  const { port1, port2 } = new MessageChannel();
  port1.onmessage = () => (port1.close(), resolve());
  port2.postMessage(null);
});

/** The events of a stream, as JSON, as they come; of many at once the page has its turn every TURN milliseconds. */
export async function* events(path, body, signal) {
  const reader = (await respond(path, body, signal)).body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "", last = performance.now();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (held + value).split("\n\n");
    held = parts.pop();
    for (const part of parts) {
      const text = part.split("\n").filter(line => line.startsWith("data: ")).map(line => line.slice(6)).join("\n");
      if (!text || text === "[DONE]") continue;
      const event = JSON.parse(text);
      if (event.error) throw new Wrong(sentence(event.error.message));
      if (performance.now() - last > TURN) {
        await turn();
        last = performance.now();
      }
      yield event;
    }
  }
}

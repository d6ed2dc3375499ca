// What the views share: the models, the text that was written last, small parts of a page.

import { make } from "./look.js";

/** `models`: cards by name · `model`: the chosen name · `last`: what a model wrote last, as the attention view takes it. */
export const shared = { models: new Map(), model: null, last: null };
export const card = () => shared.models.get(shared.model);
export const find = id => document.getElementById(id);
export const number = n => n.toLocaleString("en");

/** Wrong in words, in the view or above all; nothing for what a person stopped. */
export function tell(host, error) {
  if (error?.name === "AbortError") return;
  host.hidden = !error;
  host.textContent = error ? error.message : "";
}

export const note = (...children) => make("p", { className: "note" }, ...children);
export const alarm = () => Object.assign(make("p", { className: "note", hidden: true }), { role: "alert" });
export const button = (text, onclick, more = {}) => make("button", { type: "button", onclick, ...more }, text);

/** Names for the tokens of a strip that have no shape, for those who hear the page: a blank is ·. */
export function named(strip, label) {
  for (const span of strip.spans) if (!span.textContent.trim()) span.ariaLabel = label(+span.dataset.i);
}

/** What a screen reader says, a sentence at a time: a stream of pieces would never be understood. */
export function speaker() {
  const host = find("said");
  let held = "";
  return {
    push(piece) {
      held += piece;
      const end = held.search(/[.!?\n](?=\s)[^.!?\n]*$/);
      if (end >= 0) [host.textContent, held] = [held.slice(0, end + 1), held.slice(end + 1)];
    },
    end(last = "") { host.textContent = (held + " " + last).trim(); held = ""; },
  };
}

const FIELDS = {
  temperature: { label: "Temperature", min: 0, max: 2, step: "any", words: "0 takes the likeliest token; more is bolder" },
  top_p: { label: "Top p", min: 0.01, max: 1, step: "any", words: "only the likeliest tokens that make up this share" },
  max_tokens: { label: "Most tokens", min: 1, step: 1, words: "the answer ends there at the latest" },
  seed: { label: "Seed", step: 1, words: "the same seed writes the same answer" },
};

/** A drawer with the options of writing; `read()` gives those that were set, and throws where one is wrong. */
export function drawer(name, more = []) {
  const inputs = {};
  const rows = Object.entries(FIELDS).map(([field, { label, words, ...limits }]) => {
    const id = `${name}-${field}`;
    inputs[field] = make("input", { type: "number", id, inputMode: "decimal", placeholder: "model's own", ...limits });
    if (field === "seed") inputs[field].placeholder = "a new one";
    inputs[field].setAttribute("aria-describedby", id + "-words");
    return make("div", { className: "field" }, make("label", { htmlFor: id }, label), inputs[field], make("small", { id: id + "-words" }, words));
  });
  const host = make("details", { className: "drawer" }, make("summary", {}, "Options"), make("div", { className: "fields" }, ...more, ...rows));
  function read() {
    const given = {};
    for (const [field, input] of Object.entries(inputs)) {
      if (!input.checkValidity()) {
        host.open = true;
        input.focus();
        throw new Error(`${FIELDS[field].label}: ${input.validationMessage}`);
      }
      if (input.value !== "") given[field] = input.valueAsNumber;
    }
    return given;
  }
  return { host, read };
}

/** A button that begins, and stops what it began. `work(signal)` is what it does; `ended` is told when it is over. */
export function starter(text, work, wrong, ended = () => {}) {
  let stop = null;
  const it = make("button", { type: "submit", className: "main" }, text);
  async function go() {
    if (stop) return stop.abort();
    stop = new AbortController();
    it.textContent = "Stop";
    it.classList.add("stops");
    tell(wrong, null);
    try {
      await work(stop.signal);
    } catch (error) {
      tell(wrong, error);
    } finally {
      stop = null;
      it.textContent = text;
      it.classList.remove("stops");
      ended();
    }
  }
  return { it, go, stop: () => stop?.abort(), get busy() { return stop !== null; } };
}

// Attention: all heads of all layers at a glance, one of them large, and where each token looks.

import { ask } from "./ask.js";
import { choice, data, HeatMap, kindShown, labelsOf, LEAST, legend, make, readout, shade, SHARES, state, Strip, unpacked, weightsOf } from "./look.js";
import { alarm, button, card, named, note, shared, starter } from "./shared.js";
import { onTheme } from "./theme.js";

const THUMB = 64; // pixels of a small map

export function attention(host) {
  let map = null, strip = null, current = null, done = null, row = null, hover = null; // done: what was looked at
  const none = note(), wrong = alarm(), start = starter("Look", signal => look(signal), wrong);
  const box = make("textarea", { id: "attention-box", rows: 3 }), boxLabel = make("label", { htmlFor: box.id, className: "wide" });
  const target = make("textarea", { id: "attention-target", rows: 2 }), targetLabel = make("label", { htmlFor: target.id, className: "wide" }, "The answer");
  const form = make("form", { className: "composer" }, boxLabel, box, targetLabel, target, start.it);
  const from = make("p", { className: "small" });
  const notes = make("ul", { className: "notes" });
  const text = make("div", { id: "attention-strip", className: "strip" });
  const kinds = make("div", { className: "choice", role: "radiogroup", ariaLabel: "Which attention" });
  const heads = make("div", { className: "overview", role: "group", ariaLabel: "Heads, a row a layer: arrow keys move between them" });
  const title = make("h2", { id: "attention-title" }), large = make("div", { id: "map" });
  const zoom = make("div", { className: "zoom" }, button("−", () => map.zoom(2), { ariaLabel: "Show more tokens" }), button("+", () => map.zoom(0.5), { ariaLabel: "Show fewer tokens, larger" }));
  const aside = make("aside", { id: "readout", ariaLabel: "Where the chosen token looks" }), scale = make("div", { className: "legend" });
  aside.setAttribute("aria-live", "polite");
  const words = make("p", { className: "small" }, "A row is a token as the model reads it, the columns are the tokens it can look at, and each row adds up to 100%. "
    + "The weights show where a head looks, not why a token was chosen.");
  const found = make("div", { className: "card", hidden: true }, notes, text, kinds,
    make("div", { className: "seen" }, make("div", {}, make("h2", {}, "All heads"), make("div", { className: "scroller" }, heads)),
      make("div", {}, make("div", { className: "bar" }, title, zoom), large, scale), aside), words);
  const area = make("div", {}, from, form, wrong, found);
  host.replaceChildren(none, area);

  let chat = null; // the chat whose last answer is looked at, in place of what stands in the box
  form.onsubmit = event => { event.preventDefault(); start.go(); };
  box.oninput = () => { chat = null; from.hidden = true; };
  onTheme(() => { if (current) { paint(); thumbnails(); map.draw(); legends(); } });
  const legends = () => legend(scale, "attention weight", "blue", SHARES);

  async function look(signal) {
    const about = card(), asked = { model: shared.model };
    if (chat) asked.messages = chat;
    else if (about.reads === "source") Object.assign(asked, { text: box.value, target: target.value });
    else asked.text = box.value;
    const seen = await ask("harken/attention", asked, signal);
    unpacked.clear();
    Object.assign(data, seen);
    notes.replaceChildren(...seen.notes.map(each => make("li", {}, each)));
    found.hidden = seen.maps.length === 0;
    none.hidden = seen.maps.length > 0;
    none.textContent = `${shared.model} has no attention to show: a ${about.family} model attends to nothing. Completion shows what it expects.`;
    if (!seen.maps.length) return;
    Object.assign(state, { kind: Math.max(0, seen.maps.findIndex(kind => kind.columns !== kind.rows)), head: -1, cell: null });
    state.layer = kindShown().layers.length - 1;
    row = null;
    draw();
  }

  function draw() {
    map ??= new HeatMap(large, { point: cell => { state.cell = cell; hover = cell && rowsAreTokens() ? cell[0] : null; mark(); }, choose: i => rowsAreTokens() && pick(i) });
    strip = new Strip(make("div", { id: "attention-strip", className: "strip" }), data.tokens, {
      label: "The text, token by token: arrow keys choose a token", next: false, choose: pick, point: i => { hover = i; mark(); },
    });
    named(strip, i => data.tokens.labels[i]);
    found.querySelector("#attention-strip").replaceWith(strip.host);
    kinds.hidden = data.maps.length < 2;
    choice(kinds, "attention-kind", data.maps.map((kind, i) => [i, kind.kind]), state.kind, kind => { Object.assign(state, { kind, head: -1, layer: data.maps[kind].layers.length - 1 }); overview(); enlarge(); });
    overview();
    enlarge();
    legends();
  }

  const rowsAreTokens = () => kindShown().rows === "tokens";
  const name = (layer, head) => `Layer ${kindShown().layers[layer]}, ${head < 0 ? "mean of its heads" : "head " + kindShown().heads[head]}`;

  /** A row a layer, its mean first; one button takes the tab key, arrows move between them. */
  function overview() {
    const kind = kindShown(), rows = kind.layers.map((number, layer) => [-1, ...kind.maps[layer]?.map((_, i) => i) ?? []].map(head => {
      const it = button("", () => show(layer, head), { ariaLabel: name(layer, head), title: name(layer, head) });
      it.append(make("canvas", { width: THUMB, height: THUMB }));
      Object.assign(it.dataset, { layer, head });
      return it;
    }));
    heads.replaceChildren(...rows.flatMap(row => [make("span", { className: "name" }, String(kind.layers[row[0].dataset.layer])), ...row]));
    heads.style.gridTemplateColumns = `auto repeat(${Math.max(...rows.map(row => row.length))}, minmax(20px, 64px))`;
    for (const row of rows) row[0].style.gridColumnStart = 2;
    heads.onkeydown = event => {
      const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
      const next = step && rows[state.layer + step[0]]?.[state.head + 1 + step[1]];
      if (!step) return;
      event.preventDefault();
      next?.click();
      next?.focus();
    };
    thumbnails();
  }

  async function thumbnails() {
    const of = data.maps;
    for (const it of heads.querySelectorAll("button")) {
      const weights = await weightsOf(state.kind, +it.dataset.layer, +it.dataset.head);
      if (of !== data.maps) return; // another text was looked at meanwhile
      it.lastChild.getContext("2d").putImageData(weights.image(THUMB, THUMB), 0, 0);
    }
  }

  function show(layer, head) {
    Object.assign(state, { layer, head });
    enlarge();
  }

  async function enlarge() {
    const { kind, layer, head } = state;
    for (const it of heads.querySelectorAll("button")) {
      const own = +it.dataset.layer === layer && +it.dataset.head === head;
      it.ariaPressed = String(own);
      it.tabIndex = own ? 0 : -1;
    }
    const weights = await weightsOf(kind, layer, head);
    if (kind !== state.kind || layer !== state.layer || head !== state.head) return;
    current = weights;
    title.textContent = name(layer, head);
    map.show(weights, labelsOf(kindShown().rows), labelsOf(kindShown().columns), `${name(layer, head)}: ${kindShown().title}`);
    zoom.hidden = Math.max(weights.rows, weights.columns) <= LEAST;
    mark();
  }

  function pick(i) {
    row = i;
    mark();
  }

  function mark() {
    if (!current) return;
    const at = hover ?? row, seen = rowsAreTokens() && at !== null && at < current.rows ? at : null;
    strip.mark(row, hover);
    map.mark(seen);
    paint();
    readout(aside, current, kindShown(), state.cell ?? (seen === null ? null : [seen, null]));
  }

  /** The text in the colours of where the chosen token looks. */
  function paint() {
    const kind = kindShown(), at = rowsAreTokens() ? hover ?? row : null;
    strip.paint(i => kind.columns === "tokens" && at !== null && at < current.rows && i < current.columns && current.visible(at, i) ? ["blue", shade(current.at(at, i))] : null);
  }

  /** What was written last is looked at without asking. */
  function fresh() {
    const about = card(), last = shared.last;
    const source = about.reads === "source";
    boxLabel.textContent = source ? "The source" : "Text to look at";
    target.hidden = targetLabel.hidden = !source;
    none.hidden = about.writes;
    area.hidden = !about.writes;
    none.textContent = `${shared.model} was built for ${about.task}: harken look shows what such a model attends to.`;
    if (!last || last === done || start.busy || !about.writes) return;
    done = last;
    const templated = last.messages && !about.persona && !source;
    chat = templated ? last.messages : null;
    box.value = source ? last.asked ?? last.text : last.messages && !templated ? `${last.asked}\n${last.text}` : last.text;
    target.value = source ? last.target ?? last.text : "";
    from.hidden = false;
    from.textContent = templated ? "The chat with its last answer, as the model read it. What stands in the box is looked at alone, once it is changed." : "What was written last.";
    start.go();
  }

  function change() {
    start.stop();
    found.hidden = true;
    chat = done = current = null;
    from.hidden = true;
    box.value = target.value = "";
  }
  from.hidden = true;
  return { show: fresh, change };
}

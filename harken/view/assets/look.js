// Everything together: one state, and what has to be drawn again when it changes.

const strip = new Strip(find("strip"), data.tokens, {
  label: "The text, token by token", next: true, pages: find("pages"),
  choose: i => set({ token: i }), point: i => set({ hover: i }),
});
const sourceStrip = data.source && new Strip(find("source-strip"), data.source, {
  label: "The source, token by token", next: false, choose: () => {}, point: () => {},
});
const heatmap = data.maps.length ? new HeatMap(find("map"), {
  point: cell => set({ hover: cell && rowsAreTokens() ? cell[0] : null, cell }), choose: row => rowsAreTokens() && set({ token: row }),
}) : null;
const rowsAreTokens = () => kindShown().rows === "tokens";
let current = null; // the weights on show

function set(changes) {
  const before = { ...state };
  Object.assign(state, changes);
  const changed = (...names) => names.some(name => state[name] !== before[name]);
  if (heatmap && changed("kind", "layer", "head")) showMap(changed("kind", "layer"));
  if (changed("token", "hover", "cell")) mark();
  if (changed("mode") || (state.mode === "attention" && changed("token", "hover"))) paint();
}

/** The token that is looked at: the one under the pointer, else the chosen one. */
const looked = () => state.hover ?? state.token;

function mark() {
  strip.mark(state.token, state.hover);
  detail(find("detail"), looked());
  if (!current) return;
  const row = rowsAreTokens() && looked() !== null && looked() < current.rows ? looked() : null;
  heatmap.mark(row);
  const cell = state.cell ?? (row === null ? null : [row, null]);
  readout(find("readout"), current, kindShown(), cell);
}

function paint() {
  const attention = state.mode === "attention" && current;
  if (!attention) {
    const mode = MODES[state.mode] ?? MODES.probability;
    strip.paint(i => { const place = mode.place(i); return place === null ? null : ["orange", Math.round(place * TEXT)]; });
    sourceStrip?.paint(() => null);
    legend(find("strip-legend"), mode.words, "orange", mode.ticks);
    return;
  }
  const kind = kindShown(), row = rowsAreTokens() ? looked() : null;
  const shading = side => i => kind.columns === side && row !== null && row < current.rows && i < current.columns && current.visible(row, i)
    ? ["blue", shade(current.at(row, i))] : null;
  strip.paint(shading("tokens"));
  sourceStrip?.paint(shading("source"));
  legend(find("strip-legend"), `attention of the chosen token (${mapName().toLowerCase()})`, "blue", SHARES);
}

async function showMap(newLayer) {
  const kind = kindShown(), words = mapName();
  if (newLayer) {
    if (state.head >= (kind.maps[state.layer]?.length ?? 0)) state.head = -1;
    thumbnails(find("heads"), find("head-pages"), Math.floor(Math.max(0, state.head) / HEADS), head => set({ head }));
  }
  for (const button of find("heads").children) button.ariaPressed = +button.dataset.head === state.head;
  const weights = await weightsOf(state.kind, state.layer, state.head);
  if (words !== mapName() || kind !== kindShown()) return; // something else was chosen meanwhile
  current = weights;
  find("map-title").textContent = mapName();
  heatmap.show(weights, labelsOf(kind.rows), labelsOf(kind.columns), `${mapName()}: ${kind.title}`);
  find("zoom").hidden = Math.max(weights.rows, weights.columns) <= LEAST;
  mark();
  if (state.mode === "attention") paint();
}

function controls() {
  const modes = [...Object.keys(MODES), ...(heatmap ? ["attention"] : [])];
  choice(find("modes"), "mode", modes.map(mode => [mode, mode]), state.mode, mode => set({ mode }));
  if (!heatmap) return;
  if (data.maps.length > 1) choice(find("kinds"), "kind", data.maps.map((kind, i) => [i, kind.kind]), state.kind, kind => { set({ kind, layer: 0, head: -1 }); layers(); });
  layers();
  find("in").onclick = () => heatmap.zoom(0.5);
  find("out").onclick = () => heatmap.zoom(2);
  legend(find("map-legend"), "attention weight", "blue", SHARES);
  find("map-words").textContent = "A row is a token as the model reads it, the columns are the tokens it can look at, and each row adds up to 100%. "
    + "What it finds there helps to predict what comes next. The weights show where a head looks, not why a token was chosen. "
    + "They are kept to within 0.2% of the largest of their row.";
}

function layers() {
  choice(find("layers"), "layer", kindShown().layers.map((number, i) => [i, String(number)]), state.layer, layer => set({ layer }));
}

/** The token that was least expected: a page begins with something to see. */
function leastExpected() {
  const places = data.logprobs.map((_, i) => i).filter(known);
  return places.length ? places.reduce((a, b) => (data.logprobs[b] ?? -Infinity) < (data.logprobs[a] ?? -Infinity) ? b : a) : data.tokens.ids.length;
}

function start() {
  state.token = leastExpected();
  if (heatmap) {
    const cross = data.maps.findIndex(kind => kind.columns !== kind.rows);
    state.kind = Math.max(0, cross);
    state.layer = kindShown().layers.length - 1;
  }
  controls();
  paint();
  mark();
  if (heatmap) showMap(true);
  dark.addEventListener("change", () => { paint(); controls(); if (current) { heatmap.draw(); showMap(true); } });
}

start();

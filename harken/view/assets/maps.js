// Which attention is shown: its kind, its layer, its head. Maps are unpacked when they are first looked at.

const HEADS = 16; // thumbnails shown at once
const THUMB = 120; // their pixels
const MOST = 12; // keys in the list of where a token looks

const kindShown = () => data.maps[state.kind];
const labelsOf = side => (side === "source" ? data.source : data.tokens).labels;

/** The map of one head of one layer (head -1: the mean of all), as Weights; places in the lists, not the model's numbers. */
const unpacked = new Map();
function weightsOf(kind, layer, head) {
  const key = [kind, layer, head].join();
  if (!unpacked.has(key)) {
    if (unpacked.size > 64) unpacked.delete(unpacked.keys().next().value);
    unpacked.set(key, unpack(data.maps[kind], head < 0 ? data.maps[kind].means[layer] : data.maps[kind].maps[layer][head]));
  }
  return unpacked.get(key);
}

async function unpack(kind, packed) {
  const bytes = Uint8Array.from(atob(packed), letter => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Weights(await new Response(stream).arrayBuffer(), labelsOf(kind.rows).length, labelsOf(kind.columns).length, kind.causal);
}

const headName = head => head < 0 ? "mean" : "head " + kindShown().heads[head];

/** What is shown, in words. */
function mapName() {
  const kind = kindShown();
  return `Layer ${kind.layers[state.layer]}, ${state.head < 0 ? `mean of ${kind.all_heads} head${kind.all_heads > 1 ? "s" : ""}` : headName(state.head)}`;
}

/** Thumbnails of the heads of the layer: the mean first, then a page of heads. */
async function thumbnails(host, pages, page, pick) {
  const { kind, layer } = state, heads = kindShown().maps[layer]?.length ?? 0;
  const shown = [-1, ...Array.from({ length: heads }, (_, i) => i).slice(page * HEADS, (page + 1) * HEADS)];
  const buttons = shown.map(head => {
    const canvas = make("canvas", { width: THUMB, height: THUMB });
    const button = make("button", { type: "button", ariaPressed: head === state.head, onclick: () => pick(head) }, canvas, headName(head));
    button.dataset.head = head;
    return button;
  });
  host.replaceChildren(...buttons);
  pager(pages, heads, HEADS, page, "heads", to => thumbnails(host, pages, to, pick));
  for (const [i, head] of shown.entries()) {
    const weights = await weightsOf(kind, layer, head);
    if (kind !== state.kind || layer !== state.layer) return; // another layer was chosen meanwhile
    buttons[i].firstChild.getContext("2d").putImageData(weights.image(THUMB, THUMB), 0, 0);
  }
}

/** Where the query of a row looks most, and at the key that is pointed at. */
function readout(host, weights, kind, cell) {
  if (!cell) {
    host.replaceChildren(make("p", { className: "small" }, "Point at the map, or at a token of the text: here is where it looks."));
    return;
  }
  const [row, column] = cell, keys = labelsOf(kind.columns);
  const most = keys.map((_, i) => i).filter(i => weights.at(row, i) > 0).sort((a, b) => weights.at(row, b) - weights.at(row, a)).slice(0, MOST);
  const pointed = column !== null && column !== undefined;
  if (pointed && !most.includes(column)) most.push(column);
  const hidden = pointed && !weights.visible(row, column);
  host.replaceChildren(
    make("h3", {}, make("span", { className: "token", dir: "auto" }, labelsOf(kind.rows)[row]), ` (${row}) looks at`),
    bars(most.filter(i => weights.visible(row, i)).map(i => [keys[i], ` ${i}`, weights.at(row, i), i === column])),
    hidden ? make("p", { className: "small" }, `It cannot see ${keys[column]} (${column}), which comes later.`) : "");
}

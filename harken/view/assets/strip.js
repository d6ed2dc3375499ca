// The text as its tokens, each on the colour of one number; arrow keys, the pointer and a tap choose a token.

const PAGE = 1000; // tokens shown at once

class Strip {
  /** `tokens` as in the data; `next`: whether a place for what would follow comes last. `choose(i)` and `point(i or null)` are told. */
  constructor(host, tokens, { label, next, choose, point, pages }) {
    Object.assign(this, { host, tokens, next, choose, point, pages, page: 0, spans: [], chosen: null });
    this.count = tokens.ids.length + (next ? 1 : 0);
    host.tabIndex = 0;
    host.role = "listbox";
    host.ariaLabel = label;
    const place = event => event.target.closest?.("[data-i]");
    host.addEventListener("click", event => place(event) && choose(+place(event).dataset.i));
    host.addEventListener("pointerover", event => event.pointerType === "mouse" && point(place(event) ? +place(event).dataset.i : null));
    host.addEventListener("pointerleave", () => point(null));
    host.addEventListener("keydown", event => this.key(event));
    this.build(0);
  }

  /** The spans of one page. */
  build(page) {
    this.page = page;
    this.first = page * PAGE;
    const special = new Set(this.tokens.special), parts = [];
    this.spans = [];
    for (let i = this.first; i < Math.min(this.count, this.first + PAGE); i++) {
      const [gap, piece] = this.tokens.pieces[i] ?? [" ", "what would follow"];
      const span = make("span", { className: i >= this.tokens.ids.length ? "next" : special.has(i) ? "token special" : "token" }, piece.replace(/\n$/, ""));
      span.dataset.i = i;
      span.id = this.host.id + "-" + i;
      span.role = "option";
      parts.push(gap, span, /\n$/.test(piece) ? "\n" : "");
      this.spans.push(span);
    }
    this.host.replaceChildren(...parts);
    if (this.pages) pager(this.pages, this.count, PAGE, page, "tokens", to => { this.build(to); this.paint(this.shading); this.mark(this.chosen, null); });
  }

  /** `shading(i)` -> [name of a ramp, step], or null for none. */
  paint(shading) {
    this.shading = shading;
    for (const span of this.spans) {
      const found = shading(+span.dataset.i);
      span.style.background = found ? ramp(found[0]).css[found[1]] : "";
      span.style.color = found ? ramp(found[0]).ink[found[1]] : "";
    }
  }

  mark(chosen, hover) {
    if (chosen !== null && Math.floor(chosen / PAGE) !== this.page && chosen !== this.chosen) {
      this.build(Math.floor(chosen / PAGE));
      this.paint(this.shading);
    }
    this.chosen = chosen;
    for (const span of this.spans) {
      const i = +span.dataset.i;
      span.classList.toggle("chosen", i === chosen);
      span.classList.toggle("hover", i === hover && i !== chosen);
      span.ariaSelected = i === chosen;
    }
    if (chosen !== null) this.host.setAttribute("aria-activedescendant", this.host.id + "-" + chosen);
  }

  key(event) {
    const now = this.chosen ?? -1;
    const forward = this.tokens.rtl ? "ArrowLeft" : "ArrowRight", back = this.tokens.rtl ? "ArrowRight" : "ArrowLeft";
    const to = { [forward]: now + 1, [back]: now - 1, Home: 0, End: this.count - 1, ArrowDown: this.line(1), ArrowUp: this.line(-1) }[event.key];
    if (event.key === "Escape") this.choose(null);
    else if (to !== undefined) this.choose(Math.max(0, Math.min(this.count - 1, to)));
    else return;
    event.preventDefault();
    if (this.chosen !== null) this.spans[this.chosen - this.first]?.scrollIntoView({ block: "nearest" });
  }

  /** The token nearest to the chosen one on the line above or below. */
  line(step) {
    const box = this.spans[(this.chosen ?? this.first) - this.first]?.getBoundingClientRect();
    if (!box) return this.first;
    let best = this.chosen, least = Infinity;
    for (const span of this.spans) {
      const other = span.getBoundingClientRect(), away = step * (other.top - box.top);
      const distance = 1000 * away + Math.abs(other.left - box.left);
      if (away > box.height / 2 && distance < least) [best, least] = [+span.dataset.i, distance];
    }
    return best ?? this.first;
  }
}

/** How the tokens can be coloured: where a token stands on the ramp (null: it has no such number), and the numbers of the legend. */
const VOCABULARY = data.vocabulary, BITS = Math.log2(VOCABULARY);
const DECADES = Array.from({ length: Math.floor(Math.log10(VOCABULARY)) + 1 }, (_, i) => 10 ** i);
const MODES = {
  probability: {
    words: "probability of the token, given those before it",
    ticks: [[0, "100%"], [0.25, "10%"], [0.5, "1%"], [0.75, "0.1%"], [1, "≤ 0.01%"]],
    place: i => known(i) ? Math.min(1, -data.logprobs[i] / Math.LN10 / 4) : null,
  },
  rank: {
    words: "rank of the token among all, 1 the likeliest",
    ticks: DECADES.map(n => [Math.log10(n) / Math.log10(VOCABULARY), n.toLocaleString("en")]),
    place: i => known(i) ? Math.log10(data.ranks[i]) / Math.log10(VOCABULARY) : null,
  },
  entropy: {
    words: "how open it was what would come, in bits",
    ticks: [0, 0.25, 0.5, 0.75, 1].map(share => [share, (share * BITS).toFixed(1)]),
    place: i => data.entropies[i] === null ? null : Math.min(1, data.entropies[i] / BITS),
  },
};

/** Whether something precedes token i, so that it has a probability. */
const known = i => data.ranks[i] > 0;

/** The panel beside the text: one token, or what would follow the last. */
function detail(host, i) {
  if (i === null) {
    host.replaceChildren(make("p", { className: "small" }, "Point at a token, or choose one with the arrow keys: here is what the model expected in its place."));
    return;
  }
  const follows = i >= data.tokens.ids.length;
  const parts = [make("span", { className: "token", dir: "auto" }, follows ? "what would follow" : data.tokens.labels[i])];
  const facts = [];
  if (!follows) facts.push(["position, id", `${i.toLocaleString("en")}, ${data.tokens.ids[i].toLocaleString("en")}`]);
  if (known(i)) {
    facts.push(["probability", data.logprobs[i] === null ? "0" : chance(Math.exp(data.logprobs[i]))]);
    facts.push(["rank", `${data.ranks[i].toLocaleString("en")} of ${VOCABULARY.toLocaleString("en")}`]);
  }
  if (data.entropies[i] !== null) facts.push(["entropy", `${data.entropies[i].toFixed(2)} bits`]);
  parts.push(make("dl", {}, ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])));
  if (data.entropies[i] === null) {
    parts.push(make("p", { className: "small" }, "Nothing precedes it, so the model expected nothing."));
  } else {
    parts.push(make("h3", {}, "expected here"), alternatives(i, follows));
  }
  host.replaceChildren(...parts);
}

/** The likeliest tokens with bars, the token that stands there among them or last. */
function alternatives(i, follows) {
  const p = logprob => logprob === null ? 0 : Math.exp(logprob);
  const rows = data.top_ids[i].map((id, k) => [data.names[id], "", p(data.top_logprobs[i][k]), !follows && id === data.tokens.ids[i]]);
  if (known(i) && !rows.some(row => row[3])) rows.push([data.tokens.labels[i], "", p(data.logprobs[i]), true]);
  return bars(rows);
}

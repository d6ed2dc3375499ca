"use strict";
// What every part of the page reads: the data, the state, and a few small helpers.

const data = JSON.parse(document.getElementById("data").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const state = { mode: "probability", token: null, hover: null, kind: 0, layer: 0, head: -1 }; // head -1: the mean

const find = id => document.getElementById(id);

/** An element with properties and children; text goes in as text, never as HTML. */
function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** A row of radio buttons that look like one switch; `options` are [value, label]. */
function choice(host, name, options, value, change) {
  host.replaceChildren(...options.map(([option, label]) => {
    const input = make("input", { type: "radio", name, value: option, checked: option === value, onchange: () => change(option) });
    return make("label", {}, input, make("span", {}, label));
  }));
}

/** 42.3%, 0.12%, 1 in 40,000. */
function chance(p) {
  if (p >= 0.1) return (100 * p).toFixed(1) + "%";
  if (p >= 0.001) return (100 * p).toFixed(2) + "%";
  return p > 0 ? "1 in " + (p > 2e-9 ? Math.round(1 / p).toLocaleString("en") : "10^" + Math.round(-Math.log10(p))) : "0";
}

/** The 256 colours of a ramp as it suits the page's light: {css, ink, rgba}. `rgba` is what a canvas holds. */
const ramps = new Map();
function ramp(name) {
  const key = dark.matches ? name + " on black" : name;
  if (!ramps.has(key)) {
    const bytes = data.ramps[key].match(/../g).map(pair => parseInt(pair, 16));
    const css = [], ink = [], rgba = new Uint32Array(256);
    for (let i = 0; i < 256; i++) {
      const [r, g, b] = bytes.slice(3 * i, 3 * i + 3);
      css.push(`rgb(${r},${g},${b})`);
      ink.push(luminance(r, g, b) > 0.179 ? "#000000" : "#ffffff");
      rgba.set(new Uint32Array(new Uint8Array([r, g, b, 255]).buffer), i);
    }
    ramps.set(key, { css, ink, rgba });
  }
  return ramps.get(key);
}

/** The last step of a ramp that letters stand on: further up they would be hard to read, and the page loud. */
const TEXT = 165;

/** WCAG's relative luminance; at 0.179 black and white letters are equally legible, 4.6 to 1. */
function luminance(...channels) {
  const [r, g, b] = channels.map(c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** A weight from 0 to 1 as a step of a ramp: the square root, so that small weights of long texts can be seen. */
const shade = weight => Math.round(Math.sqrt(weight) * 255);

/** A ramp with numbers under it; `ticks` are [place from 0 to 1, label]. */
function legend(host, words, name, ticks) {
  const css = ramp(name).css.slice(0, name === "orange" ? TEXT + 1 : 256);
  const bar = make("div", { className: "ramp" });
  bar.style.background = `linear-gradient(to right, ${css.filter((_, i) => i % 15 === 0).join(", ")})`;
  const marks = ticks.map(([place, label]) => {
    const mark = make("span", {}, label);
    mark.style.left = 100 * place + "%";
    return mark;
  });
  host.replaceChildren(make("div", { className: "words" }, words), bar, make("div", { className: "ticks" }, ...marks));
}

const SHARES = [0, 0.01, 0.1, 0.25, 0.5, 1].map(w => [Math.sqrt(w), 100 * w + (w ? "%" : "")]);

/** A list of [label, note behind it, share from 0 to 1, whether it is the one that matters], each on a bar. */
function bars(rows) {
  return make("ol", { className: "bars" }, ...rows.map(([label, note, share, own]) => {
    const bar = make("i", {});
    bar.style.width = 100 * share + "%";
    return make("li", { className: own ? "own" : "" }, bar, make("b", {}, make("bdi", {}, label), make("small", {}, note)), make("span", {}, chance(share)));
  }));
}

/** Earlier, later: for lists too long to show at once. */
function pager(host, count, size, page, words, turn) {
  host.hidden = count <= size;
  const last = Math.ceil(count / size) - 1;
  const button = (label, to, name) =>
    make("button", { type: "button", disabled: to < 0 || to > last, ariaLabel: name, onclick: () => turn(to) }, label);
  const said = `${words} ${(page * size).toLocaleString("en")} to ${(Math.min(count, (page + 1) * size) - 1).toLocaleString("en")} of ${count.toLocaleString("en")}`;
  host.replaceChildren(button("‹", page - 1, "earlier"), said, button("›", page + 1, "later"));
}

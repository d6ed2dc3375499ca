// Light or dark: what the system says, until somebody says otherwise on this page.

const system = window.matchMedia("(prefers-color-scheme: dark)");
const heard = [];
let chosen = null;
try {
  chosen = localStorage.getItem("harken-theme");
} catch {
  // a browser that keeps nothing still shows the page
}

/** What `harken look`'s scripts ask in place of the system: whether the page is dark now. */
const scheme = {
  get matches() { return chosen === null ? system.matches : chosen === "dark"; },
  addEventListener: (_, told) => heard.push(told),
};
export const matchMedia = () => scheme;

function show(button) {
  const root = document.documentElement;
  if (chosen === null) delete root.dataset.theme;
  else root.dataset.theme = chosen;
  button.setAttribute("aria-pressed", String(scheme.matches));
  heard.forEach(told => told());
}

export function themed(button) {
  button.onclick = () => {
    chosen = scheme.matches ? "light" : "dark";
    try {
      localStorage.setItem("harken-theme", chosen);
    } catch {
      // it holds for this visit then
    }
    show(button);
  };
  system.addEventListener("change", () => show(button));
  show(button);
}

/** Tell when the page becomes light or dark. */
export const onTheme = told => heard.push(told);

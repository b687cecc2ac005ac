/* A live part is replaced as a whole: what was scrolled in it stays where it was, and the focus where it is. */
import htmx from "htmx.org";

const SCROLLS = ".table-wrap, pre[tabindex], [role='region'][tabindex]";
const part = () => document.getElementById("live");
const place = (element) =>
  [element.tagName, ...["href", "data-dialog", "aria-label"].map((name) => element.getAttribute(name)), element.textContent.trim()].join("\n");

let scrolled = [];
let focused = "";

document.addEventListener("htmx:beforeSwap", (event) => {
  const live = part();
  if (event.detail.target !== live) return;
  scrolled = [...live.querySelectorAll(SCROLLS)].map((element) => [element.scrollLeft, element.scrollTop]);
  focused = live.contains(document.activeElement) ? place(document.activeElement) : "";
});

document.addEventListener("htmx:afterSwap", () => {
  [...(part()?.querySelectorAll(SCROLLS) ?? [])].forEach((element, index) => {
    if (scrolled[index]) [element.scrollLeft, element.scrollTop] = scrolled[index];
  });
});

document.addEventListener("htmx:afterSettle", () => {
  if (!focused || document.activeElement !== document.body) return;
  const same = [...(part()?.querySelectorAll("a[href], button, summary, [tabindex]") ?? [])].find((element) => place(element) === focused);
  same?.focus({ preventScroll: true });
});

/* Nobody looks at a hidden tab: its polls are dropped there, and made up for by one as soon as it is seen again. */
const missed = new Set();
const polls = (element) => /\bevery\b/.test(element.getAttribute("hx-trigger") ?? "");

/* Nothing is taken from under a person's hands: a poll waits while they type or choose in the live part, ten seconds
 * at most after the last key, and while a menu or a chart's table in it is open. */
const HANDS_OFF = 10_000;
let touched = 0;
for (const name of ["input", "focusin", "pointerdown"]) {
  document.addEventListener(name, () => {
    touched = Date.now();
  });
}

const inUse = (live) => {
  const field = document.activeElement;
  const writing = live.contains(field) && field.matches("input, select, textarea") && Date.now() - touched < HANDS_OFF;
  return writing || live.querySelector("details.menu[open], details[data-chart-table][open]") !== null;
};

document.addEventListener("htmx:beforeRequest", (event) => {
  const live = event.detail.elt;
  if (!polls(live)) return;
  if (document.hidden) missed.add(live);
  if (document.hidden || inUse(live)) event.preventDefault();
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  for (const element of missed) {
    if (!element.isConnected) continue;
    htmx.ajax("GET", element.getAttribute("hx-get"), { source: element, target: element, swap: element.getAttribute("hx-swap") });
  }
  missed.clear();
});

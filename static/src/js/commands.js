/* Keys for reading and deciding. j and k go to the next and previous row of a list, or, on a page that belongs to a
 * queue (a[rel=next], a[rel=prev]), to the next and previous one of it. a and r begin a decision: they go to its reason,
 * and Ctrl+Enter there sends it; no key alone decides anything. ? lists the keys. */
import { isPlain } from "./keys.js";

const isShown = (element) => element.offsetParent !== null;
const rows = () => [...document.querySelectorAll("main .need, main tbody tr")].filter(isShown);
const linkOf = (row) => (row.matches("a[href]") ? row : row.querySelector("a[href]"));

function walk(step) {
  const inQueue = document.querySelector(`main a[rel=${step > 0 ? "next" : "prev"}]`);
  if (inQueue) return inQueue.click();
  if (document.querySelector("main a[rel=next], main a[rel=prev]")) return;
  const links = rows().map(linkOf).filter(Boolean);
  const now = links.findIndex((link) => link.closest(".need, tr").contains(document.activeElement));
  const next = links[now < 0 && step < 0 ? links.length - 1 : now + step];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

function choose(key) {
  const button = document.querySelector(`main [data-choose="${key}"]:not(:disabled)`);
  if (!button) return;
  for (const other of button.form.querySelectorAll("[data-choose]")) other.toggleAttribute("data-chosen", other === button);
  const reason = button.form.querySelector("textarea, input:not([type=hidden])");
  reason?.focus();
  reason?.scrollIntoView({ block: "center" });
}

const commands = {
  j: () => walk(1),
  k: () => walk(-1),
  a: () => choose("a"),
  r: () => choose("r"),
  "?": () => document.getElementById("keys")?.showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    const form = event.target.form;
    const button = form?.querySelector("[data-chosen]");
    if (!button) return;
    event.preventDefault();
    return form.requestSubmit(button);
  }
  if (!isPlain(event) || document.querySelector("dialog[open]") || !Object.hasOwn(commands, event.key)) return;
  event.preventDefault();
  commands[event.key]();
});

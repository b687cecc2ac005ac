/* `/` and Ctrl+K focus the search; arrows walk its results, Enter opens one, Escape leaves. */
import { isPlain } from "./keys.js";

const input = document.getElementById("search-input");
const panel = document.getElementById("search-panel");

function hits() {
  return [...panel.querySelectorAll("[role=option]")];
}

function select(index) {
  const options = hits();
  options.forEach((option, at) => option.setAttribute("aria-selected", String(at === index)));
  const chosen = options[index];
  if (!chosen) return input.removeAttribute("aria-activedescendant");
  input.setAttribute("aria-activedescendant", chosen.id);
  chosen.scrollIntoView({ block: "nearest" });
}

function walk(step) {
  const options = hits();
  if (!options.length) return;
  const now = options.findIndex((option) => option.getAttribute("aria-selected") === "true");
  select((now + step + options.length) % options.length);
}

if (input && panel) {
  document.addEventListener("keydown", (event) => {
    const slash = event.key === "/" && isPlain(event);
    const palette = event.key === "k" && (event.ctrlKey || event.metaKey);
    if (!slash && !palette) return;
    event.preventDefault();
    input.focus();
    input.select();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      walk(event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Enter") {
      const chosen = panel.querySelector("[aria-selected=true]");
      if (!chosen) return;
      event.preventDefault();
      chosen.click();
    } else if (event.key === "Escape") {
      panel.replaceChildren();
      input.blur();
    }
  });
  panel.addEventListener("htmx:afterSwap", () => {
    input.setAttribute("aria-expanded", String(hits().length > 0));
    select(0);
  });
  panel.addEventListener("mousedown", (event) => event.preventDefault());
}

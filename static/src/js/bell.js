/* `b` opens the bell, and closes it; arrows walk its lines. Escape closes it as every menu (menus.js). */
import { isPlain } from "./keys.js";

const bell = document.querySelector("details[data-bell]");

function walk(step) {
  const lines = [...bell.querySelectorAll("a, button")];
  const next = lines.indexOf(document.activeElement) + step;
  lines[Math.max(0, Math.min(next, lines.length - 1))]?.focus();
}

if (bell) {
  document.addEventListener("keydown", (event) => {
    if (event.key === "b" && isPlain(event)) {
      event.preventDefault();
      bell.open = !bell.open;
      if (bell.open) bell.querySelector("summary").focus();
    } else if (bell.open && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      walk(event.key === "ArrowDown" ? 1 : -1);
    }
  });
}

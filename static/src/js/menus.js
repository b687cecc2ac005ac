/* Menus are <details>: they open without scripts. Here they also close on Escape, on a click elsewhere and on blur. */
const openMenus = () => document.querySelectorAll("details.menu[open]");

document.addEventListener("click", (event) => {
  for (const menu of openMenus()) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("focusin", (event) => {
  for (const menu of openMenus()) if (!menu.contains(event.target)) menu.open = false;
});

/* The drawer of the narrow screen. What lies behind it cannot be reached while it is open. */
const root = document.documentElement;
const frame = document.querySelector(".frame");
const toggle = document.querySelector("[data-drawer]");

function setDrawer(open) {
  root.classList.toggle("drawer-open", open);
  toggle.setAttribute("aria-expanded", String(open));
  frame.inert = open;
  if (open) document.querySelector(".sidebar a")?.focus();
  else toggle.focus();
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-drawer]")) setDrawer(true);
  else if (event.target.closest(".scrim")) setDrawer(false);
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  if (root.classList.contains("drawer-open")) setDrawer(false);
  for (const menu of openMenus()) {
    menu.open = false;
    menu.querySelector("summary")?.focus();
  }
});

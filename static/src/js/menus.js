/* Menus are <details>: they open without scripts. Here they also close on Escape, on a click elsewhere and on blur. */
const openMenus = () => document.querySelectorAll("details.menu[open]");

document.addEventListener("click", (event) => {
  for (const menu of openMenus()) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("focusin", (event) => {
  for (const menu of openMenus()) if (!menu.contains(event.target)) menu.open = false;
});

/* The drawer of the narrow screen: a dialog while it is open. What lies behind it cannot be reached, Tab goes round
 * within it, and Escape, its button, a click beside it, a followed link and a wider window close it. */
const root = document.documentElement;
const frame = document.querySelector(".frame");
const sidebar = document.querySelector(".sidebar");
const toggle = document.querySelector("[data-drawer]");
const isOpen = () => root.classList.contains("drawer-open");

function setDrawer(open) {
  root.classList.toggle("drawer-open", open);
  toggle.setAttribute("aria-expanded", String(open));
  document.querySelectorAll(".frame, .skip-link").forEach((behind) => { behind.inert = open; });
  if (open) {
    sidebar.setAttribute("role", "dialog");
    sidebar.setAttribute("aria-modal", "true");
    // a frame later: what is not visible yet takes no focus
    requestAnimationFrame(() => sidebar.querySelector("[data-drawer-close]").focus());
  } else {
    sidebar.removeAttribute("role");
    sidebar.removeAttribute("aria-modal");
    if (frame.contains(toggle) && toggle.offsetParent) toggle.focus();
  }
}

function goRound(event) {
  const places = [...sidebar.querySelectorAll("a, button")].filter((place) => place.offsetParent);
  const edge = event.shiftKey ? places[0] : places.at(-1);
  if (document.activeElement !== edge && sidebar.contains(document.activeElement)) return;
  event.preventDefault();
  (event.shiftKey ? places.at(-1) : places[0]).focus();
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-drawer]")) setDrawer(true);
  else if (isOpen() && event.target.closest(".scrim, [data-drawer-close], .sidebar a")) setDrawer(false);
});
window.matchMedia("(max-width: 640px)").addEventListener("change", (narrow) => {
  if (!narrow.matches && isOpen()) setDrawer(false);
});
window.addEventListener("pageshow", (event) => {
  if (event.persisted && isOpen()) setDrawer(false);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Tab" && isOpen()) goRound(event);
  if (event.key !== "Escape") return;
  if (isOpen()) setDrawer(false);
  for (const menu of openMenus()) {
    menu.open = false;
    menu.querySelector("summary")?.focus();
  }
});

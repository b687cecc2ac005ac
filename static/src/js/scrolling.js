/* What scrolls sideways. A table that is wider than its place scrolls sideways: then, and only then, the keyboard can reach it to scroll. */
function reach(wrap) {
  const scrolls = wrap.scrollWidth > wrap.clientWidth + 1;
  if (!scrolls) {
    if (wrap.dataset.reachable) ["tabindex", "role", "aria-label", "data-reachable"].forEach((name) => wrap.removeAttribute(name));
    return;
  }
  if (wrap.hasAttribute("tabindex")) return;
  const heading = wrap.closest("section[aria-labelledby]")?.querySelector("h2, h3") ?? document.querySelector("h1");
  wrap.dataset.reachable = "yes";
  wrap.tabIndex = 0;
  wrap.setAttribute("role", "region");
  wrap.setAttribute("aria-label", `Table: ${heading?.textContent.trim() ?? "rows"}`);
}

const all = () => document.querySelectorAll(".table-wrap").forEach(reach);

all();
addEventListener("resize", all);
document.addEventListener("htmx:load", all);

/* A row of tabs that is wider than the screen shows the current one, not the first ones. */
for (const tab of document.querySelectorAll(".tabs [aria-current]")) {
  const row = tab.parentElement;
  row.scrollLeft = tab.offsetLeft - row.offsetLeft - (row.clientWidth - tab.offsetWidth) / 2;
}

/* The theme switch: system, light or dark, kept in this browser. */
const root = document.documentElement;

function show() {
  for (const button of document.querySelectorAll("[data-theme-set]")) {
    button.setAttribute("aria-pressed", String(button.dataset.themeSet === root.dataset.themeChoice));
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-theme-set]");
  if (!button) return;
  const choice = button.dataset.themeSet;
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  try {
    if (choice === "system") localStorage.removeItem("theme");
    else localStorage.setItem("theme", choice);
  } catch { /* storage is off: the choice lasts for this page */ }
  root.dataset.themeChoice = choice;
  root.dataset.theme = choice === "system" ? (dark ? "dark" : "light") : choice;
  show();
});
show();

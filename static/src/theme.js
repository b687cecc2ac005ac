/* Runs before the first paint, so that no page flashes in the wrong theme. */
const KEY = "theme";
const media = matchMedia("(prefers-color-scheme: dark)");
function apply() {
  let choice = null;
  try { choice = localStorage.getItem(KEY); } catch { /* storage is off: follow the system */ }
  document.documentElement.dataset.theme = choice ?? (media.matches ? "dark" : "light");
  document.documentElement.dataset.themeChoice = choice ?? "system";
}
apply();
media.addEventListener("change", apply);
addEventListener("storage", (event) => event.key === KEY && apply());

/* <button data-print> prints the page. On paper everything is open and light, whatever the screen shows. */
const root = document.documentElement;
let theme = "";
let opened = [];

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) window.print();
});
addEventListener("beforeprint", () => {
  theme = root.dataset.theme;
  root.dataset.theme = "light";
  opened = [...document.querySelectorAll("main details:not([open])")];
  for (const part of opened) part.open = true;
});
addEventListener("afterprint", () => {
  root.dataset.theme = theme;
  for (const part of opened) part.open = false;
});

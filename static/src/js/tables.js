/* A table's answer must not overwrite what the person went on typing: the next answer brings it. */
document.addEventListener("htmx:beforeSwap", (event) => {
  const list = event.detail.target;
  if (!list.matches?.(".table-list")) return;
  const typed = document.activeElement;
  if (!list.contains(typed) || !typed.matches("input[type=search]")) return;
  const asked = new URL(event.detail.xhr.responseURL).searchParams.get(typed.name) ?? "";
  if (typed.value !== asked && event.detail.requestConfig.elt.matches("form")) event.detail.shouldSwap = false;
});

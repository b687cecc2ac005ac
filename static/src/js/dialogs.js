/* <button data-dialog="id"> opens a <dialog>; data-close inside closes it. Without scripts the button is a link. */
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-dialog]");
  if (opener) {
    event.preventDefault();
    document.getElementById(opener.dataset.dialog)?.showModal();
    return;
  }
  const closer = event.target.closest("[data-close]");
  closer?.closest("dialog")?.close();
  if (event.target.matches("dialog.dialog")) event.target.close();
});
/* One that comes open holds what the person had written before they signed in again: it goes in front of the page. */
for (const dialog of document.querySelectorAll("dialog.dialog[open]")) {
  dialog.close();
  dialog.showModal();
}
/* Forms marked data-auto send themselves when a choice in them changes. */
document.addEventListener("change", (event) => {
  const form = event.target.closest("form[data-auto]");
  if (form && event.target.matches("select, input[type=checkbox], input[type=radio], input[type=date]")) form.requestSubmit();
});

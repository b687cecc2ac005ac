/* <button data-copy="text"> copies its text; <button data-copy-from="id"> that of an element. It says so in place. */
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (!button) return;
  const source = button.dataset.copyFrom && document.getElementById(button.dataset.copyFrom);
  const label = button.querySelector("[data-copy-label]");
  const before = label?.textContent;
  let said = "Copied";
  try {
    await navigator.clipboard.writeText(source ? (source.value ?? source.textContent) : button.dataset.copy);
  } catch {
    said = "Select and copy by hand";
  }
  if (!label) return;
  label.textContent = said;
  setTimeout(() => { label.textContent = before; }, 1600);
});

/* Toasts: the server's messages, and what the page itself must say. Good news goes by itself, bad news stays. */
const box = document.getElementById("toasts");
const seconds = 8;

function leave(toast) {
  const timer = setTimeout(() => toast.remove(), seconds * 1000);
  toast.addEventListener("pointerenter", () => clearTimeout(timer));
  toast.addEventListener("focusin", () => clearTimeout(timer));
}

export function say(text, tone = "ok") {
  const template = document.getElementById("toast-template");
  if (!box || !template) return;
  const toast = template.content.firstElementChild.cloneNode(true);
  toast.querySelector("[data-text]").textContent = text;
  toast.dataset.tone = tone;
  box.append(toast);
  if (tone !== "bad") leave(toast);
}

box?.querySelectorAll(".toast:not([data-tone=bad])").forEach(leave);
document.addEventListener("click", (event) => event.target.closest("[data-toast-close]")?.closest(".toast").remove());
document.body.addEventListener("toast", (event) => say(event.detail.text ?? event.detail.value, event.detail.tone));
document.body.addEventListener("htmx:sendError", () => say("The portal did not answer. Check your connection, then try again.", "bad"));
document.body.addEventListener("htmx:responseError", (event) => {
  if (event.detail.xhr.getResponseHeader("HX-Trigger")) return;
  const id = event.detail.xhr.getResponseHeader("X-Request-Id") ?? "none";
  if (event.detail.xhr.status !== 401) say(`That did not work (${event.detail.xhr.status}). Quote request ${id}.`, "bad");
});

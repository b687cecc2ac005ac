/* The page of the API: Swagger UI (global, from its own file) around the document that the page names. */
const place = document.querySelector("[data-api-reference]");
const root = document.documentElement;

/* Swagger UI has a dark theme of its own, by a class of its own. */
function follow() {
  root.classList.toggle("dark-mode", root.dataset.theme === "dark");
}
follow();
new MutationObserver(follow).observe(root, { attributeFilter: ["data-theme"] });

window.SwaggerUIBundle({
  domNode: place,
  url: place.dataset.apiReference,
  presets: [window.SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  validatorUrl: null, // nothing leaves the portal
});

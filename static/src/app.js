/* The portal's script: htmx, and one small module per behavior. Each module looks for its own elements by data-*. */
import "htmx.org";
import "./js/bell.js";
import "./js/clipboard.js";
import "./js/commands.js";
import "./js/dialogs.js";
import "./js/live.js";
import "./js/menus.js";
import "./js/playground.js";
import "./js/printing.js";
import "./js/scrolling.js";
import "./js/search.js";
import "./js/tables.js";
import "./js/theme.js";
import "./js/times.js";
import "./js/toasts.js";
import "./js/upload.js";

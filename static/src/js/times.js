/* Shows <time data-when> in the person's own zone; UTC stays in the title. data-when="relative" counts ("3 min ago"),
 * "age" does so without a word ("3 min"), "clock" shows seconds. data-elapsed counts up from the datetime, in the words of apps/common/progress.py. */
const now = new Date();
const plain = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const withYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });

function distance(seconds) {
  const [count, unit] = seconds < 60 ? [seconds, "s"] : seconds < 3600 ? [Math.round(seconds / 60), "min"]
    : seconds < 86400 ? [Math.round(seconds / 3600), "h"] : [Math.round(seconds / 86400), "d"];
  return `${count} ${unit}`;
}

function relative(date) {
  const seconds = Math.round((Date.now() - date) / 1000);
  if (Math.abs(seconds) > 30 * 86400) return day.format(date);
  return seconds >= 0 ? `${distance(seconds)} ago` : `in ${distance(-seconds)}`;
}

function age(date) {
  return distance(Math.max(0, Math.round((Date.now() - date) / 1000)));
}

function elapsed(date) {
  const seconds = Math.max(0, Math.round((Date.now() - date) / 1000));
  const minutes = Math.floor(seconds / 60), two = (value) => String(value).padStart(2, "0");
  if (seconds < 120) return `${seconds} s`;
  return minutes < 120 ? `${minutes} min ${two(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}

function show(root) {
  for (const element of root.querySelectorAll("time[data-when]")) {
    const date = new Date(element.dateTime);
    const style = element.dataset.when;
    const own = date.getFullYear() === now.getFullYear() ? plain : withYear;
    element.textContent = style === "relative" ? relative(date)
      : style === "age" ? age(date) : style === "clock" ? clock.format(date)
      : style === "date" ? day.format(date) : own.format(date);
  }
  for (const element of root.querySelectorAll("time[data-elapsed]")) element.textContent = elapsed(new Date(element.dateTime));
}

show(document);
document.addEventListener("htmx:load", (event) => event.target.parentElement && show(event.target.parentElement));
setInterval(() => document.querySelector("time[data-elapsed], time[data-when=relative], time[data-when=age]") && show(document), 1000);

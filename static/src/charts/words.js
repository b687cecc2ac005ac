/* How a chart writes figures and moments. The hover shows what the table says: its cells are the only words. */
const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });
const hour = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const month = new Intl.DateTimeFormat("en-US", { month: "short", year: "numeric" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

export function axisFigure(unit) {
  return (value) => (unit.sign === "$" ? `$${compact.format(value)}` : unit.sign ? `${compact.format(value)} ${unit.sign}` : compact.format(value));
}

export const dayWords = (iso) => day.format(new Date(`${iso}T12:00:00`));
export const monthWords = (iso) => month.format(new Date(`${iso}T12:00:00`));
export const cellWords = (moment, days) => (days ? dayWords(moment) : hour.format(new Date(moment)));

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  if (text) made.textContent = text;
  return made;
}

/* A moment's cell holds <time>: its words are in the person's zone, its title in UTC. */
function head(cell) {
  const time = cell.querySelector("time");
  const made = element("div", "chart-tip-head", cell.textContent.trim());
  if (time?.title) made.append(element("small", "", time.title));
  return made;
}

function line(swatch, name, words) {
  const made = element("div", "chart-tip-line");
  if (swatch) made.append(element("span", `swatch ${swatch}`));
  made.append(element("span", "", name), element("strong", "", words));
  return made;
}

export function tip(row, lines) {
  const made = element("div", "");
  made.append(head(row.cells[0]), ...lines.map(([swatch, name, words]) => line(swatch, name, words)));
  return made;
}

export const words = (row, place) => row.cells[place].textContent.trim();

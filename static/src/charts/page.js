/* Finds the charts of a page and keeps them: drawn once, again with another theme or width, gone with their element. */
import * as echarts from "echarts/core";
import { BarChart, CustomChart, HeatmapChart, LineChart, SankeyChart } from "echarts/charts";
import { GridComponent, MarkLineComponent, TooltipComponent } from "echarts/components";
import { SVGRenderer } from "echarts/renderers";
import { colors } from "./colors.js";
import { option } from "./kinds.js";
import { isPlain } from "../js/keys.js";

echarts.use([
  BarChart, CustomChart, HeatmapChart, LineChart, SankeyChart, GridComponent, MarkLineComponent, TooltipComponent, SVGRenderer,
]);

const drawn = new Map();

function draw(figure) {
  const canvas = figure.querySelector("[data-chart-canvas]");
  if (!canvas || drawn.has(figure)) return;
  const data = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
  const table = figure.querySelector("table");
  if (data.rows) canvas.style.height = `${data.rows.length * 28 + 44}px`;
  const chart = echarts.init(canvas, null, { renderer: "svg" });
  const show = () => chart.setOption(option(data, table, colors(), canvas.clientWidth), true);
  const watch = new ResizeObserver(() => {
    chart.resize();
    show();
  });
  drawn.set(figure, { chart, show, watch });
  show();
  watch.observe(canvas);
}

function forget() {
  for (const [figure, { chart, watch }] of drawn) {
    if (figure.isConnected) continue;
    watch.disconnect();
    chart.dispose();
    drawn.delete(figure);
  }
}

function all() {
  forget();
  document.querySelectorAll("[data-chart]").forEach(draw);
}

/* A live part is replaced as a whole: the table that somebody opened stays open. */
let opened = [];
document.addEventListener("htmx:beforeSwap", ({ detail: { target } }) => {
  opened = [...target.querySelectorAll("[data-chart-table][open]")].map((table) => table.closest("[data-chart]").id);
});

function reopen() {
  for (const id of opened) document.getElementById(id)?.querySelector("[data-chart-table]")?.setAttribute("open", "");
}

all();
document.addEventListener("htmx:load", () => {
  all();
  reopen();
});
new MutationObserver(() => drawn.forEach(({ show }) => show())).observe(document.documentElement, {
  attributeFilter: ["data-theme"],
});

/* `t` opens the table of the chart that the person points at or is in, else of the first one in view. */
function chosen() {
  const inView = (figure) => {
    const { top, bottom } = figure.getBoundingClientRect();
    return bottom > 0 && top < innerHeight;
  };
  const figures = [...document.querySelectorAll("[data-chart]")];
  return document.activeElement.closest("[data-chart]") ?? document.querySelector("[data-chart]:hover") ?? figures.find(inView);
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "t" || !isPlain(event)) return;
  const table = chosen()?.querySelector("[data-chart-table]");
  if (!table) return;
  table.open = !table.open;
  if (table.open) table.querySelector("summary").focus();
});

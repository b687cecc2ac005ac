/* From a chart's figures to ECharts' option, one function a kind. */
import * as graphic from "echarts/core";
import { axisFigure, cellWords, dayWords, monthWords, tip, words } from "./words.js";

const hatched = (color) => ({ symbol: "rect", color, dashArrayX: [1, 0], dashArrayY: [2, 4], rotation: -Math.PI / 4 });

function base(paint, formatter, extra = {}) {
  return {
    animation: false,
    textStyle: { fontFamily: paint.font, fontSize: 12, color: paint.muted },
    grid: { left: 8, right: 14, top: 14, bottom: 4, containLabel: true },
    tooltip: { className: "chart-tip", renderMode: "html", confine: true, transitionDuration: 0, borderWidth: 0, padding: 0, formatter, ...extra },
  };
}

function valueAxis(data, paint) {
  return {
    type: "value",
    axisLabel: { color: paint.faint, formatter: axisFigure(data.unit) },
    splitLine: { lineStyle: { color: paint.line } },
    splitNumber: 4,
  };
}

function momentAxis(data, paint, edges) {
  const look = { axisLine: { lineStyle: { color: paint.axis } }, axisTick: { show: false }, splitLine: { show: false } };
  const label = { color: paint.faint, hideOverlap: true };
  if (!data.days) return { type: "time", axisLabel: label, ...look };
  return { type: "category", data: data.at, boundaryGap: edges, axisLabel: { ...label, formatter: data.months ? monthWords : dayWords }, ...look };
}

function seriesTip(data, table) {
  return (found) => {
    const at = (Array.isArray(found) ? found[0] : found).dataIndex;
    const row = table.tBodies[0].rows[at];
    const swatch = (each) => `hue-${each.hue + 1} ${each.look ? `look-${each.look}` : ""}`;
    const lines = data.series.map((each, place) => [swatch(each), each.name, words(row, place + 1)]);
    if (row.cells.length > data.series.length + 1) lines.push(["", "Together", words(row, data.series.length + 1)]);
    return tip(row, lines);
  };
}

function points(data, values) {
  return data.days ? values : values.map((value, place) => [data.at[place], value]);
}

function limit(data, paint) {
  if (!data.limit) return undefined;
  return {
    silent: true,
    symbol: "none",
    lineStyle: { color: paint.warn, type: "solid", width: 1 },
    label: { formatter: data.limit.words, position: "insideEndTop", color: paint.muted, fontSize: 11 },
    data: [{ yAxis: data.limit.value }],
  };
}

/* A point between two gaps has no line: it is drawn as a dot. */
function dots(values) {
  const known = (place) => values[place] !== null && values[place] !== undefined;
  return (_, found) => (known(found.dataIndex - 1) || known(found.dataIndex + 1) ? 0 : 5);
}

function bands(data, paint) {
  return data.series.flatMap((each, place) => {
    if (!each.band) return [];
    const [low, high] = each.band;
    const plain = { type: "line", stack: `band-${place}`, silent: true, symbol: "none", lineStyle: { opacity: 0 }, tooltip: { show: false } };
    const height = high.map((value, at) => (value === null || low[at] === null ? null : value - low[at]));
    return [
      { ...plain, data: points(data, low) },
      { ...plain, data: points(data, height), areaStyle: { color: paint.hues[each.hue], opacity: 0.18 } },
    ];
  });
}

/* The axis ends at a round figure above the limit, where no value reaches it. */
function highest(data) {
  const most = Math.max(0, ...data.series.flatMap((each) => [...each.values, ...(each.band?.[1] ?? [])]));
  if (!data.limit || data.limit.value < most) return undefined;
  const step = 10 ** Math.floor(Math.log10(data.limit.value));
  return Math.ceil((data.limit.value * 1.05) / step) * step;
}

/* Equal steps up to that end, round ones where it divides so. */
function steps(most) {
  if (most === undefined) return {};
  const parts = [4, 5, 3].find((count) => Number.isInteger((2 * most) / count)) ?? 4;
  return { max: most, interval: most / parts };
}

function lines(data, table, paint) {
  const found = data.series.map((each, place) => ({
    type: "line",
    name: each.name,
    data: points(data, each.values),
    connectNulls: false,
    showSymbol: true,
    symbol: "circle",
    symbolSize: dots(each.values),
    lineStyle: { width: 1.75, color: paint.hues[each.hue], type: each.dashed ? [5, 4] : "solid" },
    itemStyle: { color: paint.hues[each.hue] },
    emphasis: { disabled: true },
    markLine: place ? undefined : limit(data, paint),
    z: 3,
  }));
  return {
    ...base(paint, seriesTip(data, table), { trigger: "axis", axisPointer: { lineStyle: { color: paint.axis, type: "solid" } } }),
    xAxis: momentAxis(data, paint, false),
    yAxis: { ...valueAxis(data, paint), ...steps(highest(data)) },
    series: [...bands(data, paint), ...found],
  };
}

function fill(each, paint) {
  if (each.look === "idle") return { color: "transparent", decal: hatched(paint.idle), borderColor: paint.idle, borderWidth: 1 };
  if (each.look === "unallocated") return { color: "transparent", borderColor: paint.idle, borderWidth: 1 };
  return { color: paint.hues[each.hue], borderColor: paint.surface, borderWidth: 0.5 };
}

function area(data, table, paint) {
  const found = data.series.map((each) => ({
    type: "line",
    name: each.name,
    stack: "all",
    data: points(data, each.values),
    connectNulls: false,
    symbol: "none",
    lineStyle: { width: 1, color: each.look ? paint.idle : paint.hues[each.hue] },
    itemStyle: { color: each.look ? paint.idle : paint.hues[each.hue], decal: each.look === "idle" ? hatched(paint.idle) : undefined },
    areaStyle: { color: each.look ? paint.surface : paint.hues[each.hue], opacity: each.look ? 1 : 0.75 },
    emphasis: { disabled: true },
  }));
  return { ...lines({ ...data, series: [] }, table, paint), ...base(paint, seriesTip(data, table), { trigger: "axis" }), series: found };
}

function bars(data, table, paint) {
  const found = data.series.map((each) => ({
    type: "bar",
    name: each.name,
    stack: "all",
    data: points(data, each.values),
    barMaxWidth: 28,
    barCategoryGap: "25%",
    itemStyle: fill(each, paint),
    emphasis: { disabled: true },
  }));
  return {
    ...base(paint, seriesTip(data, table), { trigger: "axis", axisPointer: { type: "shadow" } }),
    xAxis: momentAxis(data, paint, true),
    yAxis: valueAxis(data, paint),
    series: found,
  };
}

function heat(data, table, paint, width) {
  const most = Math.max(...data.cells.map(([, , value]) => value)) || 1;
  const cells = data.cells.map((value) => ({ value, itemStyle: { color: paint.hues[0], opacity: 0.08 + (0.92 * value[2]) / most } }));
  const formatter = ({ value: [at, row] }) => {
    const found = table.tBodies[0].rows[at];
    return tip(found, [["", data.rows[row], words(found, row + 1)]]);
  };
  return {
    ...base(paint, formatter, { trigger: "item" }),
    xAxis: {
      type: "category",
      data: data.at,
      axisLabel: { color: paint.faint, hideOverlap: true, formatter: (moment) => cellWords(moment, data.days) },
      axisLine: { lineStyle: { color: paint.axis } },
      axisTick: { show: false },
    },
    yAxis: names(data, paint, width),
    series: [{ type: "heatmap", data: cells, itemStyle: { borderColor: paint.surface, borderWidth: 1 }, emphasis: { disabled: true } }],
  };
}

function names(data, paint, width) {
  return {
    type: "category",
    data: data.rows,
    inverse: true,
    axisLabel: { color: paint.muted, width: Math.min(200, Math.round(width * 0.3)), overflow: "truncate", interval: 0 },
    axisLine: { lineStyle: { color: paint.axis } },
    axisTick: { show: false },
  };
}

function sankey(data, table, paint, width) {
  let next = 0;
  const nodes = data.nodes.map((node) => ({
    name: node.name,
    itemStyle: node.look ? fill(node, paint) : { color: paint.hues[node.hue ?? next++ % 8], borderWidth: 0 },
  }));
  const formatter = ({ dataType, dataIndex, name }) => {
    const rows = [...table.tBodies[0].rows];
    if (dataType === "edge") return tip(rows[dataIndex], [["", words(rows[dataIndex], 1), words(rows[dataIndex], 2)]]);
    const near = rows.filter((row) => words(row, 0) === name || words(row, 1) === name);
    return tip(
      { cells: [Object.assign(document.createElement("td"), { textContent: name })] },
      near.map((row) => ["", words(row, 0) === name ? `to ${words(row, 1)}` : `from ${words(row, 0)}`, words(row, 2)]),
    );
  };
  return {
    ...base(paint, formatter, { trigger: "item" }),
    series: [
      {
        type: "sankey",
        left: 4,
        right: Math.min(180, Math.round(width * 0.26)),
        top: 8,
        bottom: 8,
        nodeWidth: 10,
        nodeGap: 10,
        draggable: false,
        data: nodes,
        links: data.links.map(([source, target, value]) => ({ source, target, value })),
        lineStyle: { color: "source", opacity: 0.22, curveness: 0.5 },
        label: { color: paint.text, fontSize: 12, width: Math.min(174, Math.round(width * 0.25)), overflow: "truncate" },
        emphasis: { focus: "adjacency", lineStyle: { opacity: 0.45 } },
        blur: { itemStyle: { opacity: 0.4 }, lineStyle: { opacity: 0.08 } },
      },
    ],
  };
}

/* A custom shape takes no decal: its hatch is drawn, one stroke every five pixels. */
function strokes({ x, y, width, height }, paint) {
  const count = Math.floor((width - height) / 5);
  return Array.from({ length: Math.max(count, 0) }, (_, place) => ({
    type: "line",
    silent: true,
    shape: { x1: x + place * 5 + 2, y1: y + height - 1, x2: x + place * 5 + height, y2: y + 1 },
    style: { stroke: paint.idle, lineWidth: 1 },
  }));
}

function spans(data, table, paint, width) {
  const bar = (params, api) => {
    const [from, to] = [api.coord([api.value(1), api.value(0)]), api.coord([api.value(2), api.value(0)])];
    const height = Math.min(14, api.size([0, 1])[1] * 0.6);
    const { x, y, width: wide, height: high } = params.coordSys;
    const shape = graphic.graphic.clipRectByRect(
      { x: from[0], y: from[1] - height / 2, width: Math.max(to[0] - from[0], 2), height },
      { x, y, width: wide, height: high },
    );
    if (!shape) return undefined;
    const rect = { type: "rect", shape: { ...shape, r: 2 }, style: api.style() };
    return data.spans[params.dataIndex].look === "idle" ? { type: "group", children: [rect, ...strokes(shape, paint)] } : rect;
  };
  const found = data.spans.map((span) => ({
    value: [span.row, span.from, span.to],
    itemStyle: fill(span, paint),
  }));
  const formatter = ({ dataIndex }) => {
    const row = table.tBodies[0].rows[dataIndex];
    return tip(row, [["", words(row, 1), words(row, 4)], ["", "from", words(row, 2)], ["", "to", words(row, 3)]]);
  };
  const times = { type: "time", axisLabel: { color: paint.faint, hideOverlap: true }, axisLine: { lineStyle: { color: paint.axis } } };
  return {
    ...base(paint, formatter, { trigger: "item" }),
    xAxis: { ...times, min: data.from, max: data.to, splitLine: { show: true, lineStyle: { color: paint.line } } },
    yAxis: names(data, paint, width),
    series: [{ type: "custom", renderItem: bar, encode: { x: [1, 2], y: 0 }, data: found, emphasis: { disabled: true } }],
  };
}

const KINDS = { lines, area, bars, heat, sankey, spans };

export const option = (data, table, paint, width) => KINDS[data.kind](data, table, paint, width);

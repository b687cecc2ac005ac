/* The page's colors as ECharts takes them. It reads no oklch(), so a canvas of one pixel says what each one is. */
const canvas = document.createElement("canvas");
canvas.width = canvas.height = 1;
const pixel = canvas.getContext("2d", { willReadFrequently: true });

function rgba(color) {
  pixel.clearRect(0, 0, 1, 1);
  pixel.fillStyle = color;
  pixel.fillRect(0, 0, 1, 1);
  const [red, green, blue, alpha] = pixel.getImageData(0, 0, 1, 1).data;
  return `rgba(${red}, ${green}, ${blue}, ${(alpha / 255).toFixed(3)})`;
}

export function colors() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => rgba(style.getPropertyValue(name).trim());
  return {
    hues: [1, 2, 3, 4, 5, 6, 7, 8].map((number) => read(`--chart-${number}`)),
    text: read("--text"),
    muted: read("--text-2"),
    faint: read("--text-3"),
    line: read("--border"),
    axis: read("--border-strong"),
    surface: read("--surface"),
    idle: read("--idle-solid"),
    warn: read("--warn-solid"),
    font: style.getPropertyValue("--sans"),
  };
}

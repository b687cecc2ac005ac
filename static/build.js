/* Builds static/dist/app from static/src: one style sheet, the scripts, the fonts, one SVG sprite of icons.
 *
 * Every name carries a hash of its content, so that browsers may keep a file for ever; manifest.json tells the portal
 * the names (portal/assets.py). Files of earlier builds stay for a day: a page that is open still finds its own.
 * Run it as `npm run build`; `npm run watch` builds again whenever a source changes.
 */

import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, watch, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { buildSync } from "esbuild";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const source = join(root, "static", "src");
const target = join(root, "static", "dist", "app");
const require = createRequire(import.meta.url);
const DAY = 24 * 3600 * 1000;

const FONTS = {
  "inter-latin.woff2": "@fontsource-variable/inter/files/inter-latin-wght-normal.woff2",
  "inter-latin-ext.woff2": "@fontsource-variable/inter/files/inter-latin-ext-wght-normal.woff2",
  "mono-latin.woff2": "@fontsource-variable/jetbrains-mono/files/jetbrains-mono-latin-wght-normal.woff2",
};

function hashed(name, content) {
  const hash = createHash("sha256").update(content).digest("hex").slice(0, 10);
  return name.replace(/(\.\w+)$/, `-${hash}$1`);
}

/* Text also lies there compressed: the portal sends what the browser takes. */
function emit(manifest, name, content) {
  const path = join(target, hashed(name, content));
  manifest[name] = hashed(name, content);
  if (!name.endsWith(".woff2")) {
    writeFileSync(`${path}.gz`, gzipSync(content, { level: 9 }));
    writeFileSync(`${path}.br`, brotliCompressSync(content));
  }
  writeFileSync(path, content);
}

function styles(manifest) {
  const cli = require.resolve("@tailwindcss/cli/package.json").replace("package.json", "dist/index.mjs");
  const output = execFileSync(process.execPath, [cli, "-i", join(source, "app.css"), "--minify"], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: 64 * 1024 * 1024,
  }).toString();
  return output.replace(/url\("?fonts\/([\w.-]+)"?\)/g, (_, name) => `url(${manifest[name]})`);
}

function script(name) {
  const built = buildSync({
    entryPoints: [join(source, name)],
    bundle: true,
    minify: true,
    write: false,
    format: "iife",
    target: ["es2022"],
    legalComments: "none",
  });
  return built.outputFiles[0].contents;
}

/* One <symbol> per name in icons.txt, taken from lucide-static; a wrong name stops the build. */
function icons() {
  const names = readFileSync(join(source, "icons.txt"), "utf8").split("\n").map((line) => line.trim());
  const symbols = names.filter((name) => name && !name.startsWith("#")).map((name) => {
    const svg = readFileSync(require.resolve(`lucide-static/icons/${name}.svg`), "utf8");
    const body = svg.slice(svg.indexOf(">", svg.indexOf("<svg")) + 1, svg.lastIndexOf("</svg>"));
    return `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2.25" stroke-linecap="round" stroke-linejoin="round">${body.replace(/\s+/g, " ")}</symbol>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg">${symbols.join("")}</svg>`;
}

function forgetOldFiles(manifest) {
  const current = new Set([...Object.values(manifest), "manifest.json"]);
  for (const name of readdirSync(target)) {
    const path = join(target, name);
    if (!current.has(name.replace(/\.(gz|br)$/, "")) && Date.now() - statSync(path).mtimeMs > DAY) rmSync(path, { recursive: true });
  }
}

function build() {
  const began = Date.now();
  const manifest = {};
  mkdirSync(target, { recursive: true });
  for (const [name, path] of Object.entries(FONTS)) emit(manifest, name, readFileSync(require.resolve(path)));
  emit(manifest, "app.css", styles(manifest));
  emit(manifest, "app.js", script("app.js"));
  emit(manifest, "charts.js", script("charts.js"));
  emit(manifest, "api-reference.js", script("api-reference.js"));
  emit(manifest, "theme.js", script("theme.js"));
  emit(manifest, "icons.svg", icons());
  emit(manifest, "mark.svg", readFileSync(join(source, "mark.svg")));
  writeFileSync(join(target, "manifest.json.part"), JSON.stringify(manifest, null, 2));
  renameSync(join(target, "manifest.json.part"), join(target, "manifest.json"));
  forgetOldFiles(manifest);
  console.log(`static/dist/app: ${Object.values(manifest).join(" ")} (${Date.now() - began} ms)`);
}

build();
if (process.argv.includes("--watch")) {
  let pending;
  for (const folder of [source, join(root, "templates")]) {
    watch(folder, { recursive: true }, () => {
      clearTimeout(pending);
      pending = setTimeout(build, 100);
    });
  }
}

/* Publishing a version: checks names, hashes each file in pieces, sends the parts that the registry does not have yet.
   Everything can be done again: the server knows which parts arrived, so an error or a reload costs nothing. */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex } from "@noble/hashes/utils.js";

const PIECE = 4 * 1024 * 1024;
const TRIES = 6;
const csrf = () => JSON.parse(document.body.getAttribute("hx-headers") || "{}")["x-csrftoken"] || "";

function bytes(size) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = size, unit = 0;
  while (value >= 1000 && unit < units.length - 1) { value /= 1000; unit += 1; }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

function left(seconds) {
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 60) return `${Math.ceil(seconds)} s left`;
  return `${Math.ceil(seconds / 60)} min left`;
}

class Refused extends Error {}

async function askJson(method, url, body) {
  const answer = await fetch(url, {
    method, credentials: "same-origin", body: body === undefined ? undefined : JSON.stringify(body),
    headers: { "content-type": "application/json", "x-csrftoken": csrf() },
  });
  const found = await answer.json().catch(() => ({}));
  if (answer.ok) return found;
  throw new (answer.status >= 500 ? Error : Refused)(words(found, answer.status));
}

function words(problem, status) {
  if (status === 401) return "Your session has ended. Sign in again, then choose the same folder: the upload goes on.";
  const flat = (value) => (Array.isArray(value) ? value.flatMap(flat) : value && typeof value === "object" ? Object.values(value).flatMap(flat) : [String(value)]);
  const details = problem.errors ? flat(problem.errors) : [];
  return [problem.detail || `The portal answered ${status}.`, ...details].join(" ");
}

function sendPart(url, blob, onBytes) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", url);
    request.setRequestHeader("content-type", "application/octet-stream");
    request.setRequestHeader("x-csrftoken", csrf());
    request.timeout = 120000;
    request.upload.onprogress = (event) => onBytes(event.loaded);
    request.onerror = () => reject(new Error("The connection broke."));
    request.ontimeout = () => reject(new Error("The portal did not answer in time."));
    request.onload = () => {
      if (request.status < 300) return resolve();
      let problem = {};
      try { problem = JSON.parse(request.responseText); } catch { /* not JSON: the status says enough */ }
      const temporary = request.status >= 500 || request.status === 429;
      reject(new (temporary ? Error : Refused)(words(problem, request.status)));
    };
    request.send(blob);
  });
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function again(work, onWait) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (error instanceof Refused || attempt === TRIES) throw error;
      onWait(`${error.message} Trying again (${attempt} of ${TRIES - 1})…`);
      await pause(Math.min(1000 * 2 ** (attempt - 1), 15000));
    }
  }
}

function start(root) {
  const find = (name) => root.querySelector(`[data-upload-${name}]`);
  const form = find("form"), folder = root.querySelector("input[type=file]"), button = find("start");
  const total = find("total"), figures = find("figures"), phase = find("phase"), note = find("note");
  let files = [], running = false;

  const fail = (title, text) => {
    find("error-title").textContent = title;
    find("error-text").textContent = text;
    find("error").hidden = false;
    find("start-label").textContent = "Go on";
  };
  const progress = (label, done, all, since, before = 0) => {
    const seconds = (performance.now() - since) / 1000;
    const speed = seconds > 0.5 ? (done - before) / seconds : 0;
    phase.textContent = label;
    total.max = Math.max(all, 1);
    total.value = done;
    figures.textContent = [`${bytes(done)} of ${bytes(all)}`, speed ? `${bytes(speed)}/s` : "", speed && done < all ? left((all - done) / speed) : ""].filter(Boolean).join(" · ");
  };
  const row = (file, state) => { file.row.cells[3].textContent = state; };

  function plan(chosen) {
    const rows = find("files");
    rows.replaceChildren();
    files = chosen.map((file) => {
      const line = rows.insertRow();
      [file.name, bytes(file.size), "—", "Chosen"].forEach((text) => { line.insertCell().textContent = text; });
      line.cells[0].className = "mono";
      line.cells[1].className = "num nowrap";
      line.cells[3].className = "nowrap";
      return { file, name: file.name, size: file.size, sha256: "", row: line };
    });
    find("plan").hidden = files.length === 0;
    progress("Ready", 0, files.reduce((sum, file) => sum + file.size, 0), performance.now());
  }

  async function choose() {
    find("error").hidden = true;
    const inside = (file) => (file.webkitRelativePath || file.name).split("/").slice(file.webkitRelativePath ? 1 : 0).join("/");
    const all = [...folder.files];
    const hidden = all.filter((file) => inside(file).split("/").some((part) => part.startsWith(".")));
    const kept = all.filter((file) => !hidden.includes(file));
    find("left-out").hidden = hidden.length === 0;
    find("left-out-text").textContent = `${hidden.slice(0, 8).map(inside).join(", ")}${hidden.length > 8 ? ` and ${hidden.length - 8} more` : ""} (hidden files)`;
    plan(kept.sort((a, b) => a.name.localeCompare(b.name)));
    button.disabled = true;
    if (!kept.length) return;
    try {
      const listed = kept.map((file) => ({ name: inside(file), size: file.size }));
      const { problems } = await askJson("POST", root.dataset.checkUrl, { files: listed });
      find("problems").hidden = problems.length === 0;
      find("problem-list").replaceChildren(...problems.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
      button.disabled = problems.length > 0;
    } catch (error) {
      fail("The files could not be checked.", error.message);
    }
  }

  async function hashAll() {
    const all = files.reduce((sum, file) => sum + file.size, 0), since = performance.now();
    let done = files.reduce((sum, file) => sum + (file.sha256 ? file.size : 0), 0);
    const before = done;
    for (const file of files.filter((item) => !item.sha256)) {
      const hash = sha256.create();
      row(file, "Hashing");
      for (let at = 0; at < file.size; at += PIECE) {
        hash.update(new Uint8Array(await file.file.slice(at, at + PIECE).arrayBuffer()));
        done += Math.min(PIECE, file.size - at);
        progress(`Hashing ${file.name}`, done, all, since, before);
      }
      file.sha256 = bytesToHex(hash.digest());
      file.row.cells[2].textContent = `${file.sha256.slice(0, 16)}…`;
      file.row.cells[2].title = file.sha256;
      row(file, "Hashed");
    }
  }

  async function sendAll(version) {
    const all = files.reduce((sum, file) => sum + file.size, 0), since = performance.now();
    const sizeOf = (file, part) => Math.min(version.part_size, file.size - (part - 1) * version.part_size);
    const there = new Map(version.files.map((file) => [file.name, new Set(file.parts)]));
    let done = files.reduce((sum, file) => sum + [...there.get(file.name)].reduce((s, part) => s + sizeOf(file, part), 0), 0);
    const before = done;
    const hint = before ? `${bytes(before)} had arrived before; only the rest is sent.` : "";
    note.textContent = hint;
    for (const file of files) {
      const parts = Math.ceil(file.size / version.part_size);
      for (let part = 1; part <= parts; part += 1) {
        if (there.get(file.name).has(part)) continue;
        const from = (part - 1) * version.part_size;
        const url = `${root.dataset.versionsUrl}/${version.number}/files/${encodeURIComponent(file.name)}?part=${part}`;
        const send = () => sendPart(url, file.file.slice(from, from + version.part_size), (loaded) => {
          progress(`Uploading ${file.name}`, done + Math.min(loaded, sizeOf(file, part)), all, since, before);
          row(file, parts > 1 ? `Part ${part} of ${parts}` : "Uploading");
        });
        await again(send, (text) => { note.textContent = text; });
        note.textContent = hint;
        done += sizeOf(file, part);
        progress(`Uploading ${file.name}`, done, all, since, before);
      }
      row(file, "Uploaded");
    }
  }

  async function publish() {
    running = true;
    button.disabled = true;
    find("error").hidden = true;
    try {
      await hashAll();
      const declared = files.map(({ name, size, sha256: digest }) => ({ name, size, sha256: digest }));
      const onWait = (text) => { note.textContent = text; };
      const version = await again(() => askJson("POST", root.dataset.versionsUrl, { note: form.elements.note.value, files: declared }), onWait);
      phase.textContent = `Uploading v${version.number}`;
      await sendAll(version);
      phase.textContent = "Closing the upload";
      await again(() => askJson("POST", `${root.dataset.versionsUrl}/${version.number}/finish`), onWait);
      running = false;
      window.location.assign(`${root.dataset.pageUrl}v${version.number}/`);
    } catch (error) {
      running = false;
      button.disabled = false;
      fail("The upload stopped.", `${error.message} What arrived is kept: go on when you are ready.`);
    }
  }

  folder.addEventListener("change", choose);
  form.addEventListener("submit", (event) => { event.preventDefault(); if (!running && files.length) publish(); });
  window.addEventListener("beforeunload", (event) => { if (running) event.preventDefault(); });
  if (folder.files.length) choose();
}

document.querySelectorAll("[data-upload]").forEach(start);

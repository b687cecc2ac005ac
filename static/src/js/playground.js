/* The playground: sends the form, shows the answer as it streams (one JSON object a line), then what the call cost. */
const milliseconds = (value) => `${(value / 1000).toFixed(2)} s`;
const show = {
  ttft_ms: milliseconds,
  latency_ms: milliseconds,
};

function start(root) {
  const form = root.querySelector("[data-playground-form]");
  const answer = root.querySelector("[data-playground-answer]");
  const error = root.querySelector("[data-playground-error]");
  const send = root.querySelector("[data-playground-send]");
  const stop = root.querySelector("[data-playground-stop]");
  const state = root.querySelector("[data-playground-state]");
  const standIn = root.querySelector("[data-playground-stand-in]");
  const longest = 40; // tries: enough for a start of twenty minutes at thirty seconds each
  let running = null;
  let again = null; // seconds, while the answer was "not yet": the model sleeps or starts

  const refuse = (problem) => {
    const title = problem.status === 429 ? "Over the limit" : problem.status >= 500 ? "Not available now" : "Refused";
    error.querySelector("[data-playground-error-title]").textContent = problem.status ? `${title} (${problem.status})` : title;
    error.querySelector("[data-playground-error-text]").textContent = problem.message;
    error.querySelector("[data-playground-error-id]").textContent = problem.request_id ? `Request ${problem.request_id}` : "";
    error.hidden = false;
  };
  const facts = (done) => {
    root.querySelectorAll("[data-fact]").forEach((place) => {
      const value = done[place.dataset.fact];
      place.textContent = value === null || value === undefined || value === "" ? "—" : (show[place.dataset.fact] || String)(value);
      if (place.dataset.exact) place.title = done[place.dataset.exact] || "";
    });
    standIn.hidden = !done.stand_in;
    state.textContent = done.finish_reason === "length" ? "Ended at the longest answer you allowed." : "Done.";
  };
  const take = (line) => {
    if (!line.trim()) return;
    const piece = JSON.parse(line);
    if (piece.text) {
      answer.textContent += piece.text;
      answer.hidden = false;
    }
    if (piece.done) facts(piece.done);
    if (piece.error) {
      refuse(piece.error);
      if (piece.error.status === 503 && piece.error.retry_after) again = Math.ceil(piece.error.retry_after);
    }
  };
  const read = async (response) => {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      lines.forEach(take);
    }
    take(rest);
  };
  const busy = (on) => {
    send.disabled = on;
    stop.hidden = !on;
    if (on) state.textContent = "Waiting for the first token…";
    else if (state.textContent.startsWith("Waiting")) state.textContent = "";
  };

  const wait = async (seconds, attempt) => {
    for (let left = seconds; left > 0; left -= 1) {
      state.textContent = `Sent again in ${left} s (try ${attempt + 1} of ${longest}).`;
      await new Promise((resolve, reject) => {
        const timer = setTimeout(resolve, 1000);
        running.signal.addEventListener("abort", () => { clearTimeout(timer); reject(new DOMException("", "AbortError")); }, { once: true });
      });
    }
  };
  const ask = async () => {
    const content = new FormData(form);
    for (let attempt = 1; ; attempt += 1) {
      again = null;
      const response = await fetch(form.action, { method: "POST", body: content, signal: running.signal });
      if (response.ok) await read(response);
      else if (response.status === 422) refuse({ message: Object.values((await response.json()).errors).flat().join(" ") });
      else refuse(((await response.json().catch(() => ({}))).error) || { message: "The portal could not send this.", status: response.status });
      if (!again || attempt >= longest) return;
      await wait(again, attempt);
      error.hidden = true;
      state.textContent = "Waiting for the first token…";
    }
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (running || !form.reportValidity()) return;
    running = new AbortController();
    error.hidden = true;
    answer.hidden = true;
    answer.textContent = "";
    busy(true);
    try {
      await ask();
    } catch (problem) {
      if (problem.name === "AbortError") state.textContent = "Stopped by you. Where the model had not finished, the call is listed as unmetered.";
      else refuse({ message: "The connection broke. Send it again." });
    } finally {
      running = null;
      busy(false);
    }
  });
  stop.addEventListener("click", () => running && running.abort());
}

document.querySelectorAll("[data-playground]").forEach(start);

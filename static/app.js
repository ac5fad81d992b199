// The dashboard: asks the API every few seconds and shows what it says. No build step, no
// dependency; everything from the API goes through textContent.

import { learning } from "./learning.js";

const POLL_MS = 5000;
const REASONS = {
  strategy: ["most useful", "chosen by the query strategy"],
  random: ["random", "drawn at random, so that the pool stays honestly sampled"],
  holdout: ["hold-out", "part of the hold-out, on which models are judged"],
  repeat: ["repeat", "much like something labelled, or shown before it"],
  rest: ["rest", "not in the current batch; in order of usefulness"],
};
const TRIGGERS = {
  count: "enough new labels", studio: "Label Studio", command: "annotator retrain",
  api: "this page's API", demo: "annotator demo",
};
const STATES = {
  queued: "", running: "warn", succeeded: "good", held: "warn", failed: "bad", cancelled: "",
};
const shown = new Map();

// ---- building ------------------------------------------------------------------------------

function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") node.textContent = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const badge = (text, kind = "", title = null) => el("span", { class: `badge ${kind}`, text, title });
const fact = (name, ...value) => el("div", {}, el("dt", { text: name }), el("dd", {}, ...value));
const quiet = (text) => el("p", { class: "quiet", text });

function when(iso) {
  if (!iso) return el("span", { text: "never" });
  return el("time", { datetime: iso, title: new Date(iso).toLocaleString(), text: ago(iso) });
}

// A section is built anew only if what it shows has changed: focus and selection stay.
function render(id, data, build) {
  const key = JSON.stringify(data);
  if (shown.get(id) === key) return;
  document.getElementById(id).replaceChildren(...build(data).filter(Boolean));
  shown.set(id, key);
}

// ---- words ---------------------------------------------------------------------------------

const number = (value) => (value ?? 0).toLocaleString("en");
const percent = (value) => (typeof value === "number" ? value.toFixed(1) : "–");
const plural = (n, one, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;

function span(seconds) {
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129600) return `${Math.round(seconds / 3600)} h`;
  return plural(Math.round(seconds / 86400), "day");
}

function ago(iso) {
  const seconds = (Date.now() - Date.parse(iso)) / 1000;
  return seconds < 10 ? "just now" : `${span(seconds)} ago`;
}

function webAddress(value) {
  try {
    const address = new URL(value);
    return ["http:", "https:"].includes(address.protocol) ? address : null;
  } catch {
    return null;
  }
}

function studioAddress(studio, task = null) {
  const page = webAddress(studio.page)?.href;
  return !page || task === null ? page : `${page}?task=${encodeURIComponent(task)}`;
}

function link(address, text) {
  if (!address) return el("span", { text });
  return el("a", { href: address, target: "_blank", rel: "noopener noreferrer", text });
}

// ---- sections ------------------------------------------------------------------------------

function signs({ studio, worker, backend }) {
  const model = backend.error
    ? ["Model: not usable", "bad"]
    : backend.loading
      ? ["Model: loading", "warn"]
      : backend.version ? ["Model: ready", "good"] : ["Model: none yet", ""];
  return [
    studio.stranger
      ? ["Label Studio: another project", "bad"]
      : studio.connected ? ["Label Studio: connected", "good"] : ["Label Studio: not connected", "warn"],
    worker.alive ? ["Worker: running", "good"] : ["Worker: not running", "bad"],
    model,
  ].map(([text, kind]) => el("li", {}, badge(text, kind)));
}

function notices({ studio, worker, backend, failed, unlearnt, labels, troubles }) {
  const found = [];
  const say = (kind, text, command = null) =>
    found.push(el("p", { class: `notice ${kind}` }, `${text} `, command && el("code", { text: command })));
  if (!worker.alive) {
    say("bad", "The worker is not running, so nothing is trained, pulled or pushed. " +
      "Labels are kept and wait for it. Start it with", "annotator worker");
  }
  if (backend.error) {
    const still = backend.version ? ` ${backend.version} answers meanwhile.` : " There are no predictions.";
    say("bad", backend.error + "." + still);
  }
  if (studio.stranger) say("bad", studio.stranger);
  if (!studio.connected) {
    say("", "Label Studio is not connected. Connect it with",
      "annotator connect URL --token TOKEN --project NUMBER");
  }
  if (unlearnt > 0) {
    say(unlearnt < labels ? "" : "bad", `${number(unlearnt)} of ${plural(labels, "label")} cannot be learnt, and their ` +
      "sentences are left out of training. See where they are with", "annotator doctor");
  }
  for (const one of troubles) say("bad", `${one.part}: ${one.problem}`);
  if (failed > 0) {
    say("", `${plural(failed, "event")} from Label Studio could not be read. ` +
      "Nothing is lost: the next pull brings the same labels. Pull now with", "annotator sync");
  }
  return found;
}

function counts(data) {
  return [
    ["Documents", data.documents],
    ["Sentences", data.sentences],
    ["Sentences of gold to learn from", data.gold],
    ["Sentences of gold in the hold-out", data.holdout],
    ["Open tasks (pool)", data.pool],
    ["Skipped", data.skipped],
  ].map(([name, value]) => fact(name, number(value)));
}

function nextRun({ fresh, needed, missing, run }) {
  const text = run
    ? `Run ${run} is under way; ${plural(fresh, "labelled sentence")} since the last run that gave a version.`
    : missing === 0
    ? `${plural(fresh, "new labelled sentence")}: enough for the next training run.`
    : fresh >= needed
    ? `${plural(fresh, "new labelled sentence")}. The last run gave no version: ${number(missing)} more start another, or annotator retrain.`
    : `${number(fresh)} of ${plural(needed, "new labelled sentence")} until the next training run.`;
  return [
    el("progress", { max: Math.max(1, needed), value: Math.min(fresh, needed), "aria-label": text }),
    el("p", { class: "quiet small", text }),
  ];
}

function people({ cost, shares }) {
  const kept = Object.entries(shares)
    .filter(([, share]) => share !== null)
    .map(([kind, share]) => `${Math.round(100 * share)} % of the predicted ${kind}`);
  const lines = [cost && `A task takes ${cost}.`, kept.length > 0 && `People keep ${kept.join(" and ")} as they are.`];
  return lines.map((text) => text && el("p", { class: "quiet small", text }));
}

function typeTable(title, layer) {
  const types = Object.entries(layer?.types ?? {});
  if (types.length === 0) return null;
  const head = ["Precision", "Recall", "F1", "Gold"];
  return el("div", { class: "scroll" }, el("table", { class: "scores-table" },
    el("caption", { text: title }),
    el("thead", {}, el("tr", {}, el("th", { scope: "col", text: "Type" }),
      ...head.map((text) => el("th", { scope: "col", class: "number", text })))),
    el("tbody", {}, ...types.map(([name, s]) => el("tr", {}, el("th", { scope: "row", text: name }),
      ...[percent(s.p), percent(s.r), percent(s.f1), number(s.n)]
        .map((text) => el("td", { class: "number", text }))))),
  ));
}

function model({ version, run }) {
  if (!version && run) return [quiet(`No model yet. Run ${run} trains the first one.`)];
  if (!version) {
    return [quiet("No model yet. The first one is trained when there are enough labels, or now:"),
      el("p", {}, el("code", { text: "annotator retrain" }))];
  }
  const scores = version.metrics?.holdout;
  const parts = [
    el("p", { class: "name" }, version.name,
      version.provisional && badge("provisional", "warn", "promoted on a hold-out too small to judge it by, or before there was one")),
    el("p", { class: "quiet small" }, "Promoted ", when(version.promoted_at), ` by run ${version.run}.`),
  ];
  if (!scores || !scores.n_sentences) {
    return [...parts, quiet("There is no hold-out yet, so nobody knows how good it is.")];
  }
  return [
    ...parts,
    el("dl", { class: "scores" },
      fact("Entities, F1", percent(scores.ner?.micro?.f1)),
      fact("Relations, F1", percent(scores.re?.micro?.f1))),
    el("p", { class: "quiet small", text:
      `Strict micro scores in per cent on ${plural(scores.n_sentences, "hold-out sentence")}.` }),
    typeTable("Entities", scores.ner),
    typeTable("Relations", scores.re),
  ];
}

function queue({ head, studio, version }) {
  if (!version) return [quiet("The order begins with the first model.")];
  if (head.length === 0) return [quiet("No open task has a prediction of this model yet.")];
  const columns = [["#", "rank"], ["Task", ""], ["Document", ""], ["Why", ""], ["Score", "number"]];
  return [
    el("div", { class: "scroll" }, el("table", {},
      el("thead", {}, el("tr", {}, ...columns.map(([text, kind]) =>
        el("th", { scope: "col", class: kind || null, text })))),
      el("tbody", {}, ...head.map((task, i) => {
        const [word, why] = REASONS[task.reason] ?? [task.reason ?? "–", null];
        return el("tr", {},
          el("td", { class: "rank", text: i + 1 }),
          el("td", {}, link(studioAddress(studio, task.task), String(task.task))),
          el("th", { scope: "row", text: task.document }),
          el("td", {}, badge(word, "", why)),
          el("td", { class: "number", text: Number(task.score).toFixed(3) }));
      })),
    )),
    el("p", { class: "quiet small", text: "Label Studio serves the lowest score first." }),
  ];
}

function runProgress(run) {
  const p = run.progress ?? {};
  if (run.state !== "running") return [];
  if (p.phase !== "train" || !p.n_steps) {
    const text = { prepare: "Preparing", evaluate: "Evaluating on the hold-out" }[p.phase] ?? "Starting";
    return [el("progress", { "aria-label": text }), quiet(`${text}…`)];
  }
  const text = `Step ${number(p.step)} of ${number(p.n_steps)}, epoch ${p.epoch} of ${p.n_epochs}, ` +
    `loss ${p.loss}, ${number(p.words_per_s)} words/s, ${span(p.remaining_s ?? 0)} left`;
  return [
    el("progress", { max: p.n_steps, value: p.step, "aria-label": `Run ${run.id}` }),
    el("p", { class: "quiet small", text }),
  ];
}

function runs(list) {
  if (list.length === 0) return [quiet("No run yet.")];
  return [el("ol", { class: "runs" }, ...list.map((run) => {
    const took = run.started_at && run.finished_at
      ? `took ${span((Date.parse(run.finished_at) - Date.parse(run.started_at)) / 1000)}` : null;
    const details = [...run.reasons, ...(run.error ? [run.error] : [])];
    const words = [`started by ${TRIGGERS[run.trigger] ?? run.trigger}`, took, run.attempts > 1 ? `attempt ${run.attempts}` : null,
      run.cancel_requested && run.state === "running" ? "is being cancelled" : null].filter(Boolean);
    return el("li", {},
      el("div", { class: "head" },
        el("strong", { text: `Run ${run.id}` }),
        badge(run.state, STATES[run.state] ?? ""),
        el("span", { class: "quiet small" }, when(run.started_at ?? run.created_at), `, ${words.join(", ")}`)),
      ...runProgress(run),
      details.length ? el("ul", { class: "small" }, ...details.map((text) => el("li", { text }))) : null);
  }))];
}

function traffic({ studio, worker, inbox }) {
  const waiting = inbox.new ? `${plural(inbox.new, "event")} waiting` : "nothing waiting";
  return [
    fact("Label Studio", studio.connected
      ? link(studioAddress(studio), `Project ${studio.project} on ${webAddress(studio.page)?.host ?? studio.url}`)
      : "not connected"),
    fact("Last pull", when(studio.pulled_at)),
    fact("Inbox", `${waiting}, ${number(inbox.done)} done, ${number(inbox.failed)} not readable`),
    fact("Worker", worker.alive ? `running as ${worker.owners.join(", ")}` : "not running"),
  ];
}

// ---- polling -------------------------------------------------------------------------------

// Addresses are relative, so that the page also works under a path of a proxy's.
async function ask(path) {
  const response = await fetch(path, {
    headers: { Accept: "application/json" }, credentials: "same-origin", cache: "no-store",
    signal: AbortSignal.timeout(20000),
  }).catch(() => {
    throw new Error("The backend does not answer; what is shown may be old. " +
      "Is it running (annotator serve)?");
  });
  const body = await response.json().catch(() => null);
  if (!response.ok || !body?.ok) {
    throw new Error(response.status === 401
      ? "You are not logged in any more; load the page again."
      : body?.error ?? `The backend answered with status ${response.status}.`);
  }
  return body;
}

function show(status, list) {
  const studio = status.label_studio;
  const { worker, backend, inbox, active_version: version } = status;
  const heading = document.getElementById("project");
  if (heading.textContent !== status.project) heading.textContent = status.project;
  document.title = `${status.project} – annotator`;
  render("signs", { studio, worker, backend }, signs);
  const unlearnt = status.learnable.n_labels - status.learnable.n_learnable;
  render("notices", { studio, worker, backend, failed: inbox.failed, unlearnt, labels: status.learnable.n_labels,
    troubles: status.troubles },
    notices);
  render("counts", {
    documents: status.documents.train + status.documents.holdout,
    sentences: status.n_sentences,
    gold: status.gold.train,
    holdout: status.gold.holdout,
    pool: status.n_pool,
    skipped: status.gold.skipped,
  }, counts);
  render("next-run", {
    fresh: status.n_new_sentences,
    needed: status.retrain_at,
    missing: status.n_until_run,
    run: status.under_way?.id,
  }, nextRun);
  render("people", { cost: status.cost?.summary, shares: status.accepted_share }, people);
  render("model", { version, run: status.under_way?.id }, model);
  render("queue", { head: status.queue, studio, version: version?.name }, queue);
  render("learning", status.learning, (data) => learning(data, { el, fact, badge, quiet, number, percent }));
  render("runs", list, runs);
  render("traffic", { studio, worker, inbox }, traffic);
  for (const time of document.querySelectorAll("time")) {
    const text = ago(time.dateTime);
    if (time.textContent !== text) time.textContent = text;
  }
  document.getElementById("updated").textContent = new Date().toLocaleTimeString();
}

function showFailure(error) {
  const text = `${error.message} Trying again every few seconds.`;
  render("notices", { text }, () => [el("p", { class: "notice bad", text })]);
}

async function poll() {
  if (!document.hidden) {
    try {
      const [status, found] = await Promise.all([ask("api/v1/status"), ask("api/v1/runs?limit=6")]);
      show(status, found.runs);
    } catch (error) {
      showFailure(error);
    }
  }
  clearTimeout(poll.timer);
  poll.timer = setTimeout(poll, POLL_MS);
}

document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
poll();

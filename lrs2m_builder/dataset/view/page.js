// The page: what is asked for, which row is chosen, the keyboard, and the verdicts.
import { drawCard, drawRecord, drawRejection, el, number, wordsOf } from "/draw.js";
import { makeMap } from "/map.js";

const PAGE = 24;
const $ = (id) => document.getElementById(id);
const ORDERS = {
  records: { file: "order of the files", id: "id", long: "tokens, long text", short: "tokens, short text", attempts: "attempts" },
  rejected: { file: "order of the files", id: "id" },
};
const FACETS = { subset: "Subset", recipe: "Recipe", model: "Model", warnings: "Warning", reason: "Reason" };
const BOUNDS = { score_min: "least", score_max: "most" };
const RANGES = { long: "num_tokens_long", short: "num_tokens_short" };

let about;
let asked = { kind: "records" }; // what the address says: kind, filters, order, and the row
let selection = { total: 0 };
let start = 0; // of the page
let rows = [];
let chosen = 0; // of the page's rows
let turn = 0; // answers to an earlier question are dropped
let writing = false;

async function ask(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch {
    throw new Error("no answer: is lrs2m view still running in its terminal?");
  }
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.error), { status: response.status });
  return answer;
}

let hiding;
function complain(error) {
  $("toast").textContent = error.message;
  $("toast").classList.add("shown");
  clearTimeout(hiding);
  hiding = setTimeout(() => $("toast").classList.remove("shown"), 8000);
}

const attempted = (work) => (...given) => Promise.resolve(work(...given)).catch(complain);

// ---- what is asked for

function readAddress() {
  asked = { kind: "records", ...Object.fromEntries(new URLSearchParams(location.hash.slice(1))) };
  if (!about.kinds[asked.kind]) asked.kind = "records";
  // A build in which everything was rejected opens on its rejections.
  if (!location.hash.slice(1) && !about.kinds.records.rows && about.kinds.rejected.rows) asked.kind = "rejected";
}

function writeAddress(push) {
  const values = Object.entries(asked).filter(([, value]) => value !== "" && value !== undefined);
  history[push ? "pushState" : "replaceState"](null, "", `#${new URLSearchParams(values)}`);
}

function change(values) {
  asked = { ...asked, at: "", ...values };
  writeAddress(true);
  return load();
}

function facetSelect(name, title, counts) {
  const values = Object.entries(counts).filter(([value]) => value !== "");
  if (!values.length) return null;
  const key = name === "warnings" ? "warning" : name;
  return choice(key, title, [["", "all"], ...values.map(([value, times]) => [value, `${value} (${number(times)})`])]);
}

function choice(key, title, options) {
  const list = el("select", { id: `filter-${key}`, change: () => change({ [key]: list.value }) },
    options.map(([value, text]) => el("option", { value, text, selected: value === (asked[key] ?? "") })));
  if (asked[key]) list.className = "set";
  return el("label", {}, title, list);
}

function range(name, column, largest) {
  const bound = (end) => {
    const key = `${name}_${end}`;
    const input = el("input", { id: `filter-${key}`, inputmode: "numeric", placeholder: end === "min" ? "0" : String(largest[column]),
      "aria-label": `${name} text, ${end === "min" ? "least" : "most"} tokens`, change: () => change({ [key]: input.value.trim() }) });
    input.value = asked[key] ?? "";
    if (asked[key]) input.className = "set";
    return input;
  };
  return el("label", {}, name === "long" ? "Long tokens" : "Short tokens", bound("min"), "–", bound("max"));
}

/** A score and its bounds; the bounds say nothing without it. */
function scoreFilter() {
  if (asked.kind !== "records" || !about.scores.length) return null;
  const bound = (key) => {
    const input = el("input", { id: `filter-${key}`, inputmode: "decimal", "aria-label": `${BOUNDS[key]} of the score`, disabled: !asked.score,
      change: () => change({ [key]: input.value.trim().replace(",", ".") }) });
    input.value = asked[key] ?? "";
    if (asked[key]) input.className = "set";
    return input;
  };
  const list = choice("score", "Score", [["", "all"], ...about.scores.map((name) => [name, name])]);
  list.append(bound("score_min"), "–", bound("score_max"));
  return list;
}

function drawFilters() {
  const { facets, largest } = about.kinds[asked.kind];
  const records = asked.kind === "records";
  const down = el("button", { type: "button", id: "direction", "aria-label": asked.descending ? "descending" : "ascending",
    text: asked.descending ? "↓" : "↑", click: () => change({ descending: asked.descending ? "" : "1" }) });
  const any = Object.keys(asked).some((key) => !["kind", "at", "order", "descending"].includes(key) && asked[key]);
  $("filters").replaceChildren(...[
    ...Object.entries(FACETS).map(([name, title]) => (facets[name] ? facetSelect(name, title, facets[name]) : null)),
    records ? choice("verdict", "Review", [["", "all"], ["none", "not reviewed"], ["accept", "accepted"], ["flag", "flagged"]]) : null,
    ...Object.entries(RANGES).map(([name, column]) => (largest[column] ? range(name, column, largest) : null)),
    scoreFilter(),
    records && asked.box ? el("span", { class: "boxed", text: "in the map's rectangle" }) : null,
    any ? el("button", { type: "button", id: "clear", text: "Clear", click: clear }) : null,
    el("label", { class: "end" }, choice("order", "Sort by", [...Object.entries(ORDERS[asked.kind]), ...(records ? about.scores.map((name) => [name, name]) : [])]).lastChild, down),
  ].filter(Boolean));
  $("kinds").replaceChildren(...Object.entries(about.kinds).map(([name, { rows: count }]) =>
    el("button", { type: "button", id: `kind-${name}`, "aria-pressed": String(name === asked.kind),
      text: `${name === "records" ? "Records" : "Rejected"} ${number(count)}`, click: () => { asked = { kind: name }; return change({}); } })));
  if (document.activeElement !== $("text")) $("text").value = asked.text ?? "";
}

function clear() {
  asked = { kind: asked.kind, order: asked.order, descending: asked.descending };
  $("text").value = "";
  return change({});
}

// ---- the map

let map = null; // made when it is first opened
let mapped = ""; // what its points were asked by

function toggleMap() {
  const open = $("map").hidden;
  $("map").hidden = !open;
  $("map-button").setAttribute("aria-expanded", String(open));
  return open ? drawMap() : null;
}

/** Put the rows that all filters but the rectangle select on the map, if it is open. */
async function drawMap() {
  if ($("map").hidden || asked.kind !== "records") return;
  map = map ?? (await makeMap((box) => change({ box })));
  const without = ["kind", "at", "box", "order", "descending"];
  const query = String(new URLSearchParams(Object.entries(asked).filter(([key, value]) => !without.includes(key) && value !== "" && value !== undefined)));
  if (!map.points || query !== mapped) {
    const response = await fetch(`/api/points?${query}`);
    if (!response.ok) throw new Error((await response.json()).error);
    map.points = new Float32Array(await response.arrayBuffer());
    mapped = query;
  }
  map.show(map.points, asked.box ?? "");
}

// ---- pages

const load = attempted(async () => {
  const mine = ++turn;
  drawFilters();
  const { at, ...filters } = asked;
  const query = new URLSearchParams(Object.entries(filters).filter(([, value]) => value !== "" && value !== undefined));
  busy(asked.text ? "searching …" : "reading …");
  try {
    const found = await ask(`/api/select?${query}`);
    if (mine !== turn) return;
    selection = found;
  } catch (error) {
    busy("");
    throw error;
  }
  await show(Math.max(0, (parseInt(at, 10) || 1) - 1));
  await drawMap();
});

function busy(text) {
  $("status").classList.toggle("busy", Boolean(text));
  if (text) $("status").textContent = text;
}

function say() {
  busy("");
  const { total, seconds, searched } = selection;
  const all = about.kinds[asked.kind].rows;
  const part = searched < 1 ? `the first ${number(total)} matches, from ${(searched * 100).toFixed(searched < 0.1 ? 1 : 0)} % of the rows` : `${number(total)} of ${number(all)} rows`;
  $("status").textContent = `${part} · ${seconds.toFixed(2)} s`;
  $("of").textContent = ` of ${number(total)}`;
  $("previous").disabled = start === 0;
  $("next").disabled = start + PAGE >= total;
}

/** Show the row at a position of the selection, and the page that it is on. */
async function show(position) {
  const mine = ++turn;
  position = Math.min(position, Math.max(0, selection.total - 1));
  const from = position - (position % PAGE);
  try {
    const page = await ask(`/api/rows?selection=${selection.selection}&start=${from}&count=${PAGE}`);
    if (mine !== turn) return;
    rows = page.rows;
  } catch (error) {
    busy("");
    if (error.status !== 410) throw error;
    asked.at = String(position + 1); // the server was started anew, or forgot
    await load();
    return;
  }
  start = from;
  chosen = position - from;
  draw();
  $("rows").scrollTop = chosen ? $("rows").scrollTop : 0;
}

function draw() {
  const words = wordsOf(asked.text ?? "");
  const setting = { kind: asked.kind, version: about.version, words };
  $("rows").replaceChildren(...rows.map((row, i) => drawCard(row, { ...setting, chosen: i === chosen, choose: () => { choose(i); document.body.classList.add("reading"); } })));
  say();
  choose(chosen);
}

function choose(i) {
  chosen = i;
  writing = false;
  [...$("rows").children].forEach((card, j) => card.setAttribute("aria-selected", String(i === j)));
  $("rows").children[i]?.scrollIntoView({ block: "nearest" });
  if (rows.length) {
    asked.at = start + i ? String(start + i + 1) : "";
    $("at").value = number(start + i + 1);
    writeAddress(false);
  } else {
    $("at").value = "";
  }
  drawDetail();
  $("detail").scrollTop = 0;
}

function drawDetail() {
  const row = rows[chosen];
  if (!row) {
    const none = asked.kind === "rejected" && !about.kinds.rejected.rows ? "Nothing was rejected here." : "No rows.";
    $("detail").replaceChildren(el("p", { class: "nothing", text: none }));
    return;
  }
  const setting = { version: about.version, words: wordsOf(asked.text ?? ""), review, note: openNote };
  const parts = asked.kind === "records" ? drawRecord(row, setting) : drawRejection(row, setting);
  const back = el("button", { type: "button", id: "back", text: "‹ list", click: () => document.body.classList.remove("reading") });
  $("detail").replaceChildren(back, ...parts);
  if (writing) {
    const box = el("textarea", { id: "note", "aria-label": "Note", placeholder: "What should be known of this row? Enter saves, Esc leaves." });
    box.value = row.review?.note ?? "";
    const save = el("button", { type: "button", text: "Save", click: () => saveNote(box.value) });
    box.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); saveNote(box.value); }
    });
    parts[0].after(el("div", { class: "note" }, box, save));
    box.focus();
  }
}

const step = attempted((by) => {
  const position = start + chosen + by;
  if (position < 0 || position >= selection.total) return null;
  if (position >= start && position < start + rows.length) return choose(position - start);
  return show(position);
});

const turnPage = attempted((by) => {
  const position = start + by * PAGE;
  return position >= 0 && position < selection.total ? show(position) : null;
});

// ---- verdicts

const review = attempted(async (verdict, note) => {
  const row = rows[chosen];
  if (!row || asked.kind !== "records") return;
  const body = JSON.stringify({ row: row.number, verdict, note: note ?? row.review?.note ?? "" });
  const saved = await ask("/api/review", { method: "POST", headers: { "Content-Type": "application/json", "X-Token": about.token }, body });
  row.review = saved.review;
  about.reviews = saved.reviews;
  const at = rows.indexOf(row);
  if (at >= 0) {
    const card = drawCard(row, { kind: asked.kind, version: about.version, words: wordsOf(asked.text ?? ""), chosen: at === chosen, choose: () => choose(at) });
    $("rows").children[at].replaceWith(card);
  }
  drawCounts();
  if (at === chosen) drawDetail();
});

function openNote() {
  if (asked.kind !== "records" || !rows.length) return;
  writing = true;
  drawDetail();
}

function saveNote(text) {
  writing = false;
  return review(rows[chosen].review?.verdict ?? "flag", text.trim());
}

function drawCounts() {
  const { accept, flag } = about.reviews;
  $("reviews").replaceChildren(el("span", { class: "verdict-accept", text: `✓ ${number(accept)}` }), "  ", el("span", { class: "verdict-flag", text: `⚑ ${number(flag)}` }));
}

// ---- keyboard

const KEYS = {
  j: () => step(1), ArrowDown: () => step(1), k: () => step(-1), ArrowUp: () => step(-1),
  ArrowRight: () => turnPage(1), ArrowLeft: () => turnPage(-1),
  "/": () => { $("text").focus(); $("text").select(); },
  a: () => review("accept"), f: () => review("flag"), n: openNote,
  A: async () => { await review("accept"); await step(1); }, F: async () => { await review("flag"); await step(1); },
  "?": () => $("help").showModal(),
  Escape: () => document.body.classList.remove("reading"),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  const field = event.target.closest("input, select, textarea");
  if (field) {
    if (event.key !== "Escape") return;
    field.blur();
    if (field.id === "note") { writing = false; drawDetail(); }
  } else if (KEYS[event.key]) {
    event.preventDefault();
    KEYS[event.key]();
  }
});

$("search").addEventListener("submit", (event) => { event.preventDefault(); $("text").blur(); change({ text: $("text").value.trim() }); });
$("filters").addEventListener("submit", (event) => event.preventDefault());
$("filters-button").addEventListener("click", () => $("filters-button").setAttribute("aria-expanded", String($("filters").classList.toggle("open"))));
$("map-button").addEventListener("click", attempted(toggleMap));
$("help-button").addEventListener("click", () => $("help").showModal());
$("previous").addEventListener("click", () => turnPage(-1));
$("next").addEventListener("click", () => turnPage(1));
$("at").addEventListener("change", attempted(() => {
  const wanted = parseInt($("at").value.replace(/\D/g, ""), 10);
  $("at").blur();
  return wanted ? show(wanted - 1) : choose(chosen);
}));
addEventListener("popstate", () => { readAddress(); load(); });

await attempted(async () => {
  about = await ask("/api/about");
  document.title = `${about.path} · lrs2m view`;
  $("path").textContent = about.path.split("/").filter(Boolean).slice(-2).join("/");
  $("path").title = about.path;
  $("reviews-path").textContent = about.reviews_path;
  readAddress();
  drawCounts();
  $("map-button").hidden = !about.places;
  if (asked.box && about.places) { $("map").hidden = false; $("map-button").setAttribute("aria-expanded", "true"); }
  await load();
})();

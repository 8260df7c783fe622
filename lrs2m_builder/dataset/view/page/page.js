// The page: what is asked for, which row is chosen, the keyboard, and the verdicts.
import { ask, attempted, complain, send } from "/ask.js";
import { drawCharts } from "/charts.js";
import { drawCard, drawTile, el, number, wordsOf } from "/draw.js";
import { makeEditor } from "/edit.js";
import { drawFilters, questionOf, withoutFilters } from "/filters.js";
import { makeMap } from "/map.js";
import { drawRecord, drawRejection, drawTwins } from "/record.js";
import { makeZoom } from "/zoom.js";

const PAGE = { list: 24, gallery: 60 };
const $ = (id) => document.getElementById(id);

let about;
let asked = { kind: "records" }; // what the address says: kind, filters, order, the row, and how the page looks
let selection = { total: 0 };
let start = 0; // of the page
let rows = [];
let chosen = 0; // of the page's rows
let turn = 0; // answers to an earlier question are dropped
let writing = false;
let editor = null; // of the text that is being corrected

const isGallery = () => asked.view === "gallery";
const isReading = () => document.body.classList.contains("reading");
const pageSize = () => PAGE[isGallery() ? "gallery" : "list"];
const words = () => wordsOf(asked.text ?? "");
const setting = () => ({ kind: asked.kind, version: about.version, words: words() });

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

/** Ask with other values; null clears the filters. */
function change(values) {
  asked = values ? { ...asked, at: "", ...values } : withoutFilters(asked);
  if (!values) $("text").value = "";
  writeAddress(true);
  return load();
}

/** Change how the page looks, and not which rows are selected. */
function look(values) {
  asked = { ...asked, ...values };
  writeAddress(true);
  drawLook();
}

function drawLook() {
  document.body.classList.toggle("gallery", isGallery());
  document.body.classList.toggle("no-boxes", asked.boxes === "0");
  for (const [name, open] of [["gallery", isGallery()], ["charts", asked.charts === "1"], ["map", asked.map === "1"]]) {
    $(`${name}-button`).setAttribute("aria-pressed", String(open));
  }
  $("charts").hidden = asked.charts !== "1";
  $("map").hidden = asked.map !== "1" || asked.kind !== "records" || !about.places;
}

function drawKinds() {
  const title = { records: "Records", rejected: "Rejected" };
  $("kinds").replaceChildren(...Object.entries(about.kinds).map(([name, { rows: count }]) =>
    el("button", { type: "button", id: `kind-${name}`, "aria-pressed": String(name === asked.kind), text: `${title[name]} ${number(count)}`,
      click: () => { asked = { kind: name, view: asked.view, charts: asked.charts }; return change({}); } })));
  if (document.activeElement !== $("text")) $("text").value = asked.text ?? "";
}

// ---- the panels above the list

let map = null; // made when it is first opened
let mapped = ""; // what its points were asked by

/** Put the rows that all filters but the rectangle select on the map, if it is open. */
async function drawMap() {
  if ($("map").hidden) return;
  map = map ?? (await makeMap((box) => change({ box })));
  const query = String(questionOf(asked, ["kind", "box", "order", "descending"]));
  if (!map.points || query !== mapped) {
    const response = await fetch(`/api/points?${query}`);
    if (!response.ok) throw new Error((await response.json()).error);
    map.points = new Float32Array(await response.arrayBuffer());
    mapped = query;
  }
  map.show(map.points, asked.box ?? "");
}

async function drawPanels() {
  if (!$("charts").hidden) {
    const mine = turn;
    const charts = await ask(`/api/charts?selection=${selection.selection}`);
    if (mine === turn) drawCharts($("charts"), charts, asked, change);
  }
  await drawMap();
}

const togglePanel = attempted((name) => {
  look({ [name]: asked[name] === "1" ? "" : "1" });
  return drawPanels();
});

const toggleGallery = attempted(() => {
  const position = start + chosen;
  document.body.classList.remove("reading");
  look({ view: isGallery() ? "" : "gallery" });
  return show(position);
});

// ---- pages

const load = attempted(async () => {
  const mine = ++turn;
  drawFilters($("filters"), asked, about, change);
  drawKinds();
  drawLook();
  busy(asked.text ? "searching …" : "reading …");
  try {
    const found = await ask(`/api/select?${questionOf(asked)}`);
    if (mine !== turn) return;
    selection = found;
  } catch (error) {
    busy("");
    throw error;
  }
  await show(Math.max(0, (parseInt(asked.at, 10) || 1) - 1));
  await drawPanels();
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
  $("next").disabled = start + rows.length >= total;
}

/** Show the row at a position of the selection, and the page that it is on. */
async function show(position) {
  const mine = ++turn;
  position = Math.min(position, Math.max(0, selection.total - 1));
  const size = pageSize();
  const from = position - (position % size);
  try {
    const page = await ask(`/api/rows?selection=${selection.selection}&start=${from}&count=${size}${isGallery() ? "&brief=1" : ""}`);
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
  drawRows();
  $("rows").scrollTop = chosen ? $("rows").scrollTop : 0;
}

function drawRow(i) {
  const draw = isGallery() ? drawTile : drawCard;
  const open = () => { document.body.classList.add("reading"); choose(i); };
  return draw(rows[i], { ...setting(), id: `row-${i}`, chosen: i === chosen, choose: open });
}

function drawRows() {
  $("rows").replaceChildren(...rows.map((_, i) => drawRow(i)));
  say();
  choose(chosen);
}

function choose(i) {
  if (i !== chosen || editor?.number !== rows[i]?.number) editor = null;
  chosen = i;
  writing = false;
  [...$("rows").children].forEach((card, j) => card.setAttribute("aria-selected", String(i === j)));
  $("rows").children[i]?.scrollIntoView({ block: "nearest" });
  if (rows.length) {
    asked.at = start + i ? String(start + i + 1) : "";
    $("at").value = number(start + i + 1);
    $("rows").setAttribute("aria-activedescendant", `row-${i}`);
    writeAddress(false);
  } else {
    $("at").value = "";
    $("rows").removeAttribute("aria-activedescendant");
  }
  $("detail").scrollTop = 0;
  return openDetail();
}

/** Draw the chosen row; of a row of the gallery, the rest is asked for first. */
const openDetail = attempted(async () => {
  const row = rows[chosen];
  if (row?.is_brief) {
    if (!isReading() && isGallery()) return;
    const whole = await ask(`/api/row?kind=${asked.kind}&row=${row.number}`);
    if (rows[chosen]?.number !== row.number) return;
    rows[chosen] = whole;
  }
  drawDetail();
  const now = rows[chosen];
  if (now && asked.kind === "records" && now.twins === undefined) {
    now.twins = await ask(`/api/twins?row=${now.number}`);
    if (rows[chosen] === now) $("twins")?.replaceWith(drawTwins(now.twins, find) ?? "");
  }
});

const find = (id) => { document.body.classList.remove("reading"); asked = { ...withoutFilters(asked), view: "" }; return change({ text: `"${id}"` }); };

function drawSteps() {
  const position = start + chosen;
  const button = (id, text, name, click, disabled) => el("button", { type: "button", id, "aria-label": name, text, disabled, click });
  return el("nav", { class: "steps", "aria-label": "Rows" },
    button("back", isGallery() ? "‹ gallery" : "‹ list", "Back", closeRecord),
    button("step-back", "‹", "Previous row", () => step(-1), position === 0),
    el("span", { text: `${number(position + 1)} of ${number(selection.total)}` }),
    button("step-on", "›", "Next row", () => step(1), position + 1 >= selection.total));
}

function closeRecord() {
  document.body.classList.remove("reading");
  $("rows").children[chosen]?.scrollIntoView({ block: "nearest" });
}

function drawDetail() {
  const row = rows[chosen];
  if (!row) {
    const none = asked.kind === "rejected" && !about.kinds.rejected.rows ? "Nothing was rejected here." : "No rows.";
    $("detail").replaceChildren(el("p", { class: "nothing", text: none }));
    return;
  }
  const all = { ...setting(), review, note: openNote, edit, editor, find, zoom: openZoom };
  const parts = asked.kind === "records" ? drawRecord(row, all) : drawRejection(row, all);
  $("detail").replaceChildren(drawSteps(), ...parts);
  if (zoom.isOpen) openZoom();
  if (writing) drawNote(row, parts[0]);
}

function drawNote(row, place) {
  const box = el("textarea", { id: "note", "aria-label": "Note", placeholder: "What should be known of this row? Enter saves, Esc leaves." });
  box.value = row.review?.note ?? "";
  const save = el("button", { type: "button", text: "Save", click: () => saveNote(box.value) });
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); saveNote(box.value); }
  });
  place.after(el("div", { class: "note" }, box, save));
  box.focus();
}

const step = attempted((by) => {
  const position = start + chosen + by;
  if (position < 0 || position >= selection.total) return null;
  if (position >= start && position < start + rows.length) return choose(position - start);
  return show(position);
});

const turnPage = attempted((by) => {
  const position = start + by * pageSize();
  return position >= 0 && position < selection.total ? show(position) : null;
});

const zoom = makeZoom(step);

function openZoom() {
  const row = rows[chosen];
  if (row && !row.is_brief) zoom.show(row, setting());
}

// ---- verdicts and corrected texts

/** Take a row as it is now, wherever it is shown. */
function replaced(row, now, counts) {
  const at = rows.indexOf(row);
  now.twins = row.twins;
  if (counts) about.reviews = counts;
  drawCounts();
  if (at < 0) return;
  rows[at] = now;
  $("rows").children[at].replaceWith(drawRow(at));
  if (at === chosen) drawDetail();
}

const review = attempted(async (verdict, note) => {
  const row = rows[chosen];
  if (!row || asked.kind !== "records") return;
  const saved = await send("/api/review", about.token, { row: row.number, verdict, note: note ?? row.review?.note ?? "" });
  replaced(row, saved.row, saved.reviews);
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

function edit(column) {
  const row = rows[chosen];
  if (asked.kind !== "records" || !row || row.is_brief) return;
  editor = makeEditor(row, column, about.token, {
    saved: (now, counts) => { editor = null; replaced(row, now, counts); },
    left: () => { editor = null; drawDetail(); },
  });
  drawDetail();
  editor.focus();
}

function drawCounts() {
  const { accept, flag, corrected } = about.reviews;
  const count = (name, sign, times, title) => el("span", { class: name, title: `${number(times)} ${title}`, text: `${sign} ${number(times)}` });
  $("reviews").replaceChildren(...[count("verdict-accept", "✓", accept, "accepted"), count("verdict-flag", "⚑", flag, "flagged"),
    corrected ? count("verdict-corrected", "✎", corrected, "corrected") : null].filter(Boolean));
}

// ---- keyboard

const KEYS = {
  j: () => step(1), ArrowDown: () => step(1), k: () => step(-1), ArrowUp: () => step(-1),
  ArrowRight: () => (isReading() ? step(1) : isGallery() ? step(1) : turnPage(1)), ArrowLeft: () => (isReading() ? step(-1) : isGallery() ? step(-1) : turnPage(-1)),
  PageDown: () => turnPage(1), PageUp: () => turnPage(-1),
  "/": () => { $("text").focus(); $("text").select(); },
  a: () => review("accept"), f: () => review("flag"), n: openNote, e: () => edit("caption_long"), E: () => edit("caption_short"),
  A: async () => { await review("accept"); await step(1); }, F: async () => { await review("flag"); await step(1); },
  g: toggleGallery, c: () => togglePanel("charts"), m: () => about.places && togglePanel("map"), z: openZoom,
  b: () => look({ boxes: asked.boxes === "0" ? "" : "0" }),
  Enter: () => { document.body.classList.add("reading"); return openDetail(); },
  "?": () => $("help").showModal(),
  Escape: closeRecord,
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open || zoom.isOpen) return;
  const field = event.target.closest("input, select, textarea");
  if (field) {
    if (event.key !== "Escape") return;
    field.blur();
    if (field.id === "note") { writing = false; drawDetail(); }
  } else if (KEYS[event.key] && !(event.key === "Enter" && event.target.closest("button, summary, a"))) {
    event.preventDefault();
    KEYS[event.key]();
  }
});

$("search").addEventListener("submit", (event) => { event.preventDefault(); $("text").blur(); change({ text: $("text").value.trim() }); });
$("filters").addEventListener("submit", (event) => event.preventDefault());
$("filters-button").addEventListener("click", () => $("filters-button").setAttribute("aria-expanded", String($("filters").classList.toggle("open"))));
$("gallery-button").addEventListener("click", toggleGallery);
$("charts-button").addEventListener("click", () => togglePanel("charts"));
$("map-button").addEventListener("click", () => togglePanel("map"));
$("help-button").addEventListener("click", () => $("help").showModal());
$("previous").addEventListener("click", () => turnPage(-1));
$("next").addEventListener("click", () => turnPage(1));
$("at").addEventListener("change", attempted(() => {
  const wanted = parseInt($("at").value.replace(/\D/g, ""), 10);
  $("at").blur();
  return wanted ? show(wanted - 1) : choose(chosen);
}));
addEventListener("popstate", () => { readAddress(); load(); });

try {
  about = await ask("/api/about");
  document.title = `${about.path} · lrs2m view`;
  $("path").textContent = about.path.split(" + ").map((path) => path.split("/").filter(Boolean).slice(-2).join("/")).join(" + ");
  $("path").title = about.path;
  $("reviews-path").textContent = about.reviews_path;
  readAddress();
  drawCounts();
  $("map-button").hidden = !about.places;
  if (asked.box && about.places) asked.map = "1";
  await load();
} catch (error) {
  complain(error);
}
